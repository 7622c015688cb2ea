/**
 * The native walker of the benchmark against the core: the same outcome words, bit for bit, on any image. This makes it
 * an independent check of the core, and the benchmark a comparison of walks that do the same.
 */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { buildImage } from '../../bench/images.ts';
import { checksumOf, encodeJob, type Job } from '../../bench/job.ts';
import { compileNative, type Native, NativeProcess, nativeWalk, runNative, type Walked } from '../../bench/native.ts';
import { addressesOf } from '../../bench/patterns.ts';
import { MARKING_ACCESS } from '../../bench/rows/marks.ts';
import { hex } from '../../src/core/errors.ts';
import { CR4_LA57, CR4_PGE } from '../../src/core/generated/layout.ts';
import { Access, FlatMemory, Mmu, type Registers } from '../../src/index.ts';
import { ACCESSES } from '../../src/mmu/access.ts';
import {
  type ImageRecipe,
  imageRecipes,
  Random,
  randomAddresses,
  randomImage,
  registerSets,
} from '../support/random.ts';
import { THOROUGH } from '../support/thorough.ts';

const native: Native = compileNative();
const binary = native.binary ?? '';
const reason = native.binary === undefined ? `the native walker was not checked: ${native.missing}` : '';
if (reason) console.error(reason);

beforeEach(({ skip }) => {
  if (reason && process.env.CI) expect.fail(reason);
  skip(reason !== '', reason);
});

/** What the core makes of a job. */
function coreWalk({ registers, memory, addresses, access, marking = 'probe' }: Job): Walked {
  const flat = new FlatMemory({ bytes: memory.length });
  flat.view().set(memory);
  if (marking === 'mark-anew') for (let at = 0; at < memory.length; at += 8) flat.view()[at]! &= ~0x60;
  const mmu = new Mmu(flat, registers);
  const words = marking === 'probe' ? mmu.translateMany(addresses, access) : mmu.accessMany(addresses, access);
  return { words, memory: flat.view().slice() };
}

/** A hostile image, any access, any registers. */
interface Hostile {
  readonly recipe: ImageRecipe;
  readonly registers: Registers;
  readonly access: number;
}

/** Any frame is the root, and what else is in CR3 is random; so is CR4.PGE. */
const hostiles: fc.Arbitrary<Hostile> = fc
  .record({
    recipe: imageRecipes,
    registers: registerSets,
    access: fc.constantFrom(...ACCESSES),
    pge: fc.boolean(),
    root: fc.bigInt({ min: 0n, max: 12n * 4096n - 1n }),
  })
  .map(({ recipe, registers, access, pge, root }) => {
    const cr4 = registers.cr4 | (pge ? CR4_PGE : 0n);
    return { recipe, registers: { ...registers, cr4, cr3: root % BigInt(recipe.frames * 4096) }, access };
  });

/* W, U, PWT, PCD, A, D, PS, G, XD: each of them is flipped in some entries. R/W oftener: shadow stacks have it clear. */
const FLIPPED = [1n, 1n, 1n, 2n, 3n, 4n, 4n, 5n, 6n, 7n, 8n, 63n].map((bit) => 1n << bit);

function jobOf({ recipe, registers, access }: Hostile): Job {
  const image = randomImage(recipe);
  const memory = new Uint8Array(image.size * 4096);
  const random = new Random(recipe.seed);
  for (const [at, table] of image) {
    const flipped = table.map((entry) => (random.chance(40) ? entry ^ FLIPPED[random.below(FLIPPED.length)]! : entry));
    memory.set(new Uint8Array(flipped.buffer), Number(at));
  }
  const addresses = randomAddresses(recipe.seed, 500, isFive(registers) ? 57 : 48);
  return { registers, access, memory, addresses, passes: 1 };
}

function isFive({ cr4 }: Registers): boolean {
  return (cr4 & CR4_LA57) !== 0n;
}

test('outcome words equal the core’s on any image, for every access, however the walk ends', THOROUGH, () => {
  const reached = new Set<string>();
  fc.assert(
    fc.property(hostiles, (hostile) => {
      const job = jobOf(hostile);
      const native = nativeWalk(binary, job);
      const levels = isFive(hostile.registers) ? '5-level' : '4-level';
      for (const word of native.words) for (const end of endsOf(word)) reached.add(`${levels} ${end}`);
      for (const word of native.words) reached.add(`${job.access} ${word >> 63n ? 'failed' : 'page'}`);
      expectSame(native, { words: coreWalk(job).words, memory: job.memory });
    }),
    /* So many that the rarest end, a page for an access that few rights permit, is met in every run: with 600 it was missed once. */
    { numRuns: 1100 },
  );
  const ends = ['page 1', 'page 2', 'page 3', 'shadow stack', 'canonical', 'missing', 'lass', 'fault', 'fault P'];
  const codes = ['W', 'U', 'RSVD', 'I', 'PK', 'SS'].map((bit) => `fault ${bit}`);
  const pats = Array.from({ length: 8 }, (_, index) => `PAT ${index}`);
  const everywhere = ['4-level', '5-level'].flatMap((levels) =>
    [...ends, ...codes, ...pats].map((end) => `${levels} ${end}`),
  );
  const accesses = ACCESSES.flatMap((access) => [`${access} failed`, `${access} page`]);
  expect([...reached].sort()).toEqual([...everywhere, ...accesses].sort());
});

