/**
 * A thread that searches pieces of a scene: those that it is given, in their order.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Job } from '../explore/parts.ts';
import { type CutPass, type PieceResult, PieceSearcher } from '../explore/pieces.ts';
import { SequenceScene } from '../explore/scenario/sequence-scene.ts';
import { SerialOutcomes } from '../explore/serial.ts';
import { parseScenario } from '../replay/scenario.ts';
import type { SceneSource } from './explore-search.ts';

/** What it is told: which pass is searched in a round, or a piece of it. */
export type ToWorker = { readonly round: number } & ({ readonly pass: CutPass } | { readonly job: Job });

/** What it tells: how many executions of its piece are done, or what became of the piece. */
export type FromWorker = { readonly round: number } & (
  | { readonly executions: number }
  | { readonly result: PieceResult }
);

/** Milliseconds between two reports. */
const PACE = 100;

const { file, text, index } = workerData as SceneSource;
const scene = new SequenceScene(parseScenario(file, text).sequences[index]!);
const serial = new SerialOutcomes(scene);
let searcher: PieceSearcher | undefined;
const tell = (message: FromWorker): void => parentPort!.postMessage(message);

parentPort!.on('message', (message: ToWorker) => {
  const { round } = message;
  if ('pass' in message) searcher = new PieceSearcher(scene, message.pass, serial);
  else search(round, message.job);
});

function search(round: number, { piece, executions }: Job): void {
  const progress = searcher!.search(piece, executions);
  let due = performance.now() + PACE;
  for (;;) {
    const { value, done } = progress.next();
    if (done) {
      tell({ round, result: value });
      return;
    }
    if (performance.now() < due) continue;
    due += PACE;
    tell({ round, executions: value.executions });
  }
}
