/**
 * A finding as a scenario that shows it again: the sequence, and who runs how far.
 *
 *   {"seq":1,"pool":2}
 *   {"op":"fork","task":0, ...}
 *   {"op":"migrate","task":1, ...}
 *   {"note":"deadlock: ..."}
 *   {"schedule":[[0,12],[1,7],[0,3]]}         task 0 over twelve places where another could come in, then task 1 over seven ...
 *   {"end":1}
 */
import type { Finding } from '../kernel/finding.ts';
import type { Run } from '../search/schedule.ts';
import type { SequenceScene } from './sequence-scene.ts';

/**
 * The text of a file.
 *
 * @param text of the file that the scene comes from
 */
export function savedScenario(
  { sequence, numbers }: SequenceScene,
  text: string,
  finding: Finding,
  schedule: readonly Run[],
): string {
  const lines = text.split('\n').map((line) => line.trim());
  const kernel = lines.slice(0, sequence.line - 1).findLast((line) => has(line, 'kernel'));
  const own = lines
    .slice(sequence.line - 1, sequence.end!.line - 1)
    .filter((line) => line !== '' && !has(line, 'schedule'));
  const runs = schedule.map(({ task, places }) => [numbers[task], places]);
  const saved = [
    ...(kernel === undefined ? [] : [kernel]),
    ...own,
    JSON.stringify({ note: `${finding.kind}: ${finding.what}` }),
    JSON.stringify({ schedule: runs }),
    sequence.end!.text,
  ];
  return saved.map((line) => `${line}\n`).join('');
}

function has(line: string, field: string): boolean {
  return line !== '' && Object.hasOwn(JSON.parse(line) as object, field);
}
