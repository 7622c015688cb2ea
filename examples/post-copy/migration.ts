/**
 * Post-copy migration: the guest's processors run on the destination from the first moment on, over memory that is still at the
 * source. A page that is touched too early is a page fault that a userfaultfd handles:
 *
 *   vCPU          touches a page ──> minor fault ──> sleeps ······························> goes on
 *   fault thread                     reads the message ──> asks the source                  ^
 *   receiver                                                 gets bytes ──> writes them ──> UFFDIO_CONTINUE
 *                                                                           (second mapping)
 *
 * The destination's memory is a file of huge pages, mapped twice: for the guest, registered for minor faults, and for the receiver, which
 * writes there what arrives. UFFDIO_CONTINUE then maps it for the guest. What differs is the unit: with HGM 4 KiB, at the end
 * MADV_COLLAPSE; without it a huge page, all of which must have arrived.
 */
import {
  MADV_COLLAPSE,
  MADV_POPULATE_WRITE,
  MADV_SPLIT,
  MAP_SHARED,
  Machine,
  type Path,
  PROT_READ,
  PROT_WRITE,
  type Process,
  type Syscalls,
  UFFD_EVENT_PAGEFAULT,
  UFFD_FEATURE_MINOR_HUGETLBFS,
  UFFDIO_REGISTER_MODE_MINOR,
  type UserfaultFile,
} from 'hugewalk/linux';
import { Random } from '../support/random.ts';
import { addressOf, expectOk } from '../support/results.ts';
import { Clock, waitFor } from './clock.ts';
import { type Link, Network } from './network.ts';
import { isSame, PIECE, type Source, ZEROS } from './source.ts';

/** Bytes that are compared at a time. */
const CHUNK = 2 ** 21;

/** What is to be tried. */
export interface Setting {
  /** Of the destination's pages, in bytes. */
  readonly hugePageSize: number;
  /** Whether they are mapped in pieces of 4 KiB as these arrive. */
  readonly hgm: boolean;
  readonly link: Link;
  readonly vcpus: number;
  /** Microseconds that a vCPU computes between touching one page and the next, on average. */
  readonly thinkTime: number;
  readonly seed: number;
}

/** What came of it. */
export interface Outcome {
  /** Microseconds that each touch which had to wait has waited, in ascending order. */
  readonly waits: readonly number[];
  readonly touches: number;
  /** Faults that the userfaultfd's messages told of. */
  readonly messages: number;
  /** Units that were sent because they were asked for, and all. */
  readonly requested: number;
  readonly units: number;
  /** Page-table leaves of the guest's mapping, before the huge pages were collapsed, and at the end. */
  readonly leavesBefore: number;
  readonly leaves: number;
  /** Microseconds until all of the guest had arrived. */
  readonly complete: number;
  /** 4 KiB pieces that are not as the source and the guest's own writes have them. Anything but 0 is a defect. */
  readonly wrong: number;
}

/** Moves a guest. The same setting and source, the same outcome. */
export function migrate(source: Source, setting: Setting): Outcome {
  return new Migration(source, setting).run();
}

class Migration {
  readonly #source: Source;
  readonly #setting: Setting;
  readonly #clock = new Clock();
  readonly #random: Random;
  readonly #network: Network;
  readonly #process: Process;
  readonly #uffd: UserfaultFile;
  /** Where the guest has its memory, and where the receiver writes. */
  readonly #guest: number;
  readonly #alias: number;
  readonly #unit: number;
  readonly #units: number;
  /** Units of each huge page that have not arrived. */
  readonly #missing: number[];
  #complete = 0;
  #leavesBefore = 0;
  #messages = 0;
  #touches = 0;
  #wrong = 0;
  readonly #waits: number[] = [];
  /** What the guest has written, by offset. */
  readonly #written = new Map<number, number>();

