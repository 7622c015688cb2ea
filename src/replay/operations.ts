/**
 * The operations of scenarios: the fields of each, and what it asks of the model.
 */
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MADV_DONTNEED,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED_NOREPLACE,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../linux/uapi.ts';
import {
  UFFDIO_COPY_MODE_WP,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../linux/uffd-uapi.ts';
import type { UserfaultFile } from '../linux/userfault-file.ts';
import {
  actor,
  at,
  byte,
  type Context,
  choice,
  type Field,
  type Fields,
  file,
  fileOffset,
  filePages,
  fileSize,
  integer,
  leaver,
  newcomer,
  optional,
  page,
  pages,
  Refusal,
  slot,
  truth,
  type Values,
} from './fields.ts';
import { HUGE_PAGES, type Setting } from './setting.ts';
import type { Stage } from './stage.ts';

/** How an operation ended: OK, an errno, a signal, or HANG; and what it found. */
export interface Answer {
  readonly result: string;
  /** The byte that was read, or -1 where none could be; bytes transferred, and their hash. By the names of the fields. */
  readonly found?: Readonly<Record<string, number>>;
}

/** What is wrong with fields that are right one by one. */
export interface Problem {
  readonly field: string;
  readonly refusal: Refusal;
}

/** What an operation does with the values of its fields. */
interface Behaviour<V> {
  /** Told of by a signal (a touch), not by an errno (a system call). */
  readonly touches?: boolean;
  /** Fields that it finds, and is not given. */
  readonly found?: readonly string[];
  readonly problem?: (values: V, context: Context) => Problem | undefined;
  /** Who lives when the operation has succeeded, before `alive` did. */
  readonly lives?: (values: V, alive: Set<number>) => void;
  readonly run: (stage: Stage, values: V) => Answer;
  /** Takes back what the model did and the kernel did not, so that what follows can still be compared. */
  readonly undo?: (stage: Stage, values: V) => void;
}

/** An operation, whatever its fields. */
export interface Operation extends Behaviour<Readonly<Record<string, unknown>>> {
  /** Beside `op` and `result`, which all have. */
  readonly fields: Fields;
}

/** Joins fields with functions that know their types. */
function operation<F extends Fields>(fields: F, behaviour: Behaviour<Values<F>>): Operation {
  return { fields, ...(behaviour as unknown as Behaviour<Readonly<Record<string, unknown>>>) };
}

const PROTECTIONS = { rw: PROT_READ | PROT_WRITE, r: PROT_READ } as const;

/** Kinds of mappings. */
const KINDS = {
  private_anon: { flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, ofFile: false },
  shared_anon: { flags: MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, ofFile: false },
  private_file: { flags: MAP_PRIVATE, ofFile: true },
  shared_file: { flags: MAP_SHARED, ofFile: true },
} as const;

type Kind = (typeof KINDS)[keyof typeof KINDS];

const sizeFlag = ({ hugePageSize }: Setting): number =>
  hugePageSize === HUGE_PAGES['1G'] ? MAP_HUGE_1GB : MAP_HUGE_2MB;

const mmap: Operation = operation(
  {
    proc: actor,
    slot,
    kind: choice<Kind>(KINDS),
    pages,
    file: optional(file),
    offset: optional(fileOffset),
    prot: choice(PROTECTIONS),
    noreserve: truth,
  },
  {
    problem(values) {
      for (const field of ['file', 'offset'] as const) {
        if ((values[field] !== undefined) === values.kind.ofFile) continue;
        const expected = values.kind.ofFile
          ? 'an integer, as a file is mapped'
          : 'no such field for memory without a file';
        return { field, refusal: new Refusal(expected) };
      }
      return undefined;
    },
    run(stage, { proc, slot, kind, pages, file, offset, prot, noreserve }) {
      const address = stage.address(slot, 0);
      const mapped = stage.process(proc).mmap({
        address,
        length: stage.bytes(pages),
        prot,
        flags:
          kind.flags |
          MAP_FIXED_NOREPLACE |
          (kind.ofFile ? 0 : sizeFlag(stage.setting)) |
          (noreserve ? MAP_NORESERVE : 0),
        ...(file !== undefined && { file: stage.files[file]!, offset: stage.bytes(offset!) }),
      });
      return mapping(mapped, address);
    },
  },
);

const mremap: Operation = operation(
  /* The whole slot moves: `page` is there in recordings, and 0. */
  { proc: actor, slot, page: integer(0, 0), pages, to: slot },
  {
    run(stage, { proc, slot, pages, to }) {
      const bytes = stage.bytes(pages);
      const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
      const address = stage.address(to, 0);
      return mapping(stage.process(proc).mremap(stage.address(slot, 0), bytes, bytes, flags, address), address);
    },
  },
);

/** The result of a call that returns an address. */
function mapping(mapped: number | string, address: number): Answer {
  if (typeof mapped === 'string') return { result: mapped };
  return { result: mapped === address ? 'OK' : `OK at 0x${mapped.toString(16)}` };
}

const range = { proc: actor, slot, page, pages } as const;

/** A range ends within its slot. */
function rangeProblem(
  values: { readonly page: number; readonly pages: number },
  { setting: { slotPages } }: Context,
): Problem | undefined {
  if (values.page + values.pages <= slotPages) return undefined;
  const most = slotPages - values.page;
  return { field: 'pages', refusal: new Refusal(`at most ${most}, as a slot has ${slotPages} pages`) };
}

const munmap: Operation = operation(range, {
  problem: rangeProblem,
  run: (stage, { proc, slot, page, pages }) => ({
    result: stage.process(proc).munmap(stage.address(slot, page), stage.bytes(pages)),
  }),
});

const mprotect: Operation = operation(
  { ...range, prot: choice<number>({ ...PROTECTIONS, none: PROT_NONE }) },
  {
    problem: rangeProblem,
    run: (stage, { proc, slot, page, pages, prot }) => ({
      result: stage.process(proc).mprotect(stage.address(slot, page), stage.bytes(pages), prot),
    }),
  },
);

function madvise(advice: number): Operation {
  return operation(range, {
    problem: rangeProblem,
    run: (stage, { proc, slot, page, pages }) => ({
      result: stage.process(proc).madvise(stage.address(slot, page), stage.bytes(pages), advice),
    }),
  });
}

const read: Operation = operation(
  { proc: actor, slot, page, at, value: optional(integer(-1, 255)) },
  {
    touches: true,
    found: ['value'],
    run(stage, { proc, slot, page, at }) {
      const value = stage.process(proc).read(stage.address(slot, page, at));
      return typeof value === 'number' ? { result: 'OK', found: { value } } : { result: value, found: { value: -1 } };
    },
  },
);

const write: Operation = operation(
  { proc: actor, slot, page, at, value: byte },
  {
    touches: true,
    run: (stage, { proc, slot, page, at, value }) => ({
      result: stage.process(proc).write(stage.address(slot, page, at), value),
    }),
  },
);

/** Bytes at (`page`, `at`) of another process's memory. */
const remote = {
  proc: actor,
  slot,
  page,
  at,
  length: integer(1, 2 ** 24),
  done: optional(integer(-1, 2 ** 24)),
} as const;

/** How a program reads and writes another's memory. */
type RemoteAccess = 'processVmRead' | 'processVmWrite' | 'procMemRead' | 'procMemWrite';

function remoteRead(access: RemoteAccess): Operation {
  return operation(
    { ...remote, fnv1a: optional(integer(0, 2 ** 32 - 1)) },
    {
      found: ['done', 'fnv1a'],
      run(stage, { proc, slot, page, at, length }) {
        const buffer = new Uint8Array(length);
        const answer = transferred(
          stage.process(proc)[access](stage.process(proc), stage.address(slot, page, at), buffer),
        );
        const { done } = answer.found;
        return { ...answer, found: { done, fnv1a: done < 0 ? 0 : fnv1a(buffer.subarray(0, done)) } };
      },
    },
  );
}

function remoteWrite(access: RemoteAccess): Operation {
  return operation(
    { ...remote, value: byte },
    {
      found: ['done'],
      run(stage, { proc, slot, page, at, length, value }) {
        const buffer = new Uint8Array(length).fill(value);
        return transferred(stage.process(proc)[access](stage.process(proc), stage.address(slot, page, at), buffer));
      },
    },
  );
}

function transferred(done: number | string): Answer & { readonly found: { readonly done: number } } {
  return typeof done === 'number' ? { result: 'OK', found: { done } } : { result: done, found: { done: -1 } };
}

/** The hash of FNV-1a, 32 bits. */
function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return hash >>> 0;
}

