/**
 * A machine that runs Linux: pools of huge pages, files of them, processes.
 */
import { checkBoolean, checkInteger, checkOptions, hex, wrongKind } from '../../core/errors.ts';
import type { CoreExports } from '../../core/exports.ts';
import type { FlatMemory } from '../../core/flat-memory.ts';
import type { CoreModules } from '../../core/instantiate.ts';
import { la57, pae } from '../../mmu/bits/cr4.ts';
import { Mmu } from '../../mmu/mmu.ts';
import { Checkpoint, type Kept, keepArray, keepSet, type PutBack } from '../base/checkpoint.ts';
import type { Errno, Result } from '../base/errno.ts';
import { HGM_POSTED_MISCOUNTS, type HgmVersion, type MapcountScheme } from '../base/hgm.ts';
import { refuse } from '../base/kernel-function.ts';
import { Lock, LockRank } from '../base/lock.ts';
import { type Path, run, Task } from '../base/task.ts';
import type { TraceEvent } from '../base/trace.ts';
import { checkedLength, folioOf, putUserPages, unpinUserPageRange, unpinUserPages } from '../gup/user-pages.ts';
import { type MemoryFailure, memoryFailure } from '../memory-failure/memory-failure.ts';
import { type Migrated, migratePage } from '../migration/migrate.ts';
import { GupScan } from '../mm/gup-scan.ts';
import { LeafScan } from '../mm/leaf-scan.ts';
import { Mm } from '../mm/mm.ts';
import type { MmMachine } from '../mm/mm-machine.ts';
import { Tables } from '../mm/tables.ts';
import { type MappedPart, mappedParts } from '../page-tables/rmap.ts';
import { BadMemory } from '../pool/bad-memory.ts';
import { Blocks } from '../pool/contents.ts';
import { FaultMutexes } from '../pool/fault-mutex.ts';
import type { Folio } from '../pool/folio.ts';
import { Frames } from '../pool/frames.ts';
import { Hstate } from '../pool/hstate.ts';
import { HugetlbfsInode } from '../pool/inode.ts';
import type { PageList } from '../pool/pin.ts';
import type { Subpool } from '../pool/subpool.ts';
import { Pipe } from '../syscalls/pipe.ts';
import { splitHugePagesAll } from '../syscalls/split-huge-pages.ts';
import { checkFrame } from './arguments.ts';
import { HugetlbFile, Hugetlbfs, type MountOptions } from './hugetlb-file.ts';
import { checkInvariants } from './invariants.ts';
import { DEFAULT_HUGE_PAGE, type MachineOptions, MOST_PAGES, resolved, tooManyPages } from './machine-options.ts';
import { Process } from './process.ts';

const EVERYTHING = { drops: 'everything', keepsGlobal: false } as const;
/** x86-64's sizes, largest first, as Linux keeps them. */
const SIZES = [2 ** 30, 2 ** 21];

/** A leaf that maps a huge page, or a part of it. */
export interface FolioMapping extends Omit<MappedPart, 'mm'> {
  /** Who has it mapped. */
  readonly process: Process;
}

/**
 * A machine with Linux 6.1's hugetlb.
 *
 * @example
 * ```ts
 * import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
 * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 8 }] });
 * const process = machine.createProcess();
 * const at = process.mmap({
 *   length: 4 << 20,
 *   prot: PROT_READ | PROT_WRITE,
 *   flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
 * });
 * if (typeof at === 'string') throw new Error(at);    // 'ENOMEM'
 * machine.hstate(2 << 20).resvHugePages;              // 2
 * process.write(at, 7);                               // 'OK'
 * process.read(at);                                   // 7
 * machine.hstate(2 << 20).freeHugePages;              // 7
 * ```
 */
export class Machine implements MmMachine, Kept {
  /** The pools, the largest pages first. */
  readonly hstates: readonly Hstate[];
  /** Where the page tables lie: any Mmu can walk them. */
  readonly memory: FlatMemory;
  readonly levels: 4 | 5;
  /** High-granularity mapping: which version of the series. */
  readonly hgm: HgmVersion;
  /** How mapping in pieces is counted. */
  readonly mapcounts: MapcountScheme;
  readonly #hgmPosted: number;
  readonly #bugs: number;
  readonly #fixes: number;
  /** How TLBs of other processors are flushed. @internal */
  readonly flushes: 'interrupt' | 'hypercall';
  /** Control register 4 of its processors. */
  readonly cr4: bigint;
  /** The compiled cores that it was made with, if any. */
  readonly core: CoreModules | undefined;
  /** The processor that programs run on; their accesses set A and D, and fault. */
  readonly cpu: Mmu;
  /** Assign an empty list to have everything recorded that the kernel does. */
  trace: TraceEvent[] | undefined = undefined;
  /** The name of the task that runs, while a trace is kept. */
  current = 'nobody';

