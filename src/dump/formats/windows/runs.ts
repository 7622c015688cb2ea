/**
 * The memory of a full dump: run after run, from the end of the header on.
 *
 *   0x2000   run 0: its pages | run 1: its pages | ...
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { DumpError } from '../../dump-error.ts';
import { PHYSICAL_LIMIT, type Segment, sortSegments } from '../../segment.ts';
import type { Warnings } from '../../warnings.ts';
import { HEADER_BYTES, type Header } from './header.ts';

const PAGE = 4096n;

/**
 * What lies where in the file. Where a run's memory lies depends on all before it: those after one that cannot be are left out.
 *
 * @throws {@link DumpError} where nothing is there
 */
export function runSegments(source: ByteSource, { runs, pages }: Header, warnings: Warnings): readonly Segment[] {
  const segments: Segment[] = [];
  let at = BigInt(HEADER_BYTES);
  let told = 0n;
  for (const [i, run] of runs.entries()) {
    const [physical, bytes] = [run.first * PAGE, run.pages * PAGE];
    if (physical + bytes > PHYSICAL_LIMIT) {
      warnings.add(
        `run ${i}: expected memory below ${hex(PHYSICAL_LIMIT)}, found ${hex(physical)} + ${hex(bytes)}: it and those after it are left out`,
      );
      break;
    }
    told += run.pages;
    const held = BigInt(source.size) > at ? BigInt(source.size) - at : 0n;
    if (bytes > held) {
      warnings.add(
        `truncated: expected ${hex(bytes)} bytes of physical ${hex(physical)} at file offset ${hex(at)}, found the end of the file at ${hex(source.size)}`,
      );
    }
    const there = bytes < held ? bytes : held;
    if (there > 0n) segments.push({ physical, bytes: there, offset: Number(at) });
    at += bytes;
  }
  if (told !== pages) {
    warnings.add(`header: expected the runs to have NumberOfPages = ${hex(pages)} pages, found ${hex(told)}`);
  }
  const sorted = sortSegments(source.name, segments);
  const [repeated] = sorted.repetitions;
  if (repeated) warnings.add(`expected memory once, found physical ${hex(repeated.physical)} again: one is used`);
  if (sorted.segments.length === 0) {
    throw new DumpError(source.name, warnings.lines[0] ?? 'expected memory after the header, found none');
  }
  return sorted.segments;
}
