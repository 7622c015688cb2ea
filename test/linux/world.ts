/**
 * A machine with a few processes and files, on which operations are carried out.
 */
import {
  type HugetlbFile,
  type Hugetlbfs,
  MAP_ANONYMOUS,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  Machine,
  type MachineOptions,
  type Process,
} from '../../src/linux/index.ts';
import { type Arena, GIB, type Operation, type Span } from './operations.ts';

const FILES = 3;
const MOST_PROCESSES = 4;

/** Of a mount, in huge pages. */
export interface Limits {
  readonly size?: number;
  readonly minSize?: number;
}

/** What an operation came to; undefined where it was left out. */
export type Answer = number | string | undefined;

/** Pages from a mark on, as the kernel wants them: bytes. */
export function bytesOf({ base, hugePageSize }: Arena, { from, to }: Span, skew = 0): { at: number; length: number } {
  const at = base + from * hugePageSize + Math.max(skew, 0);
  return { at, length: Math.max((to - from) * hugePageSize + skew, 0) };
}

export class World {
  readonly machine: Machine;
  readonly arenas: readonly Arena[];
  /** Processes that live, the oldest first. */
  readonly processes: Process[];
  /** Open files of each arena. */
  readonly files: HugetlbFile[][];
  readonly #mounts: { readonly mount: Hugetlbfs; readonly slot: number; readonly hugePageSize: number }[] = [];
  /** Whether a mapping was ever moved: an access may then wait for ever. */
  moved = false;

  /** @param limits of the mounts that the first, second, third file lies on */
  constructor(arenas: readonly Arena[], options: MachineOptions, limits: readonly Limits[] = []) {
    this.machine = new Machine(options);
    this.arenas = arenas;
    this.processes = [this.machine.createProcess()];
    this.files = arenas.map(({ hugePageSize }) => {
      for (const [slot, limit] of limits.entries()) this.#mount(slot, limit, hugePageSize);
      return Array.from({ length: FILES }, (_, slot) => this.#open(slot, hugePageSize));
    });
  }

  /** Carries one operation out. */
  apply(operation: Operation): Answer {
    switch (operation.kind) {
      case 'pool':
      case 'overcommit':
        return this.#resize(operation.kind, this.arena(operation.arena), operation.pages);
      case 'fallocate': {
        const { at, length } = bytesOf({ ...this.arena(operation.arena), base: 0 }, operation.span, operation.skew);
        return this.file(operation.arena, operation.file).fallocate(at, length, operation.mode);
      }
      case 'ftruncate': {
        const bytes = operation.at * this.arena(operation.arena).hugePageSize + Math.max(operation.skew, 0);
        return this.file(operation.arena, operation.file).ftruncate(bytes);
      }
      case 'reopen':
        return this.#reopen(
          this.files[operation.arena % this.arenas.length]!,
          operation.file % FILES,
          this.arena(operation.arena).hugePageSize,
        );
      case 'fork':
        return this.#fork(this.process(operation.process));
      case 'exit':
        return this.#exit(this.process(operation.process));
      default:
        return this.#inArena(this.process(operation.process), this.arena(operation.arena), operation);
    }
  }

  arena(index: number): Arena {
    return this.arenas[index % this.arenas.length]!;
  }

  file(arena: number, index: number): HugetlbFile {
    return this.files[arena % this.arenas.length]![index % FILES]!;
  }

  process(index: number): Process {
    return this.processes[index % this.processes.length]!;
  }

  /** Ends all processes, closes all files, unmounts all mounts. */
  end(): void {
    for (const process of this.processes.splice(0)) process.exit();
    for (const file of this.files.flat()) file.close();
    for (const { mount } of this.#mounts) mount.umount();
  }

  #inArena(
    process: Process,
    arena: Arena,
    operation: Extract<Operation, { kind: 'mmap' | 'munmap' | 'mprotect' | 'madvise' | 'mremap' | 'read' | 'write' }>,
  ): Answer {
    switch (operation.kind) {
      case 'mmap':
        return this.#mmap(process, arena, operation);
      case 'munmap': {
        const { at, length } = bytesOf(arena, operation.span, operation.skew);
        return process.munmap(at, length);
      }
      case 'mprotect': {
        const { at, length } = bytesOf(arena, operation.span, operation.skew);
        return process.mprotect(at, length, operation.prot);
      }
      case 'madvise': {
        const { at, length } = bytesOf(arena, operation.span, operation.skew);
        return process.madvise(at, length, operation.advice);
      }
      case 'mremap':
        return this.#mremap(process, arena, operation);
      default: {
        const address = addressOf(arena, operation.at, operation.byte);
        return operation.kind === 'read' ? process.read(address) : process.write(address, operation.value);
      }
    }
  }

