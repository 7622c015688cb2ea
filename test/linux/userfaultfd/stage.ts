/**
 * A process with a mapping that a userfaultfd has, and threads to act on it.
 */
import {
  interleave,
  MAP_ANONYMOUS,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  Machine,
  type PagefaultMessage,
  type Path,
  PM_PRESENT,
  PM_UFFD_WP,
  PROT_READ,
  PROT_WRITE,
  type Process,
  type Syscalls,
  UFFD_EVENT_PAGEFAULT,
  UFFDIO_REGISTER_MODE_MISSING,
  type UffdMessage,
  type UserfaultFile,
} from '../../../src/linux/index.ts';

export const SMALL: number = 2 ** 21;
export const LARGE: number = 2 ** 30;
/** The two sizes, as rows of `describe.each`. */
export const SIZES: readonly { name: string; size: number }[] = [
  { name: '2 MiB', size: SMALL },
  { name: '1 GiB', size: LARGE },
];
/** Both kinds of mapping, as the kernel's tests name them. */
export const KINDS: readonly { name: string; shared: boolean }[] = [
  { name: 'hugetlb', shared: true },
  { name: 'hugetlb-private', shared: false },
];

export interface StageOptions {
  readonly size?: number;
  readonly pages?: number;
  readonly pool?: number;
  readonly shared?: boolean;
  readonly features?: number;
  /** UFFD_USER_MODE_ONLY... */
  readonly flags?: number;
  /** What all of it is registered for; 0: nothing. */
  readonly mode?: number;
  readonly checks?: boolean;
}

export interface Stage {
  readonly machine: Machine;
  readonly process: Process;
  readonly uffd: UserfaultFile;
  readonly size: number;
  readonly length: number;
  /** Where the mapping lies. */
  readonly at: number;
  /** Of a shared mapping: the same file again, for which nothing is registered. */
  readonly alias: number;
  /** The address of a page. */
  page(index: number): number;
}

/** Makes one. The mapping lies behind 1 GiB of nothing. */
export function stage(options: StageOptions = {}): Stage {
  const { size = SMALL, pages = 4, shared = false, features = 0, flags = 0, checks = true } = options;
  const { pool = 2 * pages, mode = UFFDIO_REGISTER_MODE_MISSING } = options;
  const machine = new Machine({ pools: [{ hugePageSize: size, pages: pool }], checks });
  const process = machine.createProcess();
  const length = pages * size;
  const prot = PROT_READ | PROT_WRITE;
  let at: number;
  let alias = 0;
  if (shared) {
    const file = machine.memfdCreate({ hugePageSize: size });
    at = address(process.mmap({ address: 2 ** 40, length, prot, flags: MAP_SHARED, file }));
    alias = address(process.mmap({ address: 2 ** 41, length, prot, flags: MAP_SHARED, file }));
  } else {
    const huge = MAP_HUGETLB | (size === LARGE ? MAP_HUGE_1GB : MAP_HUGE_2MB);
    at = address(process.mmap({ address: 2 ** 40, length, prot, flags: MAP_PRIVATE | MAP_ANONYMOUS | huge }));
  }
  const uffd = process.userfaultfd(flags);
  uffd.api(features);
  if (mode !== 0) {
    const { result } = uffd.register(at, length, mode);
    if (result !== 'OK') throw new Error(`register: ${result}`);
  }
  return { machine, process, uffd, size, length, at, alias, page: (index) => at + index * size };
}

/** What must have worked. */
export function address<T>(result: T | string): T {
  if (typeof result === 'string') throw new Error(result);
  return result;
}

/** Made once: 1 GiB takes its time. One thread at a time may copy out of it. */
let large: Uint8Array | undefined;

/** Pages' worth of bytes: of each the first is `value`, and so is the last. */
export function bytes(size: number, value: number, pages = 1): Uint8Array {
  if (size === LARGE && pages === 1) large ??= new Uint8Array(LARGE);
  const array = size === LARGE && pages === 1 ? large! : new Uint8Array(size * pages);
  for (let page = 0; page < pages; page++) {
    array[page * size] = value;
    array[page * size + size - 1] = value;
  }
  return array;
}

/** A thread and its path. */
export interface Actor {
  readonly thread: Syscalls;
  readonly path: Path<unknown>;
}

export function actor(thread: Syscalls, path: Path<unknown>): Actor {
  return { thread, path };
}

/** Runs actors until all are done; the pick is the first that can go on, unless said otherwise. */
export function together(actors: readonly Actor[], pick: (count: number) => number = () => 0): unknown[] {
  return interleave(
    actors.map(({ thread, path }) => ({ task: thread.task, path })),
    pick,
  );
}

/** A pick that is random, and the same for the same seed. */
export function seeded(seed: number): (count: number) => number {
  let state = seed * 2654435761 + 12345;
  return (count) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) % count;
  };
}

/** A thread that reads `count` messages and does something about each. Returns the messages. */
export function* serve(
  thread: Syscalls,
  uffd: UserfaultFile,
  count: number,
  act: (message: UffdMessage) => Path<unknown> = nothing,
): Path<UffdMessage[]> {
  const messages: UffdMessage[] = [];
  while (messages.length < count) {
    const message = yield* thread.uffdRead(uffd);
    if (typeof message === 'string') throw new Error(message);
    messages.push(message);
    yield* act(message);
  }
  return messages;
}

function* nothing(): Path<void> {}

/** That a message is a fault's. */
export function fault(message: UffdMessage | string): PagefaultMessage {
  if (typeof message === 'string' || message.event !== UFFD_EVENT_PAGEFAULT) throw new Error('not a fault');
  return message;
}

/** A path that copies a page to where the fault was. */
export function copyTo(thread: Syscalls, { uffd, size }: Stage, value: number, mode = 0) {
  return function* (message: UffdMessage): Path<unknown> {
    const { address: where } = fault(message);
    const base = Math.floor(where / size) * size;
    return yield* thread.uffdFill(uffd, base, size, { kind: 'copy', mode, bytes: bytes(size, value) });
  };
}

/** What pagemap says of a page: whether it is there, and write-protected by userfaultfd. */
export function pagemap(process: Process, at: number): string {
  const [entry] = process.pagemap(at);
  const present = (entry! & PM_PRESENT) !== 0n;
  const wp = (entry! & PM_UFFD_WP) !== 0n;
  return `${present ? 'present' : 'none'}${wp ? ' wp' : ''}`;
}
