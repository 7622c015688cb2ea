/**
 * Operations, and values that change, in few words.
 */
import type { LineObject } from '../line/line.ts';
import type { Answer } from '../stage/answer.ts';

/** Fields that are said in another way, or are no part of what is asked. */
const SAID = new Set(['op', 'proc', 'thread', 'slot', 'page', 'pages', 'result']);

/**
 * An operation as a line of a scenario has it.
 *
 * @param found fields that it finds, which are left out
 *
 * @example
 * ```text
 * p0 write s0 page 0 at 5 value 7
 * p1.2 uffd_copy s0 pages 0-3 value 1
 * ```
 */
export function operationWords(object: LineObject, found: readonly string[] = []): string {
  const { op, proc, thread, slot, page, pages } = object;
  const words: string[] = [];
  if (proc !== undefined) words.push(`p${String(proc)}${thread === undefined ? '' : `.${String(thread)}`}`);
  words.push(String(op));
  if (slot !== undefined) words.push(`s${String(slot)}`);
  if (typeof page === 'number' && typeof pages === 'number' && pages > 1)
    words.push(`pages ${page}-${page + pages - 1}`);
  else if (page !== undefined) words.push(`page ${String(page)}`);
  else if (pages !== undefined) words.push(`pages ${String(pages)}`);
  for (const [name, value] of Object.entries(object)) {
    if (SAID.has(name) || found.includes(name) || value === false) continue;
    words.push(name, ...(value === true ? [] : [typeof value === 'string' ? value : JSON.stringify(value)]));
  }
  return words.join(' ');
}

/** How it ended: `OK, value 7`. */
export function answerWords({ result, found = {} }: Answer): string {
  let words: string = result;
  for (const name in found) {
    const value = found[name]!;
    if (value !== -1 && value !== '') words += `, ${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`;
  }
  return words;
}

/** `free 3 -> 2`; nothing where it has not changed. */
export function changed(
  name: string,
  before: number,
  after: number,
  said: (value: number) => string = String,
): string[] {
  return before === after ? [] : [`${name} ${said(before)} -> ${said(after)}`];
}
