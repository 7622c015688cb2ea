/**
 * What operations ask of the model, whatever the format calls their fields.
 */
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../linux/base/uapi.ts';
import {
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
} from '../linux/base/uffd-uapi.ts';
import {
  actor,
  type Context,
  choice,
  type Field,
  integer,
  leaver,
  newcomer,
  page,
  pages,
  Refusal,
  slot,
} from './fields.ts';
import { type Answer, type Operation, operation, type Problem } from './operation.ts';
import type { Stage } from './stage.ts';

/** Rights by the name that `prot` gives. */
export const PROTECTIONS: Readonly<Record<'rw' | 'r', number>> = { rw: PROT_READ | PROT_WRITE, r: PROT_READ };

/** The result of a call that returns an address. */
export function mapping(mapped: number | string, address: number): Answer {
  if (typeof mapped === 'string') return { result: mapped };
  return { result: mapped === address ? 'OK' : `OK at 0x${mapped.toString(16)}` };
}

/** The fields of a range of a slot. */
export const range: {
  readonly proc: Field<number>;
  readonly slot: Field<number>;
  readonly page: Field<number>;
  readonly pages: Field<number>;
} = {
  proc: actor,
  slot,
  page,
  pages,
};

/** A range ends within its slot. */
export function rangeProblem(
  values: { readonly page: number; readonly pages: number },
  { setting: { slotPages } }: Context,
): Problem | undefined {
  if (values.page + values.pages <= slotPages) return undefined;
  const most = slotPages - values.page;
  return { field: 'pages', refusal: new Refusal(`at most ${most}, as a slot has ${slotPages} pages`) };
}

export const mremap: Operation = operation(
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

export const munmap: Operation = operation(range, {
  problem: rangeProblem,
  run: (stage, { proc, slot, page, pages }) => ({
    result: stage.process(proc).munmap(stage.address(slot, page), stage.bytes(pages)),
  }),
});

export const mprotect: Operation = operation(
  { ...range, prot: choice<number>({ ...PROTECTIONS, none: PROT_NONE }) },
  {
    problem: rangeProblem,
    run: (stage, { proc, slot, page, pages, prot }) => ({
      result: stage.process(proc).mprotect(stage.address(slot, page), stage.bytes(pages), prot),
    }),
  },
);

export function madvise(advice: number): Operation {
  return operation(range, {
    problem: rangeProblem,
    run: (stage, { proc, slot, page, pages }) => ({
      result: stage.process(proc).madvise(stage.address(slot, page), stage.bytes(pages), advice),
    }),
  });
}

/** A byte of a slot. */
interface Spot {
  readonly proc: number;
  readonly slot: number;
  readonly page: number;
  /** Its offset in the page. */
  readonly at: number;
}

/** Reads a byte, as the program does. */
export function readByte(stage: Stage, { proc, slot, page, at }: Spot): Answer {
  const value = stage.process(proc).read(stage.address(slot, page, at));
  return typeof value === 'number' ? { result: 'OK', found: { value } } : { result: value, found: { value: -1 } };
}

/** Writes a byte, as the program does. */
export function writeByte(stage: Stage, { proc, slot, page, at }: Spot, value: number): Answer {
  return { result: stage.process(proc).write(stage.address(slot, page, at), value) };
}

/** How a program reads and writes another's memory. */
export type RemoteAccess = 'processVmRead' | 'processVmWrite' | 'procMemRead' | 'procMemWrite';

/** The most bytes that one program reads or writes of another's. */
export const MOST_REMOTE: number = 2 ** 24;

/** Bytes that were transferred, and their hash: 0 with an errno. */
export function readRemote(stage: Stage, access: RemoteAccess, spot: Spot, length: number): Answer {
  const buffer = new Uint8Array(length);
  const answer = transfer(stage, access, spot, buffer);
  return { ...answer, found: { ...answer.found, fnv1a: hashOf(buffer, answer.found.done) } };
}

/** Writes bytes of a value. */
export function writeRemote(stage: Stage, access: RemoteAccess, spot: Spot, length: number, value: number): Answer {
  return transfer(stage, access, spot, new Uint8Array(length).fill(value));
}

function transfer(stage: Stage, access: RemoteAccess, { proc, slot, page, at }: Spot, buffer: Uint8Array): Transferred {
  return transferred(stage.stranger(proc)[access](stage.process(proc), stage.address(slot, page, at), buffer));
}

/** An answer that has a number of bytes. */
export interface Transferred extends Answer {
  readonly found: { readonly done: number };
}

/** Of a call that returns a number of bytes: -1 with an errno. */
export function transferred(done: number | string): Transferred {
  return typeof done === 'number' ? { result: 'OK', found: { done } } : { result: done, found: { done: -1 } };
}

/** The hash of the bytes that were transferred: 0 with an errno. */
export function hashOf(buffer: Uint8Array, done: number): number {
  return done < 0 ? 0 : fnv1a(buffer.subarray(0, done));
}

/** The hash of FNV-1a, 32 bits. */
function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x0100_0193);
  return hash >>> 0;
}

/** Registers a buffer with io_uring. */
export function pin(stage: Stage, { proc, slot, page, at }: Spot, length: number): Answer {
  return { result: stage.process(proc).registerBuffer(stage.address(slot, page, at), length) };
}

export const unpin: Operation = operation(
  { proc: actor },
  { run: (stage, { proc }) => ({ result: stage.process(proc).unregisterBuffer() }) },
);

const UFFD_MODES: Readonly<Record<string, number>> = {
  m: UFFDIO_REGISTER_MODE_MISSING,
  w: UFFDIO_REGISTER_MODE_WP,
  c: UFFDIO_REGISTER_MODE_MINOR,
};

/** `mcw` in any order, each at most once: what userfaultfd is registered for. */
export const uffdMode: Field<number> = (value) => {
  const letters = typeof value === 'string' ? [...value] : [];
  const known = letters.every((letter) => letter in UFFD_MODES) && new Set(letters).size === letters.length;
  if (letters.length === 0 || !known) return new Refusal('one or more of the letters m, w and c');
  return letters.reduce((mode, letter) => mode | UFFD_MODES[letter]!, 0);
};

export const fork: Operation = operation(
  { proc: actor, child: newcomer },
  {
    lives: ({ child }, alive) => alive.add(child),
    run: (stage, { proc, child }) => ({ result: stage.fork(proc, child) }),
    undo: (stage, { child }) => stage.leave(child),
  },
);

export const exit: Operation = operation(
  { proc: leaver },
  {
    lives: ({ proc }, alive) => alive.delete(proc),
    run: (stage, { proc }) => ({ result: stage.leave(proc) }),
  },
);

/** fallocate without flags. */
export const ALLOCATE = 0;
/** fallocate that takes pages away. */
export const PUNCH_HOLE: number = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/** @param offset in huge pages, like `pages` */
export function fallocate(stage: Stage, file: number, offset: number, pages: number, mode: number): Answer {
  return { result: stage.files[file]!.fallocate(stage.hugeBytes(offset), stage.hugeBytes(pages), mode) };
}

/** @param pages the new size in huge pages */
export function ftruncate(stage: Stage, file: number, pages: number): Answer {
  return { result: stage.files[file]!.ftruncate(stage.hugeBytes(pages)) };
}
