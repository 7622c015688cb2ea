/**
 * What random calls are made on: a machine, what programs hold of it, and dice.
 */
import {
  type HugetlbFile,
  type Hugetlbfs,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_SPLIT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  Machine,
  type MachineOptions,
  type Path,
  type Pipe,
  PROT_READ,
  PROT_WRITE,
  type Process,
  type Syscalls,
  type Task,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_EVENT_REMOVE,
  UFFD_FEATURE_EVENT_UNMAP,
  UFFD_FEATURE_MINOR_HUGETLBFS_HGM,
  UFFD_FEATURE_SIGBUS,
  type UserfaultFile,
} from '../../../src/linux/index.ts';

export const KIB4: number = 4096;
/** Huge pages of a slot, which is a range of addresses for mappings. */
export const SLOT: number = 4;
const SLOTS = 2;
export const BASE: number = 1020 * 2 ** 30;
const SLOT_BYTES = 2 ** 33;
export const RW: number = PROT_READ | PROT_WRITE;
export const MARKED: readonly number[] = [0, 1, 2, 3, 7, 8, 255, 256, 510, 511];

export const EVENTS: number = UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP;

/** Random numbers that a state of 32 bits determines (xorshift32), so that they can be gone back with. */
export class Dice {
  state: number;

  constructor(seed: number) {
    this.state = Math.imul(seed + 1, 0x9e37_79b1) || 1;
  }

  below(below: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return Math.floor(((this.state >>> 0) / 2 ** 32) * below);
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

/** What a machine is, and what is asked of it. */
export interface Scene {
  readonly name: string;
  readonly options: MachineOptions;
  /** Bytes of the huge pages. */
  readonly size: number;
  /** Bytes of which mappings are so many, if not of a huge page. */
  readonly unit?: number;
  /** Whether files lie on a mount with limits. */
  readonly limits?: boolean;
}

/** What a program holds in its hands. */
interface Hands {
  processes: Process[];
  threads: { readonly process: Process; readonly calls: Syscalls }[];
  files: HugetlbFile[];
  mounts: Hugetlbfs[];
  uffds: UserfaultFile[];
  pipes: Pipe[];
  /** Frames that GUP gave, each list pinned or not. */
  got: { readonly frames: readonly number[]; readonly pinned: boolean }[];
}

/** A machine with what programs hold, and the dice. */
export class World {
  readonly machine: Machine;
  readonly scene: Scene;
  dice: Dice;
  hands: Hands;

  constructor(scene: Scene, seed: number) {
    this.scene = scene;
    this.machine = new Machine(scene.options);
    this.dice = new Dice(seed);
    this.hands = { processes: [], threads: [], files: [], mounts: [], uffds: [], pipes: [], got: [] };
    this.#begin(this.machine.createProcess(), this.machine.memfdCreate({ hugePageSize: scene.size }));
  }

  /** A file that is mapped, and a private mapping, so that not all calls are in vain. */
  #begin(process: Process, file: HugetlbFile): void {
    const { hands, scene } = this;
    this.join(process);
    hands.files.push(file);
    hands.pipes.push(this.machine.createPipe());
    const length = SLOT * this.unit;
    file.ftruncate(length);
    file.fallocate(0, 2 * scene.size);
    const reserve = scene.unit ? MAP_NORESERVE : 0;
    process.mmap({ address: BASE, length, prot: RW, flags: MAP_SHARED | MAP_FIXED | reserve, file });
    const flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE | this.huge;
    process.mmap({ address: BASE + SLOT_BYTES, length: SLOT * scene.size, prot: RW, flags });
    if (this.dice.below(2) === 0) process.madvise(BASE, length, MADV_SPLIT);
    if (scene.unit) this.join(process.fork());
    const uffd = process.userfaultfd();
    hands.uffds.push(uffd);
    const hgm = scene.options.hgm?.version === 'rfc-v2' ? UFFD_FEATURE_MINOR_HUGETLBFS_HGM : 0;
    uffd.api(this.dice.of([UFFD_FEATURE_SIGBUS, UFFD_FEATURE_EVENT_FORK, 0, EVENTS]) | hgm);
    if (this.dice.below(2) === 0) uffd.register(BASE, length, this.dice.of([4, 6, 7]));
  }

  /** A process more, if it is one. */
  join(process: Process | string): string {
    if (typeof process === 'string') return process;
    this.hands.processes.push(process);
    this.hands.threads.push({ process, calls: process.thread() });
    return process.name;
  }

  get unit(): number {
    return this.scene.unit ?? this.scene.size;
  }

  /** MAP_HUGE_ bits. */
  get huge(): number {
    return this.scene.size === 2 ** 30 ? MAP_HUGE_1GB : MAP_HUGE_2MB;
  }

  /** What it holds now, to be had again. */
  held(): Hands {
    const { processes, threads, files, mounts, uffds, pipes, got } = this.hands;
    return {
      processes: [...processes],
      threads: [...threads],
      files: [...files],
      mounts: [...mounts],
      uffds: [...uffds],
      pipes: [...pipes],
      got: [...got],
    };
  }

  /** The address of a huge page of a slot. */
  address(): number {
    return (
      BASE + this.dice.below(SLOTS) * SLOT_BYTES + this.dice.below(SLOT) * this.dice.of([this.unit, this.scene.size])
    );
  }

  small(): number {
    return this.address() + this.dice.of(MARKED) * KIB4;
  }

  length(): number {
    return (1 + this.dice.below(SLOT)) * this.dice.of([this.unit, this.scene.size]);
  }

  process(): Process {
    return this.dice.of(this.hands.processes);
  }

  /** A path of one of the threads. */
  work(): { task: Task; path: Path<unknown> } {
    const { dice, hands } = this;
    const thread = dice.of(hands.threads.filter(({ process }) => process.alive)).calls;
    const paths: (() => Path<unknown>)[] = [
      () => thread.read(this.small()),
      () => thread.write(this.small(), dice.below(256)),
      () => thread.munmap(this.address(), this.length()),
      () => thread.madvise(this.address(), this.length(), dice.of([MADV_DONTNEED, MADV_SPLIT, MADV_COLLAPSE])),
      () => thread.getUserPages(this.small(), 8, 0),
      () => thread.fork(),
      () => thread.mprotect(this.address(), this.length(), dice.of([RW, PROT_READ])),
      ...hands.uffds.map((uffd) => () => thread.uffdRead(uffd)),
    ];
    return { task: thread.task, path: dice.of(paths)() };
  }
}