function expectSame(native: Walked, core: Walked): void {
  const word = native.words.findIndex((found, i) => found !== core.words[i]);
  if (word >= 0) expect.fail(`outcome ${word}: core ${hex(core.words[word]!)}, native ${hex(native.words[word]!)}`);
  if (Buffer.compare(native.memory, core.memory) === 0) return;
  const byte = native.memory.findIndex((found, i) => found !== core.memory[i]);
  expect.fail(`byte ${byte} of memory: core ${core.memory[byte]}, native ${native.memory[byte]}`);
}

/** What can be told of an outcome word: how the walk ended, and each bit of an error code. */
function endsOf(word: bigint): string[] {
  const kind = ['fault', 'canonical', 'missing', 'lass'][Number((word >> 55n) & 7n)]!;
  if (word >> 63n && kind !== 'fault') return [kind];
  if (word >> 63n) {
    const bits = ['P', 'W', 'U', 'RSVD', 'I', 'PK', 'SS'].filter((_, bit) => (word >> BigInt(bit)) & 1n);
    return [...(word & 1n ? [] : ['fault']), ...bits.map((bit) => `fault ${bit}`)];
  }
  const ends = [`page ${(word >> 52n) & 3n}`, `PAT ${(word >> 58n) & 7n}`];
  return (word >> 57n) & 1n ? [...ends, 'shadow stack'] : ends;
}

test.each(['mark', 'mark-anew'] as const)(
  '%s leaves the same A and D behind, and the same words',
  THOROUGH,
  (marking) => {
    let changed = 0;
    fc.assert(
      fc.property(hostiles, (hostile) => {
        const job = { ...jobOf(hostile), marking };
        const native = nativeWalk(binary, job);
        const core = coreWalk(job);
        expectSame(native, core);
        if (Buffer.compare(native.memory, job.memory)) changed++;
      }),
      { numRuns: 300 },
    );
    expect(changed).toBeGreaterThan(30);
  },
);

describe.each(['probe', 'mark', 'mark-anew'] as const)('a process (%s)', (marking) => {
  test('walks its job whenever it is asked, and tells time and checksum', async () => {
    const image = buildImage({ shape: 'mixed', tableBytes: 2 ** 19 });
    const addresses = addressesOf(image, 'random', 5000);
    const { registers, bytes } = image;
    const job: Job = { registers, access: MARKING_ACCESS, marking, memory: bytes, addresses, passes: 3 };
    const { words, memory } = coreWalk(job);
    const checksum = marking === 'probe' ? checksumOf(words) : checksumOf(words, memory);
    const walker = new NativeProcess(binary, job);
    for (let i = 0; i < 3; i++) {
      const answer = await walker.repeat();
      expect(answer.checksum).toBe(checksum);
      expect(answer.milliseconds).toBeGreaterThan(0);
      expect(answer.milliseconds).toBeLessThan(0.01);
    }
    walker.end();
  });
});

describe('a job that is wrong', () => {
  const memory = new Uint8Array(4096);
  const good: Job = { registers: { cr3: 0n }, access: 0, memory, addresses: BigUint64Array.of(0n), passes: 1 };
  const walk = (job: Uint8Array) => {
    const { status, stderr } = runNative(binary, ['--once'], job);
    return { status, message: stderr.toString() };
  };
  const bytesOf = (job: Job): Buffer => Buffer.concat(encodeJob(job));

  test('is one only when something is wrong', () => {
    expect(walk(bytesOf(good))).toEqual({ status: 0, message: '' });
  });

  test.each<[string, Uint8Array, string]>([
    ['another magic', bytesOf(good).fill(0, 0, 8), 'magic'],
    ['a marking that is none', bytesOf(good).fill(3, 96, 97), 'marking'],
    ['a header cut short', bytesOf(good).subarray(0, 90), 'more bytes'],
    ['addresses cut short', bytesOf(good).subarray(0, -1), 'more bytes'],
    ['no memory', bytesOf({ ...good, memory: memory.subarray(0, 8) }), '4096'],
    ['no address', bytesOf({ ...good, addresses: new BigUint64Array(0) }), 'addresses'],
    ['no pass', bytesOf({ ...good, passes: 0 }), 'passes'],
    ['an access that is none', bytesOf({ ...good, access: 1 }), 'access'],
    ['an access that no instruction makes', bytesOf({ ...good, access: Access.user | Access.implicit }), 'access'],
    ['a MAXPHYADDR that is none', bytesOf({ ...good, registers: { cr3: 0n, maxPhysicalAddress: 53 } }), 'MAXPHYADDR'],
  ])('%s', (_name, job, message) => {
    const result = walk(job);
    expect(result.status).toBe(1);
    expect(result.message).toContain(message);
  });

  test('ends the process, which is reported', async () => {
    const walker = new NativeProcess(binary, { ...good, passes: 0 });
    await expect(walker.repeat()).rejects.toThrow('1 to 2^30 addresses and passes');
    walker.end();
  });
});
