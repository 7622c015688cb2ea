/**
 * Text for people: numbers, units, rights, colours, tables.
 */
import picocolors from 'picocolors';
import { alignColumns } from '../reference/columns.ts';

/** Rights over all levels, as records of a scan hold them. */
export const WRITABLE = 1;
export const USER = 2;
export const EXECUTABLE = 4;

/** The page sizes by level of the leaf. */
export const PAGE_SIZES = ['', '4 KiB', '2 MiB', '1 GiB'] as const;
/** 4 KiB pages in a page, by level of the leaf. */
export const PAGES_OF_LEVEL = [0, 1, 512, 262144] as const;

/** Functions that colour a text, or leave it alone. */
export type Paint = ReturnType<typeof picocolors.createColors>;

/**
 * Colours for a terminal, and for nothing else unless they are asked for.
 *
 * @param asked `--color`, `--no-color` or neither
 */
export function createPaint(
  asked: boolean | undefined,
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  return picocolors.createColors(asked ?? Boolean(isTerminal && !env.NO_COLOR && env.TERM !== 'dumb'));
}

/** The colour of a page size, by level of the leaf. */
export function paintLevel(paint: Paint, level: number, text: string): string {
  return level === 1 ? paint.cyan(text) : level === 2 ? paint.yellow(text) : paint.magenta(text);
}

/** The address of a page, from its number (address / 4096, at most 52 bits): `0x7f00dead0000`. */
export function hexOfPage(page: number): string {
  return page === 0 ? '0x0' : `0x${page.toString(16)}000`;
}

/** The last address of a page. */
export function hexOfPageEnd(page: number): string {
  return page === 0 ? '0xfff' : `0x${page.toString(16)}fff`;
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;

/** A size in three digits, or four before the next unit: `872 KiB`, `1012 KiB`, `2.52 GiB`. */
export function sizeOfPages(pages: number): string {
  if (pages === 0) return '0';
  let size = pages * 4;
  let unit = 0;
  /* 1023.5 would be shown as 1024. */
  while (size >= 1023.5 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${Number(size.toPrecision(size >= 1000 ? 4 : 3))} ${UNITS[unit]}`;
}

/** A number with a comma between thousands. */
export function count(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** A number and what is counted: `1 table`, `415 tables`. */
export function counted(n: number, noun: string, plural: string = `${noun}s`): string {
  return `${count(n)} ${n === 1 ? noun : plural}`;
}

/**
 * Rights as `rw- user`; `?` for one that only a part has.
 *
 * @param all the rights that every part has
 * @param some the rights that some part has
 */
export function rightsText(all: number, some: number = all): string {
  const letter = (right: number, yes: string): string => (all & right ? yes : some & right ? '?' : '-');
  const who = all & USER ? 'user' : some & USER ? 'both' : 'kernel';
  return `r${letter(WRITABLE, 'w')}${letter(EXECUTABLE, 'x')} ${who}`;
}

const CONTROL = /[\p{Cc}\u2028\u2029]/gu;

/** A text without characters that would break its line, or do something to the terminal. */
export function printable(text: string): string {
  return text.replace(CONTROL, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');

/** How many columns a text takes, without its colours. */
export function widthOf(text: string): number {
  return text.replace(ESCAPES, '').length;
}

/**
 * Lines of aligned columns.
 *
 * @param align a letter a column: `l` or `r`
 */
export function columns(rows: readonly (readonly string[])[], align: string, gap?: string): string[] {
  return alignColumns(rows, align, gap, widthOf);
}