const pinLongtermWrite: Operation = operation(
  { proc: actor, slot, page, at, length: integer(1, 2 ** 32) },
  {
    run: (stage, { proc, slot, page, at, length }) => ({
      result: stage.process(proc).registerBuffer(stage.address(slot, page, at), length),
    }),
  },
);

const unpin: Operation = operation(
  { proc: actor },
  { run: (stage, { proc }) => ({ result: stage.process(proc).unregisterBuffer() }) },
);

const UFFD_MODES: Readonly<Record<string, number>> = {
  m: UFFDIO_REGISTER_MODE_MISSING,
  w: UFFDIO_REGISTER_MODE_WP,
  c: UFFDIO_REGISTER_MODE_MINOR,
};

/** `mcw` in any order, each at most once: what userfaultfd is registered for. */
const uffdMode: Field<number> = (value) => {
  const letters = typeof value === 'string' ? [...value] : [];
  const known = letters.every((letter) => letter in UFFD_MODES) && new Set(letters).size === letters.length;
  if (letters.length === 0 || !known) return new Refusal('one or more of the letters m, w and c');
  return letters.reduce((mode, letter) => mode | UFFD_MODES[letter]!, 0);
};

const uffdRegister: Operation = operation(
  { ...range, mode: uffdMode },
  {
    problem: rangeProblem,
    run: (stage, { proc, slot, page, pages, mode }) => ({
      result: stage.userfaultfd(proc).register(stage.address(slot, page), stage.bytes(pages), mode).result,
    }),
  },
);

