/**
 * The notes of an ELF file. System V gABI, chapter 5, "Note Section".
 *
 *   note   u32 namesz | u32 descsz | u32 type | name, padded to 4 | description, padded to 4
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import type { ByteRange } from '../../ranges.ts';
import type { Warnings } from '../../warnings.ts';

const NOTE_HEADER = 12;
/** Longest notes that are read: those of some hundred thousand processors. */
const MOST_NOTE_BYTES = 2 ** 26;

/** A note, and what it says. */
export interface Note {
  readonly name: string;
  readonly type: number;
  readonly description: DataView;
}

/** The notes in parts of a file, in the order given; a part ends where a note is malformed, with a warning. */
export async function readNotes(
  source: ByteSource,
  parts: readonly ByteRange[],
  warnings: Pick<Warnings, 'add'>,
): Promise<Note[]> {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  if (total > MOST_NOTE_BYTES) {
    warnings.add(`expected at most ${hex(MOST_NOTE_BYTES)} bytes of notes, found ${hex(total)}: they are left out`);
    return [];
  }
  const ranges = [...parts].sort((a, b) => a.offset - b.offset);
  const contents = await source.read(ranges);
  const bytes = new Map(ranges.map((range, i) => [range, contents[i]!]));
  return parts.flatMap((range) => [...notesIn(bytes.get(range)!, range.offset, warnings)]);
}

/** @param at where in the file the notes begin, for warnings */
function* notesIn(notes: Uint8Array, at: number, warnings: Pick<Warnings, 'add'>): Generator<Note> {
  const view = new DataView(notes.buffer, notes.byteOffset, notes.length);
  for (let offset = 0; offset < notes.length; ) {
    const rest = notes.length - offset;
    if (rest < NOTE_HEADER) {
      if (notes.subarray(offset).every((byte) => byte === 0)) return;
      warnings.add(`note at ${hex(at + offset)}: expected at least 0xc bytes, found ${hex(rest)}`);
      return;
    }
    const nameSize = view.getUint32(offset, true);
    const size = view.getUint32(offset + 4, true);
    const description = NOTE_HEADER + padded(nameSize);
    if (description + size > rest) {
      warnings.add(
        `note at ${hex(at + offset)}: expected at most ${hex(rest)} bytes to the end of its segment, found ${hex(description + size)} (name ${hex(nameSize)}, description ${hex(size)}): the rest of the notes is left out`,
      );
      return;
    }
    yield {
      name: nameOf(notes.subarray(offset + NOTE_HEADER, offset + NOTE_HEADER + nameSize)),
      type: view.getUint32(offset + 8, true),
      description: new DataView(view.buffer, view.byteOffset + offset + description, size),
    };
    offset += description + padded(size);
  }
}

function padded(size: number): number {
  return Math.ceil(size / 4) * 4;
}

/** The names that anybody looks for are short. */
function nameOf(name: Uint8Array): string {
  return String.fromCharCode(...name.subarray(0, 32)).replace(/\0$/, '');
}
