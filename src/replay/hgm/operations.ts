/**
 * The operations of HGM's recordings: the fields of each, and what it asks of the model. Ranges are in 4 KiB pages.
 */
import {
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_SPLIT,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
} from '../../linux/base/uapi.ts';
import {
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EXACT_ADDRESS,
  UFFD_FEATURE_MINOR_HUGETLBFS_HGM,
} from '../../linux/base/uffd-uapi.ts';
import {
  ALLOCATE,
  exit,
  fallocate,
  fork,
  ftruncate,
  hashOf,
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
  readByte,
  readRemote,
  transferred,
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
  slot,
  truth,
} from '../fields.ts';
import { type Answer, type Operation, operation } from '../operation.ts';
import { fill } from './fill.ts';
import type { HgmStage } from './stage.ts';
import { FEATURES, USERFAULTFDS } from './userfaultfd.ts';

/** Huge pages of a slot, which a mapping has. */
const hugepages = integer(1, ({ slotBytes, hugePageSize }) => slotBytes / hugePageSize);
/** A hash of FNV-1a, 32 bits. */
const hash = optional(integer(0, 2 ** 32 - 1));

const mmap: Operation = operation(
  {
    proc: actor,
    slot,
    file,
    offset: fileOffset,
    hugepages,
    prot: choice<number>({ ...PROTECTIONS, none: PROT_NONE }),
    shared: truth,
  },
  {
    run(stage, { proc, slot, file, offset, hugepages, prot, shared }) {
      const address = stage.address(slot, 0);
      const mapped = stage.process(proc).mmap({
        address,
        length: stage.hugeBytes(hugepages),
        prot,
        flags: (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED_NOREPLACE,
        file: stage.files[file]!,
        offset: stage.hugeBytes(offset),
      });
      return mapping(mapped, address);
    },
  },
);

/** A byte of a 4 KiB page. */
const spot = { proc: actor, slot, page, byte: at } as const;

const read: Operation = operation(
  { ...spot, value: optional(integer(-1, 255)) },
  { touches: true, found: ['value'], run: (stage, { byte, ...rest }) => readByte(stage, { ...rest, at: byte }) },
);

const write: Operation = operation(
  { ...spot, value: byte },
  {
    touches: true,
    run: (stage, { byte, value, ...rest }) => writeByte(stage, { ...rest, at: byte }, value),
  },
);

const remote = { ...spot, length: integer(1, MOST_REMOTE), done: optional(integer(-1, MOST_REMOTE)) } as const;

function remoteRead(access: RemoteAccess): Operation {
  return operation(
    { ...remote, fnv1a: hash },
    {
      found: ['done', 'fnv1a'],
      run: (stage, { byte, length, ...rest }) => readRemote(stage, access, { ...rest, at: byte }, length),
    },
  );
}

function remoteWrite(access: RemoteAccess): Operation {
  return operation(
    { ...remote, value: byte },
    {
      found: ['done'],
      run: (stage, { byte, length, value, ...rest }) =>
        writeRemote(stage, access, { ...rest, at: byte }, length, value),
    },
  );
}

const pinLongtermWrite: Operation = operation(
  { ...spot, length: integer(1, 2 ** 32) },
  { run: (stage, { byte, length, ...rest }) => pin(stage, { ...rest, at: byte }, length) },
);

const vmsplice: Operation = operation(
  { ...remote, fnv1a: hash, same_as_memory: optional(truth) },
  {
    found: ['done', 'fnv1a', 'same_as_memory'],
    run(stage, { proc, slot, page, byte, length }) {
      const process = stage.process(proc);
      const address = stage.address(slot, page, byte);
      const pipe = stage.machine.createPipe();
      const { result, found } = transferred(process.vmsplice(pipe, address, length));
      const buffer = new Uint8Array(Math.max(found.done, 0));
      pipe.read(buffer);
      pipe.close();
      const same_as_memory = found.done >= 0 && buffer.every((value, i) => process.read(address + i) === value);
      return { result, found: { ...found, fnv1a: hashOf(buffer, found.done), same_as_memory } };
    },
  },
);

/** How many pages are in core: -1 with an errno. */
const mincore: Operation = operation(
  { proc: actor, slot, page, pages, incore: optional(integer(-1, 2 ** 24)), fnv1a: hash },
  {
    found: ['incore', 'fnv1a'],
    run(stage, { proc, slot, page, pages }): Answer {
      const bytes = stage.process(proc).mincore(stage.address(slot, page), stage.bytes(pages));
      if (typeof bytes === 'string') return { result: bytes, found: { incore: -1, fnv1a: 0 } };
      const incore = bytes.reduce((sum, one) => sum + one, 0);
      return { result: 'OK', found: { incore, fnv1a: hashOf(bytes, bytes.length) } };
    },
  },
);

const uffdOpen: Operation = operation(
  { proc: actor, uffd: integer(0, 1), hgm: truth, exact_address: truth, event_fork: truth },
  {
    run(stage: HgmStage, { proc, uffd, hgm, exact_address, event_fork }) {
      const features =
        FEATURES |
        (hgm ? UFFD_FEATURE_MINOR_HUGETLBFS_HGM : 0) |
        (exact_address ? UFFD_FEATURE_EXACT_ADDRESS : 0) |
        (event_fork ? UFFD_FEATURE_EVENT_FORK : 0);
      return { result: stage.openUserfaultfd(uffd, stage.process(proc), features) };
    },
  },
);

function fileRange(mode: number): Operation {
  return operation(
    { file, offset: fileOffset, hugepages: filePages },
    { run: (stage, { file, offset, hugepages }) => fallocate(stage, file, offset, hugepages, mode) },
  );
}

/** All operations, by the name that `op` gives. */
export const OPERATIONS: ReadonlyMap<string, Operation> = new Map(
  Object.entries({
    fill: operation(
      { file, hugepage: fileOffset, tag: byte },
      { run: (stage: HgmStage, { file, hugepage, tag }) => ({ result: fill(stage, file, hugepage, tag) }) },
    ),
    mmap,
    munmap,
    mprotect,
    mremap,
    mincore,
    read,
    write,
    fork,
    exit,
    madvise_dontneed: madvise(MADV_DONTNEED),
    madvise_remove: madvise(MADV_REMOVE),
    madvise_populate_read: madvise(MADV_POPULATE_READ),
    madvise_populate_write: madvise(MADV_POPULATE_WRITE),
    madvise_collapse: madvise(MADV_COLLAPSE),
    madvise_split: madvise(MADV_SPLIT),
    process_vm_read: remoteRead('processVmRead'),
    process_vm_write: remoteWrite('processVmWrite'),
    proc_mem_read: remoteRead('procMemRead'),
    proc_mem_write: remoteWrite('procMemWrite'),
    pin_longterm_write: pinLongtermWrite,
    unpin,
    vmsplice,
    uffd_open: uffdOpen,
    ...USERFAULTFDS,
    fallocate: fileRange(ALLOCATE),
    punch_hole: fileRange(PUNCH_HOLE),
    ftruncate: operation(
      /* `offset` is there in recordings, and 0. */
      { file, offset: optional(integer(0, 0)), hugepages: fileSize },
      { run: (stage, { file, hugepages }) => ftruncate(stage, file, hugepages) },
    ),
  }),
);
