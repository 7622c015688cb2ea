/*
 * A worker of the race tests, in Node and in the browser: walks, or edits entries, in a shared memory.
 *
 * It uses the compiled core directly, as an embedder's worker would: a module and a memory are all that it is sent.
 */
const inBrowser = typeof WorkerGlobalScope !== 'undefined';
const port = inBrowser ? globalThis : (await import(/* @vite-ignore */ 'node:worker_threads')).parentPort;
const listen = (handler) =>
  inBrowser ? port.addEventListener('message', handler) : port.on('message', (data) => handler({ data }));

/** Access bits of the core: a write of user mode, really made. */
const WRITE_AND_MARK = (1 << 1) | (1 << 2) | (1 << 9);
const P = 1n;
const A_AND_D = (1n << 5n) | (1n << 6n);
/** What the editor counts in, bits 58:52 of an entry, which the processor ignores. */
const ONE = 1n << 52n;

const jobs = {
  /** Walks every address `rounds` times; tells how often it arrived and how often it faulted. */
  walk({ module, memory, registers, addresses, rounds }) {
    const { setFlatMemory, setRegisters, translate } = new WebAssembly.Instance(module, { env: { memory } }).exports;
    setFlatMemory(registers.base, BigInt(registers.bytes));
    setRegisters(registers.cr0, registers.cr3, registers.cr4, registers.efer, 0n, 0, 0, 52, 1);
    const ends = { arrived: 0, faulted: 0 };
    for (let round = 0; round < rounds; round++) {
      for (const va of addresses) {
        if (translate(va, WRITE_AND_MARK) < 0n) ends.faulted++;
        else ends.arrived++;
      }
    }
    return ends;
  },

  /**
   * Edits entries (byte offsets in memory) as an operating system on another processor would: takes P away, looks that
   * nobody writes to the entry meanwhile, gives P back, clears A and D, counts. Tells how often somebody did write.
   */
  edit({ memory, entries, rounds }) {
    const words = new BigInt64Array(memory.buffer);
    let intruded = 0;
    for (let round = 0; round < rounds; round++) {
      for (const at of entries) {
        Atomics.and(words, at / 8, ~(P | A_AND_D));
        const before = Atomics.load(words, at / 8);
        for (let i = 0; i < 20; i++) if (Atomics.load(words, at / 8) !== before) intruded++;
        Atomics.or(words, at / 8, P);
        Atomics.add(words, at / 8, ONE);
      }
    }
    return { intruded };
  },

  /**
   * Sets a bit in each entry (byte offset in memory) that is not 0 and has it not, as a processor sets A and D, `milliseconds` long;
   * tells how often.
   */
  mark({ memory, entries, bits, milliseconds }) {
    const words = new BigInt64Array(memory.buffer);
    const end = performance.now() + milliseconds;
    let marked = 0;
    while (performance.now() < end) {
      for (let round = 0; round < 1000; round++) {
        for (const [i, at] of entries.entries()) {
          const entry = Atomics.load(words, at / 8);
          if (!entry || entry & bits[i]) continue;
          if (Atomics.compareExchange(words, at / 8, entry, entry | bits[i]) === entry) marked++;
        }
      }
    }
    return { marked };
  },

  /** Changes a bit of entries that the processor ignores, to and fro, `milliseconds` long; tells how often. */
  toggle({ memory, entries, milliseconds }) {
    const words = new BigInt64Array(memory.buffer);
    const end = performance.now() + milliseconds;
    let toggled = 0;
    while (performance.now() < end) {
      for (let round = 0; round < 1000; round++) for (const at of entries) Atomics.xor(words, at / 8, ONE);
      toggled += 1000;
    }
    return { toggled };
  },

  /**
   * Changes entries (byte offsets in memory) between two states each, `milliseconds` long, and leaves them in the second;
   * tells how often.
   */
  flip({ memory, entries, milliseconds }) {
    const words = new BigInt64Array(memory.buffer);
    const end = performance.now() + milliseconds;
    let flipped = 0;
    while (performance.now() < end) {
      for (let round = 0; round < 200; round++) {
        for (const state of [0, 1]) for (const { at, states } of entries) Atomics.store(words, at / 8, states[state]);
      }
      flipped += 200;
    }
    return { flipped };
  },
};

listen(({ data }) => port.postMessage(jobs[data.job](data)));
