/**
 * What a kdump-compressed file tells beside its pages: the notes of the core that it was made of, and VMCOREINFO.
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import type { CpuState } from '../../cpu-state.ts';
import type { ByteRange } from '../../ranges.ts';
import { gatherFacts } from '../elf/facts.ts';
import { readNotes } from '../elf/notes.ts';
import { readBytes } from '../in-file.ts';
import type { Warn } from './warn.ts';

/** More than any kernel says of itself. */
const MOST_VMCOREINFO = 2 ** 20;

/** The processors that QEMU's notes tell of; none where there are no such notes, or broken ones. */
export async function readCpus(
  source: ByteSource,
  range: ByteRange | undefined,
  warnings: Warn,
): Promise<readonly CpuState[]> {
  if (!range) return [];
  return gatherFacts(await readNotes(source, [range], warnings), warnings).cpus;
}

/** The text that Linux writes about itself. */
export async function readVmcoreinfo(
  source: ByteSource,
  range: ByteRange | undefined,
  warnings: Warn,
): Promise<string | undefined> {
  if (!isShort('VMCOREINFO', range, MOST_VMCOREINFO, warnings)) return undefined;
  return new TextDecoder().decode(await readBytes(source, range)).replace(/\0+$/, '');
}

function isShort(what: string, range: ByteRange | undefined, most: number, warnings: Warn): range is ByteRange {
  if (!range) return false;
  if (range.length <= most) return true;
  warnings.add(`${what}: expected at most ${hex(most)} bytes, found ${hex(range.length)}: done without`);
  return false;
}
