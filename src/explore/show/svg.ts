/**
 * A schedule as a time line, in SVG: tasks are lanes, time goes down, a block is what a task does until another comes in. Nothing is loaded from
 * elsewhere, text is text, and the colours follow the reader's: light or dark.
 */
import { type LaneLine, wrapped } from './lanes.ts';

/** Sizes in pixels; a column is a character of a fixed-width font. */
const COLUMN = 7.25;
const ROW = 17;
const FONT = 12;
const COLUMNS = 52;
const GAP = 18;
const MARGIN = 44;
const PAD = 8;

const STYLE = `
  svg { background: #fff; font: ${FONT}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
  text { fill: #1f2328; white-space: pre; }
  .finding { fill: #b3261e; font-weight: bold; }
  .head { font-weight: bold; }
  .function { fill: #0b57a8; }
  .number { fill: #6e7781; text-anchor: end; }
  .lane { stroke: #d0d7de; }
  .turn { stroke: #afb8c1; stroke-dasharray: 3 3; }
  .run { stroke: #d0d7de; fill: #f6f8fa; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; }
    text { fill: #e6edf3; }
    .finding { fill: #ff8a80; }
    .function { fill: #79c0ff; }
    .number { fill: #8b949e; }
    .lane { stroke: #30363d; }
    .turn { stroke: #484f58; }
    .run { stroke: #30363d; fill: #161b22; }
  }
`;

/** A line of text, and where it begins: a row. */
interface Placed {
  readonly text: string;
  readonly row: number;
  readonly isFunction: boolean;
}

/** What a task does without a break. */
interface Block {
  readonly task: number;
  readonly number: number;
  readonly first: number;
  readonly lines: Placed[];
}

/**
 * The whole file.
 *
 * @param finding what is wrong, in words
 * @param heads what each task does
 */
export function drawSvg(finding: string, heads: readonly string[], lines: readonly LaneLine[]): string {
  const lane = COLUMNS * COLUMN + 2 * PAD;
  const left = (task: number): number => MARGIN + task * (lane + GAP);
  const width = left(heads.length);
  const title = wrapped(finding, Math.floor((width - MARGIN - GAP) / COLUMN));
  const named = heads.map((head) => wrapped(head, COLUMNS));
  const begin = title.length + Math.max(...named.map(({ length }) => length)) + 3;
  const blocks = blocksOf(lines, begin);
  const rows = Math.max(begin, ...blocks.map(endOf)) + 1;
  const y = (row: number): number => GAP + row * ROW;
  const parts: string[] = [];
  for (const [row, words] of title.entries()) parts.push(textAt(MARGIN, y(row + 1), words, 'finding'));
  for (const [task, head] of named.entries()) {
    const middle = left(task) + lane / 2;
    parts.push(`<line class="lane" x1="${middle}" x2="${middle}" y1="${y(begin) - ROW}" y2="${y(rows)}"/>`);
    for (const [row, words] of head.entries()) {
      parts.push(textAt(left(task) + PAD, y(title.length + 2 + row), words, 'head'));
    }
  }
  for (const block of blocks) {
    const top = y(block.first) - ROW + 4;
    const x = left(block.task);
    parts.push(`<line class="turn" x1="${MARGIN - PAD}" x2="${width - GAP}" y1="${top - 4}" y2="${top - 4}"/>`);
    parts.push(textAt(MARGIN - PAD, y(block.first), `${block.number}`, 'number'));
    const height = block.lines.length * ROW + 4;
    parts.push(`<rect class="run" x="${x}" y="${top}" width="${lane}" height="${height}" rx="4"/>`);
    for (const { text, row, isFunction } of block.lines) {
      parts.push(textAt(x + PAD, y(row), text, isFunction ? 'function' : ''));
    }
  }
  const height = y(rows) + GAP;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(finding)}</title>`,
    `<style>${STYLE}</style>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

/** The lines in blocks, a row each; between two blocks is half of one. @param begin the first row */
function blocksOf(lines: readonly LaneLine[], begin: number): Block[] {
  const blocks: Block[] = [];
  let row = begin;
  for (const { task, run, text, isFunction } of lines) {
    if (run !== undefined) {
      row += blocks.length > 0 ? 0.75 : 0;
      blocks.push({ task, number: run, first: row, lines: [] });
    }
    for (const words of wrapped(isFunction ? text : `  ${text}`, COLUMNS)) {
      blocks.at(-1)!.lines.push({ text: words, row, isFunction });
      row++;
    }
  }
  return blocks;
}

function endOf({ first, lines }: Block): number {
  return first + lines.length;
}

function textAt(x: number, y: number, words: string, kind: string): string {
  const indent = words.length - words.trimStart().length;
  const at = kind === 'number' ? x : x + indent * COLUMN;
  return `<text x="${at}" y="${y}"${kind === '' ? '' : ` class="${kind}"`}>${escaped(words.trimStart())}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