  /** Page tables. @internal */
  readonly tables: Tables;
  /** Frames of huge pages. @internal */
  readonly frames: Frames;
  /** The core's part of GUP. @internal */
  readonly gupScan: GupScan = new GupScan(this);
  /** The core's part of going through page tables. @internal */
  readonly leafScan: LeafScan = new LeafScan(this);
  /** What is written in huge pages. @internal */
  readonly blocks: Blocks = new Blocks();
  /** The spin lock of the pools. */
  readonly hugetlbLock: Lock = new Lock('hugetlb_lock', LockRank.hugetlbLock);
  /** What the kernel knows of its bad memory. @internal */
  readonly badMemory: BadMemory = new BadMemory(this);
  /** The mutexes of faults. @internal */
  readonly faultMutexes: FaultMutexes;
  /** Mounts' limits that are in force. */
  readonly subpools: Set<Subpool> = new Set<Subpool>();
  /** Files that exist. */
  readonly inodes: Set<HugetlbfsInode> = new Set<HugetlbfsInode>();
  /** What is open: files, mounts, pipes, userfaultfds. @internal */
  readonly open: Set<Kept> = new Set<Kept>();
  /** The number that the next process gets; it grows by itself, and may be set, as /proc/sys/kernel/ns_last_pid lets one do. */
  nextProcess = 0;
  /** Whether some path has come to no end: 'HANG' or 'BUG'. */
  hasDeadEnds = false;
  readonly #processes = new Set<Process>();
  readonly #checks: boolean;
  readonly #defersWork: boolean;
  readonly #deferred: ((task: Task) => Path<void>)[] = [];
  /** Who acts when no process does: a write to a file in /sys, an operation on an open file. */
  readonly #kernel: Task;
  #running: Mm | undefined;
  #nextInode = 1;
  #nextFile = 0;
  #nextTid = 0;
  /** All threads, but those of processes that had ended before the first checkpoint. */
  readonly #tasks: Task[] = [];
  #wasKept = false;

  /** @throws TypeError or RangeError for options that make no machine, or pools that its memory cannot hold */
  constructor(options: MachineOptions = {}) {
    const { memoryBytes, levels, faultMutexes, checks, defersWork, tables, pools, bugs, fixes, flushes, hgm } =
      resolved(options);
    this.memory = tables;
    this.core = options.core;
    this.levels = levels;
    this.cr4 = levels === 5 ? pae | la57 : pae;
    this.cpu = new Mmu(this.memory, { cr3: 0n, cr4: this.cr4 }, this.core);
    this.tables = new Tables(this.memory);
    this.frames = new Frames(memoryBytes);
    this.hstates = SIZES.map((size) => new Hstate(this, size));
    this.faultMutexes = new FaultMutexes(faultMutexes);
    this.hgm = hgm.version;
    this.mapcounts = hgm.mapcounts;
    this.#hgmPosted = hgm.posted;
    this.#bugs = bugs;
    this.#fixes = fixes;
    this.flushes = flushes;
    this.#checks = checks;
    this.#defersWork = defersWork;
    this.#kernel = new Task(this, 'kernel');
    for (const { hugePageSize, pages = 0, overcommit = 0 } of pools) {
      const held = this.setNrHugepages(hugePageSize, pages);
      if (held < pages) throw tooManyPages(held, hugePageSize, memoryBytes, pages);
      if (overcommit > 0 && this.setNrOvercommitHugepages(hugePageSize, overcommit) !== 'OK') {
        throw new RangeError(
          `overcommit: expected 0x0 for pages of ${hex(hugePageSize)} bytes, got ${hex(overcommit)}`,
        );
      }
    }
  }

  /** HardwareCorrupted of /proc/meminfo: bad memory that was noticed, in 4 KiB pages. */
  get hardwareCorrupted(): number {
    return this.badMemory.hardwareCorrupted;
  }