const uffdCopy: Operation = operation(
  { ...range, wp: truth, value: byte },
  {
    problem: rangeProblem,
    run(stage, { proc, slot, page, pages, wp, value }) {
      const source = new Uint8Array(stage.bytes(pages)).fill(value);
      const mode = wp ? UFFDIO_COPY_MODE_WP : 0;
      return { result: stage.userfaultfd(proc).copy(stage.address(slot, page), source, mode).result };
    },
  },
);

function uffdRange(call: (uffd: UserfaultFile, start: number, length: number) => string): Operation {
  return operation(range, {
    problem: rangeProblem,
    run: (stage, { proc, slot, page, pages }) => ({
      result: call(stage.userfaultfd(proc), stage.address(slot, page), stage.bytes(pages)),
    }),
  });
}

const fork: Operation = operation(
  { proc: actor, child: newcomer },
  {
    lives: ({ child }, alive) => alive.add(child),
    run(stage, { proc, child }) {
      stage.machine.nextProcess = child;
      const forked = stage.process(proc).fork();
      if (typeof forked === 'string') return { result: forked };
      stage.enter(child, forked);
      return { result: 'OK' };
    },
    undo: (stage, { child }) => stage.leave(child),
  },
);

const exit: Operation = operation(
  { proc: leaver },
  {
    lives: ({ proc }, alive) => alive.delete(proc),
    run(stage, { proc }) {
      stage.leave(proc);
      return { result: 'OK' };
    },
  },
);

function fallocate(mode: number): Operation {
  return operation(
    { file, offset: fileOffset, pages: filePages },
    {
      run: (stage, { file, offset, pages }) => ({
        result: stage.files[file]!.fallocate(stage.bytes(offset), stage.bytes(pages), mode),
      }),
    },
  );
}

const ftruncate: Operation = operation(
  { file, pages: fileSize },
  {
    run: (stage, { file, pages }) => ({ result: stage.files[file]!.ftruncate(stage.bytes(pages)) }),
  },
);

/** All operations, by the name that `op` gives. */
export const OPERATIONS: ReadonlyMap<string, Operation> = new Map(
  Object.entries({
    mmap,
    munmap,
    mprotect,
    mremap,
    read,
    write,
    fork,
    exit,
    madvise_dontneed: madvise(MADV_DONTNEED),
    madvise_remove: madvise(MADV_REMOVE),
    madvise_populate_read: madvise(MADV_POPULATE_READ),
    madvise_populate_write: madvise(MADV_POPULATE_WRITE),
    process_vm_read: remoteRead('processVmRead'),
    process_vm_write: remoteWrite('processVmWrite'),
    proc_mem_read: remoteRead('procMemRead'),
    proc_mem_write: remoteWrite('procMemWrite'),
    pin_longterm_write: pinLongtermWrite,
    unpin,
    uffd_register: uffdRegister,
    uffd_unregister: uffdRange((uffd, start, length) => uffd.unregister(start, length)),
    uffd_copy: uffdCopy,
    uffd_continue: uffdRange((uffd, start, length) => uffd.continue(start, length).result),
    uffd_zeropage: uffdRange((uffd, start, length) => uffd.zeropage(start, length).result),
    uffd_writeprotect: uffdRange((uffd, start, length) =>
      uffd.writeprotect(start, length, UFFDIO_WRITEPROTECT_MODE_WP),
    ),
    uffd_unwriteprotect: uffdRange((uffd, start, length) => uffd.writeprotect(start, length, 0)),
    fallocate: fallocate(0),
    punch_hole: fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE),
    ftruncate,
  }),
);