  #mmap(process: Process, arena: Arena, operation: Extract<Operation, { kind: 'mmap' }>): Answer {
    const { at, length } = bytesOf(arena, operation.span);
    const huge = arena.hugePageSize === GIB ? MAP_HUGE_1GB : MAP_HUGE_2MB;
    const { prot } = operation;
    const address = operation.placed ? at : 0;
    const flags = operation.placed ? operation.flags : operation.flags & ~FIXED;
    if (operation.file === undefined) {
      return process.mmap({ address, length, prot, flags: flags | MAP_ANONYMOUS | MAP_HUGETLB | huge });
    }
    const file = this.file(operation.arena, operation.file);
    return process.mmap({ address, length, prot, flags, file, offset: operation.offset * arena.hugePageSize });
  }

  #mremap(process: Process, arena: Arena, operation: Extract<Operation, { kind: 'mremap' }>): Answer {
    const { from, length, keep, to } = moveOf(arena, operation);
    const result = process.mremap(from, length, keep, operation.flags, to);
    if (typeof result === 'number') this.moved = true;
    return result;
  }

  #fork(process: Process): Answer {
    if (this.processes.length === MOST_PROCESSES) return undefined;
    const child = process.fork();
    if (typeof child === 'string') return child;
    this.processes.push(child);
    return child.number;
  }

  /** There is always another process. */
  #exit(process: Process): Answer {
    process.exit();
    this.processes.splice(this.processes.indexOf(process), 1);
    if (this.processes.length === 0) this.processes.push(this.machine.createProcess());
    return 'OK';
  }

  #resize(kind: 'pool' | 'overcommit', { hugePageSize }: Arena, pages: number): Answer {
    if (kind === 'pool') return this.machine.setNrHugepages(hugePageSize, pages);
    return this.machine.setNrOvercommitHugepages(hugePageSize, pages);
  }

  /** Closes a file, and opens another on the same mount. */
  #reopen(files: HugetlbFile[], slot: number, hugePageSize: number): Answer {
    files[slot]!.close();
    files[slot] = this.#open(slot, hugePageSize);
    return 'OK';
  }

  #open(slot: number, hugePageSize: number): HugetlbFile {
    const mount = this.#mounts.find((each) => each.slot === slot && each.hugePageSize === hugePageSize);
    return mount ? mount.mount.create() : this.machine.memfdCreate({ hugePageSize });
  }

  #mount(slot: number, { size, minSize }: Limits, hugePageSize: number): void {
    const mount = this.machine.mountHugetlbfs({
      hugePageSize,
      ...(size === undefined ? {} : { size: size * hugePageSize }),
      ...(minSize === undefined ? {} : { minSize: minSize * hugePageSize }),
    });
    /* Where the pool cannot promise the minimum, the file has no limits. */
    if (typeof mount !== 'string') this.#mounts.push({ mount, slot, hugePageSize });
  }
}

const FIXED = 0x10_0010;

/** The address of a byte of the page at a mark; byte -1 is the last one. */
export function addressOf({ base, hugePageSize }: Arena, at: number, byte: number): number {
  return base + at * hugePageSize + (byte < 0 ? hugePageSize + byte : byte);
}

/** What mremap is asked, in bytes. */
export function moveOf(
  arena: Arena,
  { span, keep, to }: Extract<Operation, { kind: 'mremap' }>,
): { from: number; length: number; keep: number; to: number } {
  const { base, hugePageSize, longestMove } = arena;
  const pages = Math.min(span.to - span.from, longestMove);
  /* Mostly all of it; else a part, or too much. */
  const kept = keep < 6 ? pages : keep === 9 ? pages + 1 : Math.max(pages - (keep - 5), 0);
  return {
    from: base + span.from * hugePageSize,
    length: pages * hugePageSize,
    keep: kept * hugePageSize,
    to: base + to * hugePageSize,
  };
}
