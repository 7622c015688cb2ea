/**
 * ELF64 cores of physical memory: QEMU's dump-guest-memory with and without -p, Linux's /proc/vmcore and /proc/kcore,
 * makedumpfile -E, VirtualBox's dumpvmcore, Xen's dump-core. What is truncated or broken is warned of, and the rest is used.
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { DumpError } from '../../dump-error.ts';
import type { ByteRange } from '../../ranges.ts';
import { checkRepetitions } from '../../repetitions.ts';
import { type Segment, sortSegments } from '../../segment.ts';
import { SegmentedDump } from '../../segmented-dump.ts';
import { Tally, type Warnings } from '../../warnings.ts';
import { type OpenFormat, onlySource } from '../format.ts';
import { type Facts, gatherFacts } from './facts.ts';
import { isOfProcess, memoryOf } from './memory.ts';
import { readNotes } from './notes.ts';
import { type ProgramHeader, PT_LOAD, PT_NOTE, readHeader, readProgramHeaders } from './program-headers.ts';
import { xenMemory } from './xen.ts';

/** Opens cores of every kind. */
export const openElfCore: OpenFormat = async (sources, { warnings }) => {
  const source = onlySource(sources);
  const header = await readHeader(source);
  const headers = await readProgramHeaders(source, header, warnings);
  const facts = await readFacts(source, headers, warnings);
  const loads = headers.filter(({ type }) => type === PT_LOAD);
  if (facts.ofProcess && isOfProcess(loads)) {
    throw new DumpError(
      source.name,
      "expected physical memory, found the core of a process, which holds none of its page tables: dump the machine's memory, for instance with QEMU's dump-guest-memory, kdump, LiME or AVML",
    );
  }
  const xen = loads.length === 0 ? await xenMemory(source, header, warnings) : undefined;
  const segments = xen ? sortSegments(source.name, xen).segments : await segmentsOf(source, loads, facts, warnings);
  if (segments.length === 0 && facts.cpus.length === 0 && facts.vmcoreinfo === undefined) {
    throw new DumpError(source.name, nothingIn(source, loads, warnings));
  }
  return new SegmentedDump({ name: source.name, format: 'elf-core', content: source, segments, warnings, ...facts });
};

async function segmentsOf(
  source: ByteSource,
  loads: readonly ProgramHeader[],
  { vmcoreinfo }: Facts,
  warnings: Warnings,
): Promise<readonly Segment[]> {
  const memory = memoryOf(source, loads, vmcoreinfo, warnings);
  const { segments, repetitions } = sortSegments(source.name, memory.segments);
  if (!memory.isLive) await checkRepetitions(source, repetitions, warnings);
  if (segments.length === 0) warnings.add('expected a PT_LOAD segment with content, found none');
  return segments;
}

async function readFacts(source: ByteSource, headers: readonly ProgramHeader[], warnings: Warnings): Promise<Facts> {
  const truncated = new Tally();
  const parts: ByteRange[] = [];
  for (const { type, index, offset, fileSize } of headers) {
    if (type !== PT_NOTE || fileSize === 0n) continue;
    const held = BigInt(source.size) > offset ? BigInt(source.size) - offset : 0n;
    if (fileSize > held) {
      truncated.add(
        `program header ${hex(index)}: expected ${hex(fileSize)} bytes of notes at file offset ${hex(offset)}, found the end of the file at ${hex(source.size)} (truncated?)`,
      );
    }
    const length = Number(fileSize < held ? fileSize : held);
    if (length > 0) parts.push({ offset: Number(offset), length });
  }
  truncated.tell(warnings);
  return gatherFacts(await readNotes(source, parts, warnings), warnings);
}

/** Why nothing of a file can be used: the last of what was warned of says most. */
function nothingIn(source: ByteSource, loads: readonly ProgramHeader[], { lines }: Warnings): string {
  if (loads.length === 0 && lines.length === 0) {
    return `expected a PT_LOAD segment with content, found none in the file of ${hex(source.size)} bytes`;
  }
  return lines[0] ?? 'expected a PT_LOAD segment with content, found none';
}
