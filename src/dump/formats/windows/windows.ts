/**
 * Windows' crash dumps of 64-bit systems: full dumps, and bitmap dumps of kernel, active or all memory.
 */
import { SegmentedDump } from '../../segmented-dump.ts';
import { type OpenFormat, onlySource } from '../format.ts';
import { readBitmap } from './bitmap.ts';
import { BitmapDump } from './bitmap-dump.ts';
import { readHeader } from './header.ts';
import { runSegments } from './runs.ts';

/** Opens dumps of the types that hold page tables. */
export const openWindows: OpenFormat = async (sources, { warnings }) => {
  const source = onlySource(sources);
  const header = await readHeader(source);
  if (header.facts.directoryTableBase === undefined) {
    warnings.add('header: expected a root table (DirectoryTableBase), found none: it is searched for');
  }
  if (header.layout === 'bitmap') {
    return new BitmapDump(source, await readBitmap(source, warnings), header.facts, warnings);
  }
  const segments = runSegments(source, header, warnings);
  return new SegmentedDump({
    name: source.name,
    format: 'windows',
    segments,
    content: source,
    warnings,
    windows: header.facts,
  });
};
