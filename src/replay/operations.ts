/**
 * The operations of scenarios: the fields of each, and what it asks of the model.
 */
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MADV_DONTNEED,
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
  actor,
  at,
  byte,
  type Context,
  choice,
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

/** How an operation ended: OK, an errno, a signal, or HANG; and the value that it read. */
export interface Answer {
  readonly result: string;
  /** Only of an operation that reads: the byte, or -1 where it could not be read. */
  readonly value?: number;
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
  /** Has a `value` that it finds, and not one that it is given. */
  readonly reads?: boolean;
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
    reads: true,
    run(stage, { proc, slot, page, at }) {
      const found = stage.process(proc).read(stage.address(slot, page, at));
      return typeof found === 'number' ? { result: 'OK', value: found } : { result: found, value: -1 };
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
    fallocate: fallocate(0),
    punch_hole: fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE),
    ftruncate,
  }),
);
