/**
 * How an operation ended, against what its line tells of that.
 */
import { DIED, type Disagreement, same } from './sequence/disagreement.ts';
import type { Died, ScenarioStep } from './sequence/sequence.ts';
import { type Answer, BLOCKED } from './stage/answer.ts';

/** Results that are not the kernel's, but what an observer sees: see {@link Answer}. */
const HANG = 'HANG';
const BUG = 'BUG';

/** Whether the model has answered as it is told, if it is. */
export function agrees({ result }: ScenarioStep, answer: Answer): boolean {
  return result === undefined || answer.result === result;
}

/** In what an answer differs: how it ended, and what it found. */
export function compareAnswer(step: ScenarioStep, answer: Answer): Disagreement[] {
  const differing = compareResults(step, answer);
  if (!step.found || !agrees(step, answer) || answer.impossible || answer.result === BLOCKED) return differing;
  for (const [field, kernel] of Object.entries(step.found)) {
    const model = answer.found?.[field] ?? 'nothing';
    if (!same(model, kernel)) differing.push({ what: 'found', field, kernel, model });
  }
  return differing;
}

/** An operation that cannot be begun, and one that hangs, count even where no result is told. */
function compareResults(step: ScenarioStep, answer: Answer): Disagreement[] {
  const { result, hang, died } = step;
  const model = answer.result;
  if (died) return compareDeaths(died, model);
  if (hang || model === HANG) {
    return hang && model === HANG ? [] : [{ what: 'hang', kernel: hang ? HANG : result, model }];
  }
  return answer.impossible || !agrees(step, answer) ? [{ what: 'result', kernel: result, model }] : [];
}

function compareDeaths(died: Died, model: string): Disagreement[] {
  if (model === died || (died === 'either' && (model === HANG || model === BUG))) return [];
  if (died === HANG || model === HANG) return [{ what: 'hang', kernel: died, model }];
  return [{ what: 'result', kernel: died === 'either' ? DIED : died, model }];
}
