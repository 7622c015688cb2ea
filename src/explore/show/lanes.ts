/**
 * A schedule as people read it: each task has a lane, and time goes down. Only what matters is shown: entries, tables, pages and messages; locks and counts
 * that tasks have in common; why something failed.
 *
 *   | p0 fork child 1                      | p0 migrate s0 page 0
 * 1 | copy_hugetlb_page_range              |
 *   |   takes page-table lock of ...       |
 * 2 |                                      | migrate_pages ...
 */

import type { TraceEvent } from '../../linux/base/trace.ts';
import { describeTraceEvent } from '../../linux/base/trace-words.ts';

/** What a task did until another came in. */
export interface LaneRun {
  readonly task: number;
  readonly events: readonly TraceEvent[];
}

/** A line in the lane of a task. */
export interface LaneLine {
  readonly task: number;
  /** The number of the run, from 1, on its first line. */
  readonly run: number | undefined;
  readonly text: string;
  /** The kernel function in which it was, on lines of their own. */
  readonly isFunction: boolean;
}

/** Kinds that are shown whoever sees them. */
const ALWAYS: ReadonlySet<TraceEvent['kind']> = new Set([
  'entry',
  'table',
  'page',
  'message',
  'refused',
  'sleep',
  'wake',
  'dead end',
  'fault',
]);

/**
 * The lines of all runs, in order.
 *
 * @param isShared whether several tasks touch what has this name: a lock, a page
 */
export function lanes(runs: readonly LaneRun[], isShared: (name: string) => boolean): LaneLine[] {
  const lines: LaneLine[] = [];
  const calls = new Map<number, string[]>();
  for (const [index, { task, events }] of runs.entries()) {
    const stack = calls.get(task) ?? [];
    calls.set(task, stack);
    let shown: string | undefined;
    let run: number | undefined = index + 1;
    const first = lines.length;
    /* What it does first: a step ends where others are met next. */
    const [event] = events;
    const goesOnIn = event?.kind === 'enter' ? event.name : stack.at(-1);
    const add = (text: string, isFunction: boolean): void => {
      lines.push({ task, run, text, isFunction });
      run = undefined;
    };
    for (const event of events) {
      if (event.kind === 'enter') stack.push(event.name);
      else if (event.kind === 'leave') stack.pop();
      else if (matters(event, isShared)) {
        const inside = stack.at(-1);
        if (inside !== undefined && inside !== shown) add(inside, true);
        shown = inside;
        add(describeTraceEvent(event).slice(event.task.length + 2), false);
      }
    }
    if (run !== undefined) add(goesOnIn ?? 'nothing that others see', true);
    cutRounds(lines, first);
  }
  return lines;
}

/** Lines after which a loop's come again, at most. */
const LONGEST_ROUND = 16;
/** Rounds that are shown of a loop, and how many more are left out at least. */
const ROUNDS = 2;
const FEW_MORE = 6;

/** Of a run that goes round to its end, which is a livelock, a few rounds are enough. @param first line of the run */
function cutRounds(lines: LaneLine[], first: number): void {
  for (let round = 1; round <= LONGEST_ROUND; round++) {
    let same = lines.length;
    while (same - round > first && lines[same - 1]!.text === lines[same - 1 - round]!.text) same--;
    const rounds = Math.floor((lines.length - same) / round) + 1;
    const more = rounds - ROUNDS;
    if (more < FEW_MORE) continue;
    const { task } = lines.at(-1)!;
    lines.length -= more * round;
    lines.push({ task, run: undefined, text: `and so on, ${more} times more`, isFunction: true });
    return;
  }
}

function matters(event: TraceEvent, isShared: (name: string) => boolean): boolean {
  if (event.kind === 'lock' || event.kind === 'unlock') return isShared(event.lock);
  if (event.kind === 'count') return isShared(event.of);
  return ALWAYS.has(event.kind);
}

/** The lines side by side, as text. @param heads what each task does @param width columns there are */
export function drawLanes(heads: readonly string[], lines: readonly LaneLine[], width: number): string[] {
  const lane = Math.max(24, Math.floor((width - 4) / heads.length) - 3);
  const empty = heads.map(() => '');
  const rows = [
    row('', heads, lane),
    row(
      '',
      heads.map(() => '-'.repeat(lane)),
      lane,
    ),
  ];
  for (const { task, run, text, isFunction } of lines) {
    for (const [part, words] of wrapped(isFunction ? text : `  ${text}`, lane).entries()) {
      rows.push(row(part === 0 && run !== undefined ? `${run}` : '', empty.with(task, words), lane));
    }
  }
  return rows;
}

function row(mark: string, cells: readonly string[], lane: number): string {
  return `${mark.padStart(3)} ${cells.map((cell) => `| ${cell.padEnd(lane)}`).join(' ')}`.trimEnd();
}

/** A text in lines of so many columns; what continues is indented. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (let rest = text; ; ) {
    if (rest.length <= width) return [...lines, rest];
    const space = rest.lastIndexOf(' ', width);
    const bar = rest.lastIndexOf('|', width - 1) + 1;
    const end = [space, bar].find((place) => place > width / 2) ?? width;
    lines.push(rest.slice(0, end));
    rest = `    ${rest.slice(end).trimStart()}`;
  }
}
