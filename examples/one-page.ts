/**
 * One page of 1 GiB, mapped three ways at once, and what GUP makes of each:
 *
 *   npm run example:one-page
 */
import {
  FOLL_WRITE,
  MADV_SPLIT,
  MAP_SHARED,
  Machine,
  type MappedPage,
  PROT_READ,
  PROT_WRITE,
  UFFD_FEATURE_MINOR_HUGETLBFS,
  UFFDIO_REGISTER_MODE_MINOR,
} from 'hugewalk/linux';
import { addressOf, expectOk } from './support/results.ts';
import { count, size, table } from './support/text.ts';

const [PIECE, MIB2, GIB] = [2 ** 12, 2 ** 21, 2 ** 30];
const CELLS = 64;

const machine = new Machine({ pools: [{ hugePageSize: GIB, pages: 1 }] });
const file = machine.memfdCreate({ hugePageSize: GIB });
expectOk(file.fallocate(0, GIB));
const program = machine.createProcess();
const uffd = program.userfaultfd();
expectOk(uffd.api(UFFD_FEATURE_MINOR_HUGETLBFS).result);

const whole = mapFile();
expectOk(program.write(whole, 1));

/* UFFDIO_CONTINUE maps a range with the largest leaves that fit: so its caller decides. */
const halves = mapInPieces();
continueBy(halves, 0, GIB, MIB2);

const mixed = mapInPieces();
continueBy(mixed, 0, GIB / 4, MIB2);
continueBy(mixed, GIB / 4, GIB / 2, PIECE);
continueBy(mixed, GIB / 2, GIB, MIB2);

const mappings = [
  { name: 'one leaf of 1 GiB', at: whole },
  { name: 'leaves of 2 MiB', at: halves },
  { name: 'of 2 MiB and 4 KiB', at: mixed },
].map(({ name, at }) => ({ name, at, leaves: leavesOf(at) }));

const pictures = mappings.map(({ name, leaves }) => [name, count(leaves.length), '', picture(leaves)]);
console.log(table([['', 'leaves', '', '█ 1 GiB  ▒ 2 MiB  ░ 4 KiB'.padEnd(CELLS)], ...pictures]));

console.log('\nget_user_pages, for writing, of all of it:\n');
const gups = mappings.map(({ name, at }) => {
  const frames = new Float64Array(GIB / PIECE);
  machine.trace = [];
  const pages = program.getUserPages(at, frames.length, FOLL_WRITE, frames);
  const { trace } = machine;
  machine.trace = undefined;
  if (typeof pages === 'string') throw new Error(`getUserPages: ${pages}`);
  const visited = trace.filter((event) => event.kind === 'lock' && /^page.table.lock/.test(event.lock)).length;
  program.putPages(frames, pages);
  return [name, `${count(pages)} pages`, `leaves visited: ${count(visited).padStart(6)}`, `frames ${span(frames)}`];
});
console.log(table(gups));
machine.check();

/** Maps the file once more, without a page yet. */
function mapFile(): number {
  return addressOf(program.mmap({ length: GIB, prot: PROT_READ | PROT_WRITE, flags: MAP_SHARED, file }));
}

/** Likewise, with HGM and a userfaultfd. */
function mapInPieces(): number {
  const at = mapFile();
  expectOk(program.madvise(at, GIB, MADV_SPLIT));
  expectOk(uffd.register(at, GIB, UFFDIO_REGISTER_MODE_MINOR).result);
  return at;
}

/** Maps [from, to) of a mapping with leaves of a size. */
function continueBy(at: number, from: number, to: number, bytes: number): void {
  for (let offset = from; offset < to; offset += bytes) expectOk(uffd.continue(at + offset, bytes).result);
}

function leavesOf(at: number): MappedPage[] {
  return [...program.mappedPages()].filter(({ address }) => address >= at && address < at + GIB);
}

/** A cell for each 16 MiB: the size of the leaves there. */
function picture(leaves: readonly MappedPage[]): string {
  const glyphs = new Map([
    [PIECE, '░'],
    [MIB2, '▒'],
    [GIB, '█'],
  ]);
  const cells = new Array<string>(CELLS).fill('·');
  for (const { address, bytes } of leaves) {
    const first = Math.floor(((address % GIB) / GIB) * CELLS);
    const last = Math.ceil((((address % GIB) + bytes) / GIB) * CELLS);
    cells.fill(glyphs.get(bytes) ?? '?', first, last);
  }
  return cells.join('');
}

/** The first and the last frame, if all between follow each other. */
function span(frames: Float64Array): string {
  const [first] = frames;
  const gap = frames.findIndex((frame, index) => frame !== first! + index);
  if (gap >= 0) throw new Error(`expected the frames of one page, got another at ${size(gap * PIECE)}`);
  return `0x${first!.toString(16)} - 0x${frames.at(-1)!.toString(16)}`;
}