  constructor(source: Source, setting: Setting) {
    const { hugePageSize, hgm, link, seed } = setting;
    this.#source = source;
    this.#setting = setting;
    this.#random = new Random(seed);
    this.#unit = hgm ? PIECE : hugePageSize;
    this.#units = Math.ceil(source.bytes / this.#unit);
    this.#network = new Network(this.#clock, link, this.#units, (unit) =>
      Math.min(this.#unit, source.bytes - unit * this.#unit),
    );
    const pages = Math.ceil(source.bytes / hugePageSize);
    const unitsOfPage = hugePageSize / this.#unit;
    this.#missing = Array.from({ length: pages }, (_, page) => Math.min(unitsOfPage, this.#units - page * unitsOfPage));

    const machine = new Machine({ pools: [{ hugePageSize, pages }], hgm: { version: hgm ? 'v2' : 'none' } });
    const length = pages * hugePageSize;
    const file = machine.memfdCreate({ hugePageSize });
    expectOk(file.ftruncate(length));
    const shared = { length, prot: PROT_READ | PROT_WRITE, flags: MAP_SHARED, file };
    this.#process = machine.createProcess();
    this.#guest = addressOf(this.#process.mmap(shared));
    this.#alias = addressOf(this.#process.mmap(shared));
    expectOk(this.#process.madvise(this.#alias, length, MADV_POPULATE_WRITE));
    if (hgm) expectOk(this.#process.madvise(this.#guest, length, MADV_SPLIT));
    this.#uffd = this.#process.userfaultfd();
    expectOk(this.#uffd.api(UFFD_FEATURE_MINOR_HUGETLBFS).result);
    expectOk(this.#uffd.register(this.#guest, length, UFFDIO_REGISTER_MODE_MINOR).result);
  }

  run(): Outcome {
    const thread = () => this.#process.thread();
    const [sender, receiver, faults, clock] = [thread(), thread(), thread(), thread()];
    const vcpus = Array.from({ length: this.#setting.vcpus }, thread);
    const threads = [
      { task: sender.task, path: this.#network.send() },
      { task: receiver.task, path: this.#receive(receiver) },
      { task: faults.task, path: this.#handleFaults(faults) },
      ...vcpus.map((vcpu) => ({ task: vcpu.task, path: this.#runGuest(vcpu) })),
    ];
    this.#clock.interleave(threads, clock.task, this.#random);
    this.#uffd.close();
    this.#compare();
    return {
      waits: this.#waits.sort((a, b) => a - b),
      touches: this.#touches,
      messages: this.#messages,
      requested: this.#network.requested,
      units: this.#units,
      leavesBefore: this.#leavesBefore,
      leaves: this.#leaves(),
      complete: this.#complete,
      wrong: this.#wrong,
    };
  }

  get #over(): boolean {
    return this.#complete > 0;
  }

  /** A vCPU: computes, touches a page, and so on, until all of the memory is there. */
  *#runGuest(vcpu: Syscalls): Path<void> {
    const random = new Random(this.#random.bits());
    const pieces = this.#source.bytes / PIECE;
    while (!this.#over) {
      const offset = random.below(pieces) * PIECE + random.below(PIECE);
      /* Writes keep to pieces that have contents anyway: the others need no memory of ours. */
      const writes = this.#source.pieces.has(Math.floor(offset / PIECE)) && random.below(2) === 0;
      const begun = this.#clock.now;
      if (writes) {
        const value = random.below(256);
        const written = yield* vcpu.write(this.#guest + offset, value);
        expectOk(written);
        this.#written.set(offset, value);
      } else {
        const value = yield* vcpu.read(this.#guest + offset);
        if (value !== this.#expected(offset)) this.#wrong++;
      }
      this.#touches++;
      if (this.#clock.now > begun) this.#waits.push(this.#clock.now - begun);
      yield* this.#clock.until(this.#clock.now + random.until(this.#setting.thinkTime));
    }
  }

  /** What the guest has to see. */
  #expected(offset: number): number {
    const written = this.#written.get(offset);
    return written ?? this.#source.pieces.get(Math.floor(offset / PIECE))?.[offset % PIECE] ?? 0;
  }

  /** Asks the source for what somebody waits for. poll(2) tells it of a message, or of the end. */
  *#handleFaults(thread: Syscalls): Path<void> {
    const asked = new Uint8Array(this.#units);
    for (;;) {
      yield* waitFor('a message, or the end', () => this.#uffd.pending || this.#over);
      if (!this.#uffd.pending) return;
      const message = yield* thread.uffdRead(this.#uffd);
      if (typeof message === 'string' || message.event !== UFFD_EVENT_PAGEFAULT) throw new Error('expected a fault');
      this.#messages++;
      const unit = Math.floor((message.address - this.#guest) / this.#unit);
      if (!asked[unit]) this.#network.request(unit);
      asked[unit] = 1;
    }
  }

  /** Puts what arrives into the file, and maps it for the guest. */
  *#receive(thread: Syscalls): Path<void> {
    const { hugePageSize, hgm } = this.#setting;
    for (let left = this.#units; left > 0; left--) {
      const offset = (yield* this.#network.receive()) * this.#unit;
      for (let at = offset; at < offset + this.#unit; at += PIECE) {
        const bytes = this.#source.pieces.get(at / PIECE);
        if (!bytes) continue;
        yield* thread.processVm(this.#process, this.#alias + at, bytes, 'write');
      }
      const { result } = yield* thread.uffdFill(this.#uffd, this.#guest + offset, this.#unit, {
        kind: 'continue',
        mode: 0,
      });
      expectOk(result);
      const page = Math.floor(offset / hugePageSize);
      this.#missing[page]!--;
      if (this.#missing[page] !== 0) continue;
      this.#leavesBefore += this.#leavesOf(page);
      if (hgm) {
        expectOk(yield* thread.madvise(this.#guest + page * hugePageSize, hugePageSize, MADV_COLLAPSE));
      }
    }
    this.#complete = this.#clock.now;
  }

  /** Leaves of the guest's mapping of a huge page: the kernel counts one more, the receiver's. */
  #leavesOf(page: number): number {
    const frame = this.#process.followPage(this.#alias + page * this.#setting.hugePageSize, 0);
    return this.#process.machine.folio(frame!).leaves - 1;
  }

  #leaves(): number {
    return this.#missing.reduce((sum, _, page) => sum + this.#leavesOf(page), 0);
  }

  /** Holds the guest's memory, as its page tables show it, against the source's and what the guest has written since. */
  #compare(): void {
    const auditor = this.#process.machine.createProcess();
    const expected = new Map([...this.#source.pieces].map(([piece, bytes]) => [piece, bytes.slice()]));
    for (const [offset, value] of this.#written) expected.get(Math.floor(offset / PIECE))![offset % PIECE] = value;
    for (let offset = 0; offset < this.#source.bytes; offset += CHUNK) {
      const found = new Uint8Array(Math.min(CHUNK, this.#source.bytes - offset));
      const read = auditor.processVmRead(this.#process, this.#guest + offset, found);
      if (read !== found.length) throw new Error(`process_vm_readv: expected ${found.length} bytes, got ${read}`);
      for (let at = 0; at < found.length; at += PIECE) {
        const bytes = expected.get((offset + at) / PIECE) ?? ZEROS;
        if (!isSame(found.subarray(at, at + PIECE), bytes)) this.#wrong++;
      }
    }
  }
}
