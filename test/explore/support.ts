/**
 * Scenarios with tasks, explored to their end.
 */
import { type Exploration, explore } from '../../src/explore/explore.ts';
import { SequenceScene } from '../../src/explore/scenario/sequence-scene.ts';
import { parseScenario } from '../../src/replay/scenario.ts';

/** The scene of a scenario with one sequence. */
export function sceneOf(lines: readonly object[]): SequenceScene {
  const text = lines.map((line) => JSON.stringify(line)).join('\n');
  return new SequenceScene(parseScenario('scenario', text).sequences[0]!);
}

/** Searches until something is found, or nothing is left. @param onExecution called after each execution */
export function explored(scene: SequenceScene, onExecution: () => void = () => undefined): Exploration {
  const search = explore(scene, {}, onExecution);
  for (;;) {
    const { value, done } = search.next();
    if (done) return value;
  }
}
