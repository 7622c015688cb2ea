/**
 * An assembler of Windows crash dumps for tests. No real one that is small enough could be had: these are built by the format's
 * published rules, and from another description than the reader was written by, volatility3's tables of fields (crash64.json,
 * crash_common.json), whose offsets are decimal. What a Windows does beyond these rules, the tests do not see.
 */
import { concat } from '../elf-builder.ts';
import { type BuiltRange, words } from '../image-builders.ts';

/** _DUMP_HEADER64: offset and bytes of its fields. */
const FIELDS = {
  MajorVersion: [8, 4],
  MinorVersion: [12, 4],
  DirectoryTableBase: [16, 8],
  MachineImageType: [48, 4],
  NumberProcessors: [52, 4],
  BugCheckCode: [56, 4],
  KdDebuggerDataBlock: [128, 8],
  NumberOfRuns: [136, 4],
  NumberOfPages: [144, 8],
  Run: [152, 8],
  DumpType: [3992, 4],
} as const;

/** _SUMMARY_DUMP, from the end of the header on. */
const SUMMARY = { HeaderSize: [32, 8], Pages: [40, 8], BitmapSize: [48, 8] } as const;
const BUFFER = 56;

const HEADER = 8192;
const PAGE = 4096;

/** Fields of the header, instead of those of a machine of two processors. */
export type BuiltFields = { readonly [name in keyof typeof FIELDS]?: bigint | number };

const MACHINE: BuiltFields = {
  MajorVersion: 15,
  MinorVersion: 19_041,
  DirectoryTableBase: 0x1ad_002n,
  MachineImageType: 34_404,
  NumberProcessors: 2,
  BugCheckCode: 0xd1,
  KdDebuggerDataBlock: 0xffff_f806_0f41_6a80n,
};

/** Where a field lies in the file. */
export function fieldAt(name: keyof typeof FIELDS): number {
  return FIELDS[name][0];
}

/** Where a field of the bitmap's header lies in the file. */
export function summaryAt(name: keyof typeof SUMMARY): number {
  return HEADER + SUMMARY[name][0];
}

function headerOf(fields: BuiltFields): Uint8Array {
  const bytes = new Uint8Array(HEADER);
  /* What Windows does not fill in. */
  for (let at = 0; at < PAGE; at++) bytes[at] = 'PAGE'.charCodeAt(at % 4);
  bytes.set(ascii('PAGEDU64'));
  for (const [name, value] of Object.entries({ ...MACHINE, ...fields })) {
    const [at, size] = FIELDS[name as keyof typeof FIELDS];
    bytes.set(words([size, value]), at);
  }
  return bytes;
}

/** A full dump of ranges of whole pages. */
export function buildFullDump(ranges: readonly BuiltRange[], fields: BuiltFields = {}): Uint8Array<ArrayBuffer> {
  const pages = ranges.reduce((sum, { content }) => sum + content.length / PAGE, 0);
  const header = headerOf({ DumpType: 1, NumberOfRuns: ranges.length, NumberOfPages: pages, ...fields });
  for (const [i, { physical, content }] of ranges.entries()) {
    header.set(words([8, physical / BigInt(PAGE)], [8, content.length / PAGE]), FIELDS.Run[0] + 16 * i);
  }
  return concat([header, ...ranges.map(({ content }) => content)]);
}

/**
 * A bitmap dump of ranges of whole pages, sorted.
 *
 * @param frames bits of the bitmap; default: up to the last page
 */
export function buildBitmapDump(
  ranges: readonly BuiltRange[],
  { type = 5, signature = 'SDMP', frames }: { type?: number; signature?: string; frames?: number } = {},
  fields: BuiltFields = {},
): Uint8Array<ArrayBuffer> {
  const numbers = ranges.flatMap(({ physical, content }) =>
    Array.from({ length: content.length / PAGE }, (_, i) => Number(physical) / PAGE + i),
  );
  const bits = frames ?? numbers.at(-1)! + 1;
  const bitmap = new Uint8Array(Math.ceil(bits / 8));
  for (const n of numbers) bitmap[Math.floor(n / 8)]! |= 2 ** (n % 8);
  const end = HEADER + BUFFER + bitmap.length;
  const first = Math.ceil(end / PAGE) * PAGE;
  const summary = new Uint8Array(first - HEADER);
  summary.set(ascii(`${signature}DUMP`));
  summary.set(words([8, first]), SUMMARY.HeaderSize[0]);
  summary.set(words([8, numbers.length]), SUMMARY.Pages[0]);
  summary.set(words([8, bits]), SUMMARY.BitmapSize[0]);
  summary.set(bitmap, BUFFER);
  return concat([headerOf({ DumpType: type, ...fields }), summary, ...ranges.map(({ content }) => content)]);
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
