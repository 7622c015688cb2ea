/**
 * Scenarios from files.
 */
import { fileSource } from '../dump/file-source.ts';
import { inflated } from '../dump/gzip.ts';
import { ScenarioError } from '../replay/line/scenario-error.ts';
import { parseScenario } from '../replay/scenario.ts';
import type { Scenario } from '../replay/sequence/sequence.ts';
import { Failure } from './failure.ts';
import type { Progress } from './progress.ts';
import { printable, sizeOfPages } from './text.ts';

/** Bytes of text that a file may have. */
const LONGEST = 2 ** 28;

/** Reads a file, plain or gzipped, and all that it says. */
export async function readScenario(
  path: string,
  progress: Progress,
): Promise<{ readonly scenario: Scenario; readonly text: string }> {
  const onProgress = (done: number, total: number): void =>
    progress.report(() => `reading ${printable(path)}: ${sizeOfPages(done / 4096)} of ${sizeOfPages(total / 4096)}`);
  const file = await fileSource(path);
  try {
    const source = await inflated(file, { keep: LONGEST, onProgress });
    if (source.size > LONGEST) {
      throw new Failure(`${path}: expected at most ${sizeOfPages(LONGEST / 4096)} of text, found more`);
    }
    const [bytes] = await source.read([{ offset: 0, length: source.size }]);
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    return { scenario: parseScenario(path, text), text };
  } catch (error) {
    throw error instanceof ScenarioError ? new Failure(error.message) : error;
  } finally {
    await file.close();
  }
}
