/**
 * Lines that look at something, and change nothing.
 */

import type { Line, LineObject } from '../line/line.ts';
import { isObject, read, refused } from '../line/lines.ts';
import type { Begun } from '../sequence/begun.ts';
import type { Operation } from '../sequence/operation.ts';
import { checkTogether, foundOf } from '../sequence/steps.ts';
import { pagemap } from './pagemap.ts';
import { smaps } from './smaps.ts';
import { uffdMessage } from './uffd-message.ts';

/** A look, and where its fields stand: in the line, or in an object there. */
export interface Look {
  readonly operation: Operation;
  readonly nested?: boolean;
}

/** By the field that tells the line. */
export const LOOKS: ReadonlyMap<string, Look> = new Map([
  ['uffd_message', { operation: uffdMessage }],
  ['pagemap', { operation: pagemap, nested: true }],
  ['smaps', { operation: smaps }],
]);

/** Takes a line with a look: it has no result of its own, and all that it found is compared. */
export function takeLook(
  { operation, nested }: Look,
  field: string,
  line: Line,
  object: LineObject,
  begun: Begun,
): void {
  const fields = nested ? innerOf(line, field, object) : object;
  const values = read(line, fields, operation.fields, begun, field);
  checkTogether(line, operation, values, begun, fields);
  const found = foundOf(operation.found ?? [], values);
  begun.look({ ...line, kind: 'look', operation, values, result: 'OK', found, hang: false });
}

function innerOf(line: Line, field: string, object: LineObject): LineObject {
  const inner = object[field];
  if (isObject(inner) && Object.keys(object).length === 1) return inner;
  throw refused(line, field, 'an object, and nothing beside it', inner);
}
