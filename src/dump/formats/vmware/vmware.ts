/**
 * A VMware machine that is suspended or has a snapshot: its state, .vmss or .vmsn, and its memory, which is the .vmem file
 * beside it or, in older versions, the tag Memory of the state. Tags of the group memory (tags.ts) say what lies where, all
 * in pages of 4 KiB:
 *
 *   regionsCount            how many regions there are; none: memory lies from physical 0 on
 *   regionPPN[n]            the region's physical page
 *   regionPageNum[n]        its page in the .vmem, or in Memory
 *   regionSize[n]           its pages
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { DumpError } from '../../dump-error.ts';
import { PHYSICAL_LIMIT, type Segment, sortSegments } from '../../segment.ts';
import { SegmentedDump } from '../../segmented-dump.ts';
import { type OpenFormat, onlySource } from '../format.ts';
import { isVmwareState } from '../magic.ts';
import { withinFile } from '../raw.ts';
import { memoryTags, type Tag } from './tags.ts';

const PAGE = 4096n;
const MOST_REGIONS = 1024;

/** Opens a state, alone or with the .vmem that belongs to it, in any order. */
export const openVmware: OpenFormat = async (sources, { warnings }) => {
  const starts = await Promise.all(sources.map(startOf));
  const state = sources[starts.findIndex(isVmwareState)] ?? onlySource(sources);
  const separate = sources.find((source) => source !== state);
  const tags = await memoryTags(state);
  const embedded = tags.find(({ name, length }) => name === 'Memory' && length > 8);
  if (!separate && !embedded) {
    throw new DumpError(
      state.name,
      'expected the memory in the state, found none: it is in the .vmem file beside it, name that file, too',
    );
  }
  const memory = separate ?? state;
  const at = separate ? 0 : embedded!.offset;
  const size = separate ? separate.size : Math.min(embedded!.length, state.size - at);
  const regions = withinFile(regionsOf(state, tags, at, size), at + size, warnings);
  if (regions.length === 0) throw new DumpError(memory.name, 'expected memory, found none of the regions in the file');
  const { segments, repetitions } = sortSegments(memory.name, regions);
  const [repeated] = repetitions;
  if (repeated) throw new DumpError(state.name, `expected separate regions, found ${hex(repeated.physical)} twice`);
  const content = {
    read: memory.read.bind(memory),
    close: async () => void (await Promise.all(sources.map((source) => source.close()))),
  };
  return new SegmentedDump({ name: memory.name, format: 'vmware', segments, content, warnings });
};

async function startOf(source: ByteSource): Promise<Uint8Array> {
  const [start] = await source.read([{ offset: 0, length: Math.min(4, source.size) }]);
  return start!;
}

/** What lies where in the file of memory. */
function regionsOf(state: ByteSource, tags: readonly Tag[], at: number, size: number): Segment[] {
  const values = new Map(tags.map(({ name, indices, value }) => [[name, ...indices].join(), value]));
  const count = values.get('regionsCount') ?? 0;
  if (count === 0) return [{ physical: 0n, bytes: BigInt(size), offset: at }];
  if (count > MOST_REGIONS) {
    throw new DumpError(state.name, `regionsCount: expected at most ${hex(MOST_REGIONS)}, found ${hex(count)}`);
  }
  return Array.from({ length: count }, (_, n) => {
    const field = (name: string): bigint => {
      const value = values.get(`${name},${n}`);
      if (value !== undefined && value <= Number(PHYSICAL_LIMIT / PAGE)) return BigInt(value) * PAGE;
      const found = value === undefined ? 'none' : hex(value);
      throw new DumpError(state.name, `${name}[${n}]: expected a number of pages below 2^40, found ${found}`);
    };
    const region = {
      physical: field('regionPPN'),
      bytes: field('regionSize'),
      offset: at + Number(field('regionPageNum')),
    };
    if (region.physical + region.bytes <= PHYSICAL_LIMIT) return region;
    throw new DumpError(state.name, `region ${n}: expected memory below ${hex(PHYSICAL_LIMIT)}, found more`);
  });
}
