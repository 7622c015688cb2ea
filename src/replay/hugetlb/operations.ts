/**
 * The operations of Linux 6.1's recordings: the fields of each, and what it asks of the model.
 */
import {
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
} from '../../linux/base/uapi.ts';
import { UFFDIO_COPY_MODE_WP, UFFDIO_WRITEPROTECT_MODE_WP } from '../../linux/base/uffd-uapi.ts';
import type { UserfaultFile } from '../../linux/machine/userfault-file.ts';
import {
  ALLOCATE,
  exit,
  fallocate,
  fork,
  ftruncate,
  MOST_REMOTE,
  madvise,
  mapping,
  mprotect,
  mremap,
  munmap,
  PROTECTIONS,
  PUNCH_HOLE,
  pin,
  type RemoteAccess,
  range,
  rangeProblem,
  readByte,
  readRemote,
  uffdMode,
  unpin,
  writeByte,
  writeRemote,
} from '../calls.ts';
import {
  actor,
  at,
  byte,
  choice,
  file,
  fileOffset,
  filePages,
  fileSize,
  integer,
  optional,
  page,
  pages,
  Refusal,
  slot,
  truth,
} from '../fields.ts';
import { type Operation, operation } from '../operation.ts';
import { HUGE_PAGES, type Setting } from '../setting.ts';
import type { HugetlbStage } from './stage.ts';

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

const read: Operation = operation(
  { proc: actor, slot, page, at, value: optional(integer(-1, 255)) },
  { touches: true, found: ['value'], run: (stage, spot) => readByte(stage, spot) },
);

const write: Operation = operation(
  { proc: actor, slot, page, at, value: byte },
  { touches: true, run: (stage, { value, ...spot }) => writeByte(stage, spot, value) },
);

/** Bytes at (`page`, `at`) of another process's memory. */
const remote = {
  proc: actor,
  slot,
  page,
  at,
  length: integer(1, MOST_REMOTE),
  done: optional(integer(-1, MOST_REMOTE)),
} as const;

function remoteRead(access: RemoteAccess): Operation {
  return operation(
    { ...remote, fnv1a: optional(integer(0, 2 ** 32 - 1)) },
    { found: ['done', 'fnv1a'], run: (stage, { length, ...spot }) => readRemote(stage, access, spot, length) },
  );
}

function remoteWrite(access: RemoteAccess): Operation {
  return operation(
    { ...remote, value: byte },
    {
      found: ['done'],
      run: (stage, { length, value, ...spot }) => writeRemote(stage, access, spot, length, value),
    },
  );
}

const pinLongtermWrite: Operation = operation(
  { proc: actor, slot, page, at, length: integer(1, 2 ** 32) },
  { run: (stage, { length, ...spot }) => pin(stage, spot, length) },
);

const uffdRegister: Operation = operation(
  { ...range, mode: uffdMode },
  {
    problem: rangeProblem,
    run: (stage: HugetlbStage, { proc, slot, page, pages, mode }) => ({
      result: stage.userfaultfd(proc).register(stage.address(slot, page), stage.bytes(pages), mode).result,
    }),
  },
);

const uffdCopy: Operation = operation(
  { ...range, wp: truth, value: byte },
  {
    problem: rangeProblem,
    run(stage: HugetlbStage, { proc, slot, page, pages, wp, value }) {
      const source = new Uint8Array(stage.bytes(pages)).fill(value);
      const mode = wp ? UFFDIO_COPY_MODE_WP : 0;
      return { result: stage.userfaultfd(proc).copy(stage.address(slot, page), source, mode).result };
    },
  },
);

function uffdRange(call: (uffd: UserfaultFile, start: number, length: number) => string): Operation {
  return operation(range, {
    problem: rangeProblem,
    run: (stage: HugetlbStage, { proc, slot, page, pages }) => ({
      result: call(stage.userfaultfd(proc), stage.address(slot, page), stage.bytes(pages)),
    }),
  });
}

function fileRange(mode: number): Operation {
  return operation(
    { file, offset: fileOffset, pages: filePages },
    { run: (stage, { file, offset, pages }) => fallocate(stage, file, offset, pages, mode) },
  );
}

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
    fallocate: fileRange(ALLOCATE),
    punch_hole: fileRange(PUNCH_HOLE),
    ftruncate: operation({ file, pages: fileSize }, { run: (stage, { file, pages }) => ftruncate(stage, file, pages) }),
  }),
);
