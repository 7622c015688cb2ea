/**
 * Mappings, and processes.
 */
import {
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
} from '../../linux/base/uapi.ts';
import {
  actor,
  choice,
  type Field,
  file,
  fileOffset,
  integer,
  leaver,
  newcomer,
  type OldNames,
  optional,
  pages,
  Refusal,
  slot,
  truth,
  withDefault,
} from '../line/fields.ts';
import { HUGE_PAGES, type Setting } from '../line/setting.ts';
import { calling, type Operation, tasking } from '../sequence/operation.ts';
import { callerOf, mapping, range, rangeProblem } from './common.ts';

/** Kinds of mappings. */
const KINDS = {
  private_anon: { flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, ofFile: false },
  shared_anon: { flags: MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, ofFile: false },
  private_file: { flags: MAP_PRIVATE, ofFile: true },
  shared_file: { flags: MAP_SHARED, ofFile: true },
} as const;

type Kind = (typeof KINDS)[keyof typeof KINDS];

/** Rights by the name that `prot` gives. */
const prot: Field<number> = choice<number>({ rw: PROT_READ | PROT_WRITE, r: PROT_READ, none: PROT_NONE });

/** Huge pages of a slot, which a mapping has. */
const hugepages: Field<number> = integer(1, ({ slotBytes, hugePageSize }) => slotBytes / hugePageSize);

/** What HGM's recordings say of a file's mapping. */
const shared: Field<Kind> = (value) => {
  if (typeof value !== 'boolean') return new Refusal('true or false');
  return value ? KINDS.shared_file : KINDS.private_file;
};

const sizeFlag = ({ hugePageSize }: Setting): number =>
  hugePageSize === HUGE_PAGES['1G'] ? MAP_HUGE_1GB : MAP_HUGE_2MB;

/** @param old names of its fields in a format */
export function mmap(old: OldNames): Operation {
  return calling(
    {
      proc: actor,
      slot,
      kind: choice<Kind>(KINDS),
      hugepages,
      file: optional(file),
      offset: optional(fileOffset),
      prot,
      noreserve: withDefault(truth, false),
    },
    {
      old: { ...old, shared: { is: 'kind', field: shared } },
      problem({ kind, file, offset }) {
        if (kind.ofFile && file === undefined) {
          return { field: 'file', refusal: new Refusal('an integer, as a file is mapped') };
        }
        const stray = kind.ofFile
          ? undefined
          : file !== undefined
            ? 'file'
            : offset !== undefined
              ? 'offset'
              : undefined;
        return stray && { field: stray, refusal: new Refusal('no such field for memory without a file') };
      },
      *calls(stage, { proc, slot, kind, hugepages, file, offset = 0, prot, noreserve }, thread) {
        const address = stage.address(slot, 0);
        const mapped = yield* callerOf(stage, thread, proc).mmap({
          address,
          length: stage.hugeBytes(hugepages),
          prot,
          flags:
            kind.flags |
            MAP_FIXED_NOREPLACE |
            (kind.ofFile ? 0 : sizeFlag(stage.setting)) |
            (noreserve ? MAP_NORESERVE : 0),
          ...(file !== undefined && { file: stage.files[file]!, offset: stage.hugeBytes(offset) }),
        });
        return mapping(mapped, address);
      },
    },
  );
}

export const munmap: Operation = calling(range, {
  problem: rangeProblem,
  *calls(stage, { proc, slot, page, pages }, thread) {
    return { result: yield* callerOf(stage, thread, proc).munmap(stage.address(slot, page), stage.bytes(pages)) };
  },
});

export const mprotect: Operation = calling(
  { ...range, prot },
  {
    problem: rangeProblem,
    *calls(stage, { proc, slot, page, pages, prot }, thread) {
      const calls = callerOf(stage, thread, proc);
      return { result: yield* calls.mprotect(stage.address(slot, page), stage.bytes(pages), prot) };
    },
  },
);

export const mremap: Operation = calling(
  /* The whole slot moves: `page` is there in recordings, and 0. */
  { proc: actor, slot, page: withDefault(integer(0, 0), 0), pages, to: slot },
  {
    *calls(stage, { proc, slot, pages, to }, thread) {
      const bytes = stage.bytes(pages);
      const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
      const address = stage.address(to, 0);
      const calls = callerOf(stage, thread, proc);
      return mapping(yield* calls.mremap(stage.address(slot, 0), bytes, bytes, flags, address), address);
    },
  },
);

/** madvise(2). @param advice MADV_ */
export function madvise(advice: number): Operation {
  return calling(range, {
    problem: rangeProblem,
    *calls(stage, { proc, slot, page, pages }, thread) {
      const calls = callerOf(stage, thread, proc);
      return { result: yield* calls.madvise(stage.address(slot, page), stage.bytes(pages), advice) };
    },
  });
}

/** mlock(2), munlock(2). */
export function locking(call: 'mlock' | 'munlock'): Operation {
  return calling(range, {
    problem: rangeProblem,
    *calls(stage, { proc, slot, page, pages }, thread) {
      return { result: yield* callerOf(stage, thread, proc)[call](stage.address(slot, page), stage.bytes(pages)) };
    },
  });
}

export const fork: Operation = calling(
  { proc: actor, child: newcomer },
  {
    lives: ({ child }, alive) => alive.add(child),
    *calls(stage, { proc, child }, thread) {
      return { result: yield* stage.fork(proc, child, thread) };
    },
    undo: (stage, { child }) => stage.leave(child),
  },
);

export const exit: Operation = tasking(
  { proc: leaver },
  {
    lives: ({ proc }, alive) => alive.delete(proc),
    ends: ({ proc }) => proc,
    *calls(stage, { proc }, task) {
      return { result: task ? yield* stage.exit(proc, task) : stage.leave(proc) };
    },
  },
);