  /** The live processes. */
  get processes(): ReadonlySet<Process> {
    return this.#processes;
  }

  /**
   * The pool of a page size.
   *
   * @param hugePageSize bytes; default 2 MiB
   * @throws RangeError where there is none
   */
  hstate(hugePageSize: number = DEFAULT_HUGE_PAGE): Hstate {
    const hstate = this.hstates.find(({ size }) => size === hugePageSize);
    if (hstate) return hstate;
    checkInteger('hugePageSize', hugePageSize, DEFAULT_HUGE_PAGE, 2 ** 30);
    throw new RangeError(`hugePageSize: expected 0x200000 or 0x40000000, got ${hex(hugePageSize)}`);
  }

  /**
   * Writes nr_hugepages. Growing takes as much as there is memory; shrinking keeps what is promised, and what is in use
   * becomes surplus, until it is freed.
   *
   * @param count huge pages
   * @returns the pages of the pool afterwards
   */
  setNrHugepages(hugePageSize: number, count: number): number {
    const hstate = this.#pool(hugePageSize);
    checkInteger('count', count, 0, MOST_PAGES);
    run(hstate.setMaxHugePages(this.#kernel, count));
    return this.kernelExit(this.#kernel, hstate.nrHugePages);
  }

  /** Writes nr_overcommit_hugepages: 'EINVAL' for 1 GiB pages, which cannot be made at run time without preparation. */
  setNrOvercommitHugepages(hugePageSize: number, count: number): Result {
    const hstate = this.#pool(hugePageSize);
    checkInteger('count', count, 0, MOST_PAGES);
    if (hstate.gigantic) return refuse(this.#kernel, 'EINVAL', 'gigantic pages cannot be surplus');
    hstate.nrOvercommitHugePages = count;
    return 'OK';
  }

  /**
   * A process with nothing mapped.
   *
   * @param options `name`: what messages and traces call it, if it is not to be counted: who watches the others, say. Default: 'process N'
   * @throws RangeError where memory for page tables is used up
   */
  createProcess(options: { readonly name?: string } = {}): Process {
    checkOptions('options', options, { name: true });
    const { name } = options;
    if (name !== undefined && typeof name !== 'string') throw wrongKind('name', 'a string', name);
    const process = this.newProcess(name);
    if (process) return process;
    throw new RangeError(`tables: expected room for a root table, got ${hex(this.memory.bytes)} bytes, all in use`);
  }

  /** memfd_create(MFD_HUGETLB): an open, empty file. */
  memfdCreate(options: { readonly hugePageSize?: number } = {}): HugetlbFile {
    checkOptions('options', options, { hugePageSize: true });
    return new HugetlbFile(this.newFile(this.hstate(options.hugePageSize)), this.#kernel);
  }

  /** Mounts hugetlbfs, with limits. 'ENOMEM' where the pool cannot reserve `minSize`. */
  mountHugetlbfs(options: MountOptions = {}): Hugetlbfs | Errno {
    return this.kernelExit(this.#kernel, Hugetlbfs.mount(this, this.#kernel, options));
  }

  /** A pipe, for {@link Process.vmsplice}. */
  createPipe(): Pipe {
    return new Pipe(this.#kernel, this.frames);
  }

  /** {@link Process.putPages}, also when no process is left: the pages are a driver's. */
  putPages(pages: PageList, count: number = checkedLength(pages)): void {
    run(putUserPages(this.#kernel, this.frames, pages, count));
  }

  /** {@link Process.unpinUserPages}, likewise. */
  unpinUserPages(pages: PageList, count: number = checkedLength(pages), dirty = false): void {
    checkBoolean('dirty', dirty);
    run(unpinUserPages(this.#kernel, this.frames, pages, count, dirty));
  }

  /** {@link Process.unpinUserPageRange}, likewise. */
  unpinUserPageRange(frame: number, nrPages: number, dirty = false): void {
    checkBoolean('dirty', dirty);
    run(unpinUserPageRange(this.#kernel, this.frames, frame, nrPages, dirty));
  }

  /**
   * The memory of a 4 KiB frame turns bad, as a write to /sys/kernel/debug/hwpoison/corrupt-pfn has it. With HGM v2, 4 KiB of a file's huge page are
   * lost, where all that map it are shared mappings, else the huge page is; a free one leaves the pool.
   *
   * @returns 'EBUSY' where somebody still has the page, by a pin for one, 'EHWPOISON' where it was bad already, 'ENXIO' where no memory is
   */
  memoryFailure(frame: number): MemoryFailure {
    checkFrame(frame);
    return this.kernelExit(this.#kernel, run(memoryFailure(this.#kernel, this, frame)));
  }

  /**
   * The leaves that map the huge page that a frame belongs to, or a part of it, in all processes. None of a page that is free, or only in
   * a file.
   *
   * @param frame number of a 4 KiB frame
   * @throws RangeError unless it belongs to a huge page
   */
  mappingsOf(frame: number): FolioMapping[] {
    const processes = new Map([...this.#processes].map((process) => [process.mm, process]));
    const parts = mappedParts(this.folio(frame));
    return parts.map(({ mm, ...part }) => ({ process: processes.get(mm)!, ...part }));
  }

  /**
   * Moves the huge page that a frame belongs to into another one, which then is mapped in its stead: what move_pages(2), memory hot-remove
   * and compaction have Linux do. With threads, {@link Syscalls.migrate}.
   *
   * @param frame number of a 4 KiB frame
   * @returns 'EBUSY' of a page that is free or being moved; 'EAGAIN' where somebody has a reference, a pin for one; 'ENOMEM' where there is
   *   no page to move it to
   * @throws RangeError unless it belongs to a huge page
   */
  migrate(frame: number): Migrated {
    return this.kernelExit(this.#kernel, run(migratePage(this.#kernel, this.folio(frame))));
  }

  /**
   * Writes 1 to /sys/kernel/debug/split_huge_pages. There is no transparent huge page to be split, but on its way Linux takes a reference to every page, and gives
   * it back: which others may see who run at the same time, {@link Syscalls.splitHugePages}.
   */
  splitHugePages(): 'OK' {
    return this.kernelExit(this.#kernel, run(splitHugePagesAll(this.#kernel, this)));
  }

  /**
   * The huge page that a frame belongs to, in use or free.
   *
   * @param frame number of a 4 KiB frame
   * @throws RangeError unless it belongs to a huge page
   */
  folio(frame: number): Folio {
    return folioOf(this.frames, 'frame', frame);
  }

  /** The huge pages that are in use. */
  *folios(): Generator<Folio, void, undefined> {
    for (const folio of this.frames.folios()) if (folio.refcount > 0) yield folio;
  }

  /**
   * Recounts everything. Nothing is said of a machine where something was left half done by a DeadEnd, or that has one of the faults
   * {@link HGM_POSTED_MISCOUNTS}: there, counts may be wrong.
   *
   * @throws InvariantError where a count disagrees with page tables, page caches or reserve maps
   */
  check(): void {
    if (!this.hasDeadEnds && !this.hgmPosted(HGM_POSTED_MISCOUNTS)) checkInvariants(this);
  }

  /** Whether the kernel has a fault of the series as posted. @param bit of HGM_POSTED_ @internal */
  hgmPosted(bit: number): boolean {
    return (this.#hgmPosted & bit) !== 0;
  }

  /** @internal */
  hasBug(bit: number): boolean {
    return (this.#bugs & bit) !== 0;
  }

  /** @internal */
  hasFix(bit: number): boolean {
    return (this.#fixes & bit) !== 0;
  }

  /** Loads CR3, if another process ran last. @internal */
  runs(mm: Mm): CoreExports {
    if (this.#running !== mm) {
      this.cpu.reload({ ...this.cpu.registers, cr3: mm.cr3 });
      this.#running = mm;
    }
    return this.cpu.core;
  }

  /** Whether a kernel thread has something to do. */
  get hasDeferredWork(): boolean {
    return this.#deferred.length > 0;
  }

  /** Does what was left to a kernel thread. */
  runDeferredWork(): void {
    for (const work of this.#deferred.splice(0)) run(work(this.#kernel));
    this.kernelExit(this.#kernel, undefined);
  }

  /** `queue_work`: leaves something to a kernel thread. @param work makes the path for its task @internal */
  queueWork(work: (task: Task) => Path<void>): void {
    this.#deferred.push(work);
    if (!this.#defersWork) this.runDeferredWork();
  }

  /** The end of a system call: nothing may be held. Returns `result`. @internal */
  kernelExit<T>(task: Task, result: T): T {
    task.assertNothingHeld('kernelExit');
    /* While others are under way, counts need not agree. */
    if (this.#checks && !task.preemptible) this.check();
    return result;
  }

  /** A new thread's number; the kernel's own is 0. @internal */
  newTid(task: Task): number {
    this.#tasks.push(task);
    return this.#nextTid++;
  }

  /**
   * What the machine is now, with everything that belongs to it, to be put back again and again: for a search, which runs a small machine tens
   * of thousands of times. The trace, and memory that has grown, stay as they are; so does what the embedder itself writes to page tables.
   * Processes, threads, files and mappings that are made later are garbage after a return; those that end or close are there again.
   *
   * @throws TypeError while somebody is in the kernel: holds a lock, takes turns in `interleave`, or waits for a userfaultfd. That a path
   *   which is to be gone on with sleeps in a read of a message cannot be seen
   * @internal
   */
  checkpoint(): Checkpoint {
    return new Checkpoint(this);
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.hugetlbLock, ...this.faultMutexes.all);
    for (const kept of [this.tables, this.frames, this.blocks, this.badMemory]) checkpoint.add(kept);
    for (const all of [this.hstates, this.#processes, this.inodes, this.subpools, this.open]) checkpoint.addAll(all);
    const sets = [keepSet(this.#processes), keepSet(this.inodes), keepSet(this.subpools), keepSet(this.open)];
    const deferred = keepArray(this.#deferred);
    const cpu = this.#keepCpu();
    const { current, nextProcess, hasDeadEnds } = this;
    const nextInode = this.#nextInode;
    const nextFile = this.#nextFile;
    const nextTid = this.#nextTid;
    this.#wasKept = true;
    checkpoint.addAll(this.#tasks);
    const tasks = this.#tasks.length;
    return () => {
      for (const set of sets) set();
      deferred();
      cpu();
      this.current = current;
      this.nextProcess = nextProcess;
      this.hasDeadEnds = hasDeadEnds;
      this.#nextInode = nextInode;
      this.#nextFile = nextFile;
      this.#nextTid = nextTid;
      while (this.#tasks.length > tasks) this.#tasks.pop()!.letGo();
    };
  }

  #keepCpu(): PutBack {
    const { cpu } = this;
    const running = this.#running;
    const { registers } = cpu;
    return () => {
      this.#running = running;
      if (cpu.registers !== registers) cpu.reload(registers);
      cpu.tlbs.invalidate(EVERYTHING);
    };
  }

  /** A new file that programs can open, with the caller's reference. Files are counted from 0. @internal */
  newFile(hstate: Hstate, subpool?: Subpool): HugetlbfsInode {
    return this.#newInode(`file ${this.#nextFile++}`, hstate, subpool);
  }

  /** The file behind an anonymous mapping, with the caller's reference: it has no number of its own. @param process that maps it @internal */
  newAnonymousFile(hstate: Hstate, process: string): HugetlbfsInode {
    return this.#newInode(`the anonymous file of ${process}`, hstate, undefined);
  }

  #newInode(name: string, hstate: Hstate, subpool: Subpool | undefined): HugetlbfsInode {
    const inode = new HugetlbfsInode(this.#nextInode++, name, hstate, subpool);
    this.inodes.add(inode);
    return inode;
  }

  /** A process, or undefined where memory for page tables is used up. @param name of one that is not counted @internal */
  newProcess(name?: string): Process | undefined {
    const mm = Mm.create(this, name ?? `process ${this.nextProcess}`);
    if (!mm) return undefined;
    const process = new Process(this, name === undefined ? this.nextProcess++ : -1, mm);
    this.#processes.add(process);
    return process;
  }

  /** Like {@link hstate}, where the size must be given. */
  #pool(hugePageSize: number): Hstate {
    checkInteger('hugePageSize', hugePageSize, DEFAULT_HUGE_PAGE, 2 ** 30);
    return this.hstate(hugePageSize);
  }

  /** A process that has ended. @internal */
  forget(process: Process): void {
    this.#processes.delete(process);
    if (this.#wasKept) return;
    for (const task of process.tasks) this.#tasks.splice(this.#tasks.indexOf(task), 1);
  }
}
