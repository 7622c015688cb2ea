/**
 * Assemblers of memory images for tests, by the formats' rules and apart from the readers.
 */
import { concat } from './elf-builder.ts';

/** A piece of physical memory. */
export interface BuiltRange {
  readonly physical: bigint;
  readonly content: Uint8Array;
}

/** Little-endian words: bytes and value of each. */
export function words(...list: readonly (readonly [bytes: 1 | 2 | 4 | 8, value: bigint | number])[]): Uint8Array {
  const result = new Uint8Array(list.reduce((sum, [bytes]) => sum + bytes, 0));
  let at = 0;
  for (const [bytes, value] of list) {
    for (let i = 0; i < bytes; i++) result[at++] = Number((BigInt(value) >> BigInt(8 * i)) & 0xffn);
  }
  return result;
}

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** A LiME file. */
export function buildLime(ranges: readonly BuiltRange[]): Uint8Array<ArrayBuffer> {
  return concat(ranges.flatMap(({ physical, content }) => [header('EMiL', 1, physical, content.length), content]));
}

function header(magic: string, version: number, physical: bigint, bytes: number): Uint8Array {
  return concat([ascii(magic), words([4, version], [8, physical], [8, physical + BigInt(bytes) - 1n], [8, 0])]);
}

/** CRC-32C bit by bit, masked as snappy's framing has it. */
function checksum(bytes: Uint8Array): bigint {
  let crc = 0xffff_ffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x82f6_3b78n : crc >> 1n;
  }
  crc ^= 0xffff_ffffn;
  return (((crc >> 15n) | (crc << 17n)) + 0xa282_ead8n) & 0xffff_ffffn;
}

/** An AVML file, whose chunks are stored, not compressed; a chunk of padding stands before each. */
export function buildAvml(ranges: readonly BuiltRange[], chunk = 65_536): Uint8Array<ArrayBuffer> {
  return concat(
    ranges.flatMap(({ physical, content }) => {
      const chunks = [words([1, 0xff], [2, 6], [1, 0]), ascii('sNaPpY')];
      for (let at = 0; at < content.length; at += chunk) {
        const part = content.subarray(at, at + chunk);
        chunks.push(words([1, 0xfe], [2, 3], [1, 0], [2, 0], [1, 0]));
        const length = part.length + 4;
        chunks.push(words([1, 1], [2, length & 0xffff], [1, length >> 16], [4, checksum(part)]), part);
      }
      const stream = concat(chunks);
      return [header('AVML', 2, physical, content.length), stream, words([8, stream.length])];
    }),
  );
}

/** A tag of a VMware state: its data, long where it says so. */
export interface BuiltTag {
  readonly name: string;
  readonly indices?: readonly number[];
  readonly data: Uint8Array;
  readonly long?: boolean;
}

/** A VMware state with a group of other things, and one of memory. */
export function buildVmwareState(tags: readonly BuiltTag[], word: 4 | 8 = 8): Uint8Array<ArrayBuffer> {
  const others = concat([tagOf({ name: 'cpuid', data: words([4, 7]) }, word), words([2, 0])]);
  const memory = concat([...tags.map((tag) => tagOf(tag, word)), words([2, 0])]);
  const start = 12 + 2 * 80;
  const group = (name: string, offset: number): Uint8Array => {
    const bytes = new Uint8Array(80);
    bytes.set(ascii(name));
    bytes.set(words([8, offset]), 64);
    return bytes;
  };
  const groups = [group('cpu', start), group('memory', start + others.length)];
  return concat([words([4, word === 4 ? 0xbed2_bed0 : 0xbed2_bed2], [4, 8], [4, 2]), ...groups, others, memory]);
}

function tagOf({ name, indices = [], data, long = false }: BuiltTag, word: 4 | 8): Uint8Array {
  const flags = (indices.length << 6) | (long ? 62 : data.length);
  const head = [words([1, flags], [1, name.length]), ascii(name), ...indices.map((index) => words([4, index]))];
  if (long) head.push(words([word, data.length], [word, data.length], [2, 3]), new Uint8Array(3));
  return concat([...head, data]);
}

/** The tags that say which regions there are: physical page, page in the file, pages. */
export function regionTags(regions: readonly (readonly [ppn: number, page: number, pages: number])[]): BuiltTag[] {
  return [
    { name: 'regionsCount', data: words([4, regions.length]) },
    ...regions.flatMap(([ppn, page, pages], n) => [
      { name: 'regionPPN', indices: [n], data: words([4, ppn]) },
      { name: 'regionPageNum', indices: [n], data: words([4, page]) },
      { name: 'regionSize', indices: [n], data: words([4, pages]) },
    ]),
  ];
}

/** A Xen core of sections: the frames of memory, and the table that tells their numbers. */
export function buildXen(
  frames: readonly Uint8Array[],
  table: Uint8Array,
  name: '.xen_pfn' | '.xen_p2m',
): Uint8Array<ArrayBuffer> {
  const names = ascii(`\0.shstrtab\0.xen_pages\0${name}\0`);
  const pages = concat(frames);
  const at = { names: 64, pages: 4096, table: 4096 + pages.length, headers: 4096 + pages.length + table.length };
  const section = (nameAt: number, offset: number, size: number): Uint8Array =>
    concat([words([4, nameAt], [4, 1], [8, 0], [8, 0], [8, offset], [8, size]), new Uint8Array(24)]);
  const file = new Uint8Array(at.headers + 4 * 64);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.set(
    words(
      [2, 4],
      [2, 62],
      [4, 1],
      [8, 0],
      [8, 0],
      [8, at.headers],
      [4, 0],
      [2, 64],
      [2, 56],
      [2, 0],
      [2, 64],
      [2, 4],
      [2, 1],
    ),
    16,
  );
  file.set(names, at.names);
  file.set(pages, at.pages);
  file.set(table, at.table);
  file.set(section(1, at.names, names.length), at.headers + 64);
  file.set(section(11, at.pages, pages.length), at.headers + 128);
  file.set(section(22, at.table, table.length), at.headers + 192);
  return file;
}
