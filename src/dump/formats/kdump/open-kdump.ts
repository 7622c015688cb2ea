/**
 * kdump-compressed files: what makedumpfile makes of /proc/vmcore, and QEMU's dump-guest-memory with -z, -l or -s. Raw or
 * flattened, one or several. Their sources stand in the files that read each part.
 *
 * A page that bitmap 1 has and bitmap 2 does not was left out. Where the dump level says that only pages of zeros are, it is
 * zeros; where it says that others are, too, nothing tells which it was, and it is not in the dump.
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import type { Dump } from '../../dump.ts';
import { DumpError } from '../../dump-error.ts';
import type { FormatOptions } from '../format.ts';
import { checkInFile, readBytes } from '../in-file.ts';
import { knownFormat, unknownFormat } from '../known.ts';
import { beginsWith } from '../magic.ts';
import { DESCRIPTOR, readDescriptors } from './descriptors.ts';
import { unflattened } from './flattened.ts';
import { readHeader } from './header.ts';
import { KdumpDump } from './kdump-dump.ts';
import { DISKDUMP_MAGIC, FLATTENED_MAGIC, KDUMP_MAGIC } from './magic.ts';
import { readCpus, readVmcoreinfo } from './notes.ts';
import { arrange, type KdumpFile, type Part, readMemory } from './parts.ts';
import type { Warn } from './warn.ts';

/** Descriptors at the end that are looked at when a dump is opened. */
const LOOKED_AT = 1024;

/** Opens the files of one dump, in any order. */
export async function openKdump(sources: readonly ByteSource[], { warnings }: FormatOptions): Promise<Dump> {
  const [{ name }] = sources as [ByteSource];
  const others = sources.length - 1;
  const files: KdumpFile[] = [];
  for (const source of sources) {
    const add = (line: string): void => warnings.add(sources.length > 1 ? `${source.name}: ${line}` : line);
    files.push(await openFile(source, { add }));
  }
  const first = files[0]!;
  const memory = await readMemory(first);
  const parts = await arrange(files, memory, warnings);
  for (const part of parts) await checkDescriptors(part);
  const cpus = await readCpus(first.source, first.header.notes, first.warnings);
  const vmcoreinfo = await readVmcoreinfo(first.source, first.header.vmcoreinfo, first.warnings);
  return new KdumpDump(parts, memory, {
    name: others ? `${name} and ${others} more` : name,
    cpus,
    vmcoreinfo,
    warnings: warnings.lines,
  });
}

async function openFile(source: ByteSource, warnings: Warn): Promise<KdumpFile> {
  const start = await readBytes(source, { offset: 0, length: Math.min(FLATTENED_MAGIC.length, source.size) });
  const content = beginsWith(start, FLATTENED_MAGIC) ? await unflattened(source, warnings) : source;
  const magic = await readBytes(content, { offset: 0, length: Math.min(KDUMP_MAGIC.length, content.size) });
  if (!beginsWith(magic, KDUMP_MAGIC) && !beginsWith(magic, DISKDUMP_MAGIC)) {
    throw new DumpError(
      source.name,
      `expected a kdump-compressed file in the flattened one, found ${knownFormat(magic) ?? unknownFormat(magic)}`,
    );
  }
  return { source: content, header: await readHeader(content, warnings), warnings };
}

/** Pages are written in order, so the last descriptors tell whether the file has lost its end. */
async function checkDescriptors({ source, header, from, to, dumped, first, warnings }: Part): Promise<void> {
  const count = dumped.rank(to) - first;
  checkInFile(source, 'page descriptors', { offset: header.descriptors, length: count * DESCRIPTOR });
  const least = Math.max(0, count - LOOKED_AT);
  const numbers = Array.from({ length: count - least }, (_, i) => least + i);
  const descriptors = await readDescriptors(source, header.descriptors, numbers);
  const ends = descriptors.map(({ offset, length }) => offset + length);
  const end = ends.reduce((most, at) => Math.max(most, at), 0);
  if (end <= source.size) return;
  warnings.add(
    `expected pages up to file offset ${hex(end)}, found the end of the file at ${hex(source.size)} (truncated?): pages of frames ${hex(from)} to ${hex(to)} are missing`,
  );
}
