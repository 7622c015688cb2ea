/**
 * The format of HGM's recordings: everything is counted in 4 KiB pages, and states show the page tables themselves.
 */
import type { FlatMemory } from '../../core/flat-memory.ts';
import type { Line, LineObject } from '../line/line.ts';
import type { Setting } from '../line/setting.ts';
import type { Begun } from '../sequence/begun.ts';
import type { Disagreement } from '../sequence/disagreement.ts';
import type { Format } from '../sequence/format.ts';
import { parseHeader } from './header.ts';
import { LOOKS, takeLook } from './looks.ts';
import { OPERATIONS } from './operations.ts';
import { PTDUMP_FIELDS, takePtdump } from './ptdump.ts';
import { HgmStage } from './stage.ts';
import { compareState, parseState, STATE_FIELDS, type State, sameState, stateOf } from './state.ts';

type Take = (line: Line, object: LineObject, begun: Begun) => void;

const TAKES: ReadonlyMap<string, Take> = new Map<string, Take>([
  ...STATE_FIELDS.map((field): [string, Take] => [field, (...args) => takeState(field, parseState, ...args)]),
  ['same', (...args) => takeState('same', sameState, ...args)],
  ...[...LOOKS].map(([field, look]): [string, Take] => [field, (...args) => takeLook(look, field, ...args)]),
  ...PTDUMP_FIELDS.map((field): [string, Take] => [field, takePtdump]),
]);

/** HGM's. */
export const HGM: Format = {
  kinds: [...TAKES.keys()],
  operations: OPERATIONS,
  header: parseHeader,
  stage: (setting: Setting, tables: FlatMemory) => new HgmStage(setting, tables),
  take: (kind: string, line: Line, object: LineObject, begun: Begun) => TAKES.get(kind)!(line, object, begun),
  observe: (stage: HgmStage): State => stateOf(stage),
  compare: (stage: HgmStage, state: State): Disagreement[] => compareState(stage, state),
};

function takeState(
  field: string,
  parse: (line: Line, object: LineObject, begun: Begun) => object,
  line: Line,
  object: LineObject,
  begun: Begun,
): void {
  const step = begun.completed(line, field, object);
  begun.complete({ ...step, state: parse(line, object, begun), stateLine: line.line });
}
