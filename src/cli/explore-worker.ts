/**
 * A thread that searches pieces of a scene: those that it is told the numbers of.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type PieceResult, Pieces } from '../explore/pieces.ts';
import { SequenceScene } from '../explore/scenario/sequence-scene.ts';
import { parseScenario } from '../replay/scenario.ts';
import type { PiecesOf } from './explore-search.ts';

/** What it tells: how many executions of its piece are done, or what became of the piece. */
export type FromWorker = { readonly executions: number } | { readonly result: PieceResult };

/** Milliseconds between two reports. */
const PACE = 100;

const { file, text, index, busyPlaces, least } = workerData as PiecesOf;
const pieces = new Pieces(new SequenceScene(parseScenario(file, text).sequences[index]!), busyPlaces, least);
const tell = (message: FromWorker): void => parentPort!.postMessage(message);

parentPort!.on('message', (piece: number) => {
  const search = pieces.search(piece);
  let due = performance.now() + PACE;
  for (;;) {
    const { value, done } = search.next();
    if (done) return tell({ result: value });
    if (performance.now() < due) continue;
    due += PACE;
    tell({ executions: value.executions });
  }
});
