/** What the example of memory errors prints: the loss after each error, and where the guest's memory is gone. */
import { bar, count, size, table } from '../support/text.ts';
import { GIB, type Stretch } from './guest.ts';

/** The state after an error. */
export interface Step {
  readonly error: number;
  /** Where it was, in bytes from the guest's first. */
  readonly offset: number;
  readonly hgm: Loss;
  readonly whole: Loss;
}

/** What is lost. */
export interface Loss {
  readonly lost: number;
  /** Leaves that are left. */
  readonly leaves: number;
}

/** What the page tables say. */
export function lossOf(stretches: Iterable<Stretch>): Loss {
  let [lost, leaves] = [0, 0];
  for (const stretch of stretches) {
    if (stretch.lost) lost += stretch.bytes;
    else leaves++;
  }
  return { lost, leaves };
}

const WIDTH = 32;

/** A row for each error. */
export function losses(steps: readonly Step[], bytes: number): string {
  return table([
    ['error', 'at', 'lost, HGM', 'leaves', 'lost, no HGM', 'leaves', '', `of ${size(bytes)}`.padEnd(WIDTH)],
    ...steps.map(({ error, offset, hgm, whole }) => [
      count(error),
      `0x${offset.toString(16)}`,
      size(hgm.lost),
      count(hgm.leaves),
      size(whole.lost),
      count(whole.leaves),
      '',
      bar(whole.lost, bytes, WIDTH).padEnd(WIDTH, '·'),
    ]),
  ]);
}

const CELLS = 64;
/** In ascending order of what a cell shows first. */
const GLYPHS = new Map([
  [GIB, '█'],
  [2 ** 21, '▒'],
  [4096, '░'],
]);

/** A row for each 1 GiB page, a cell for 16 MiB of it: the leaves there, the smallest if there are several; × where something is lost. */
export function picture(stretches: Iterable<Stretch>, bytes: number): string {
  const cells = new Array<{ glyph: string; bytes: number }>((bytes / GIB) * CELLS);
  for (const { offset, bytes: length, lost } of stretches) {
    const first = Math.floor((offset / GIB) * CELLS);
    const last = Math.ceil(((offset + length) / GIB) * CELLS);
    for (let cell = first; cell < last; cell++) {
      const shown = cells[cell];
      if (lost) cells[cell] = { glyph: '×', bytes: 0 };
      else if (!shown || length < shown.bytes) cells[cell] = { glyph: GLYPHS.get(length) ?? '?', bytes: length };
    }
  }
  const rows: string[] = [];
  for (let page = 0; page < bytes / GIB; page++) {
    const row = cells.slice(page * CELLS, (page + 1) * CELLS).map(({ glyph }) => glyph);
    rows.push(`  ${row.join('')}`);
  }
  return rows.join('\n');
}
