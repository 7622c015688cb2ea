/**
 * What `hugewalk replay --run` prints of a sequence: one line an operation, with its result and what it changed.
 */
import { answerWords, operationWords } from '../replay/observe/words.ts';
import type { ReplayedLine } from '../replay/replayed.ts';
import type { Sequence } from '../replay/sequence/sequence.ts';
import { counted, printable, sizeOfPages } from './text.ts';

/** A longer cell does not widen its column. */
const WIDEST = 64;
/** Changes of a line that are shown; the others are counted. */
const SHOWN = 8;

/** `sequence 1: 3 huge pages of 2 MiB, files of 2, 1`. */
export function sequenceWords({ number, setting: { hugePageSize, pool, overcommit, files } }: Sequence): string {
  const size = sizeOfPages(hugePageSize / 4096);
  const surplus = overcommit > 0 ? `, ${overcommit} more as surplus` : '';
  const sizes = files.length > 0 ? `, ${counted(files.length, 'file')} of ${files.join(', ')}` : '';
  return `sequence ${number}: ${counted(pool, 'huge page')} of ${size}${surplus}${sizes}`;
}

/** A row for each line. */
export function runRows({ steps }: Sequence, lines: readonly ReplayedLine[]): string[] {
  const rows = lines.map((line, index) => {
    const { kind, answer, changes = [], operation, line: number } = line;
    const object = JSON.parse(operation) as Record<string, unknown>;
    const words =
      kind === 'operation'
        ? operationWords(object, steps[index]?.operation.found)
        : kind === 'end'
          ? 'end'
          : Object.keys(object)[0]!;
    const result = answer && kind === 'operation' ? answerWords(answer) : '';
    const more = changes.length > SHOWN ? [`and ${counted(changes.length - SHOWN, 'more change')}`] : [];
    return [`${number}`, printable(words), result, [...changes.slice(0, SHOWN), ...more].join('; ')];
  });
  return aligned(rows);
}

/** Lines of columns, the first to the right; a cell that is very long does not widen its column. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = [0, 1, 2].map((i) =>
    rows.reduce((widest, row) => (row[i]!.length > WIDEST ? widest : Math.max(widest, row[i]!.length)), 0),
  );
  return rows.map(([line, words, result, changes]) =>
    [line!.padStart(widths[0]!), words!.padEnd(widths[1]!), result!.padEnd(widths[2]!), changes!].join('  ').trimEnd(),
  );
}
