/**
 * Explained walks as text: the one form in which they are printed.
 */
import { alignColumns } from './columns.ts';
import { bit } from './entry.ts';
import type { ExplainedStep, Explanation } from './explain.ts';
import { accessWords, hex, rightsLetters } from './words.ts';

/** How to colour parts of the text. */
export interface TextColours {
  address(text: string): string;
  reached(text: string): string;
  failed(text: string): string;
}

const plain = (text: string): string => text;
const PLAIN: TextColours = { address: plain, reached: plain, failed: plain };

/**
 * The walk of one address for one or more accesses: the address; a line a level, which no access changes; what becomes of
 * each access.
 */
export function explanationLines(walks: readonly Explanation[], colours: TextColours = PLAIN): string[] {
  const { va, steps } = walks[0]!;
  const kinds = walks.map(({ access }) => accessWords(access));
  const width = Math.max(...kinds.map(({ length }) => length));
  const outcomes = walks.map(({ outcome, words }, i) => {
    const coloured = outcome.kind === 'page' ? colours.reached(words) : colours.failed(words);
    return `  ${`${kinds[i]}:`.padEnd(width + 1)} ${coloured}`;
  });
  const entries = alignColumns(steps.map(cellsOf), 'llrrlll').map((line) => `  ${line}`);
  return [colours.address(hex(va)), ...entries, ...outcomes];
}

function cellsOf({ name, index, address, entry, fields, rights, words }: ExplainedStep): string[] {
  const letters = bit(entry, 0n) ? rightsLetters(rights) : '';
  return [`${name} ${hex(index)}`, `at ${hex(address)}`, '=', hex(entry), fields.join(' '), letters, words];
}
