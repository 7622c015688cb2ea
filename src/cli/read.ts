/**
 * `hugewalk read`: the bytes at linear addresses.
 */
import { hex } from '../core/errors.ts';
import type { MemoryContents, MemoryHole } from '../dump/questions/read-memory.ts';
import { EXIT, Failure, line } from './failure.ts';
import type { Surroundings } from './map.ts';
import { headOf, type SpaceOptions, tellOrigin, withSpace } from './open.ts';
import type { Output } from './output.ts';

/** The options of `read`. */
export interface ReadOptions extends SpaceOptions {
  /** The bytes themselves, and nothing else. */
  readonly raw?: boolean;
}

/** Bytes asked for at a time: what follows is read while this is written. */
const CHUNK = 2 ** 22;
/** Bytes of a line. */
const ROW = 16;

/** Runs the command. */
export async function read(
  paths: readonly string[],
  va: bigint,
  length: number,
  options: ReadOptions,
  { output, errors, progress, paint }: Surroundings,
): Promise<void> {
  const holes: MemoryHole[] = [];
  await withSpace(paths, options, { progress, errors }, async (space) => {
    if (options.raw) tellOrigin(space, errors);
    else output.add(`${headOf(space, paint)}\n`);
    for (let done = 0; done < length; done += CHUNK) {
      const part = await space.read(va + BigInt(done), Math.min(CHUNK, length - done));
      holes.push(...part.holes);
      progress.clear();
      if (options.raw) await output.writeBytes(part.bytes);
      else writeRows(part, output);
      await output.flush();
    }
  });
  if (holes.length === 0) return;
  for (const hole of holes.slice(0, 8))
    errors.write(line(`${wordsOf(hole)}${options.raw ? ': written as zeros' : ''}`));
  if (holes.length > 8) errors.write(line(`and ${holes.length - 8} more such ranges`));
  const lost = holes.reduce((sum, { bytes }) => sum + bytes, 0);
  if (lost === length) throw new Failure(`nothing of the ${hex(length)} bytes could be read`, EXIT.incomplete);
}

function wordsOf({ va, bytes, why }: MemoryHole): string {
  const reason = {
    'not-mapped': 'nothing is mapped there',
    'not-in-dump': 'the dump does not have that memory',
    'missing-table': 'the dump does not have a page table for it',
  }[why];
  return `${hex(va)} + ${hex(bytes)}: ${reason}`;
}

/** Lines of 16 bytes: in hexadecimal, and as text; `..` where there is a hole. */
function writeRows({ va, bytes, holes }: MemoryContents, output: Output): void {
  const inHole = (at: number): boolean =>
    holes.some((hole) => Number(hole.va - va) <= at && at < Number(hole.va - va) + hole.bytes);
  const skew = Number(va % BigInt(ROW));
  for (let row = -skew; row < bytes.length; row += ROW) {
    const cells: string[] = [];
    let text = '';
    for (let at = row; at < row + ROW; at++) {
      const outside = at < 0 || at >= bytes.length;
      const hole = !outside && inHole(at);
      cells.push(outside ? '  ' : hole ? '..' : bytes[at]!.toString(16).padStart(2, '0'));
      text += outside ? ' ' : hole ? ' ' : printableByte(bytes[at]!);
    }
    const words = `${cells.slice(0, 8).join(' ')}  ${cells.slice(8).join(' ')}`;
    const shown = `${hex(va + BigInt(row)).padStart(18)}  ${words}  ${text}`.trimEnd();
    output.add(`${shown}\n`);
  }
}

function printableByte(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
}
