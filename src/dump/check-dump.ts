import { wrongKind } from '../core/errors.ts';
import type { Dump } from './dump.ts';

/** Throws for what is no dump, like one that was not awaited. */
export function checkDump(dump: Dump): void {
  const given: Partial<Dump> | null | undefined = dump;
  if (typeof given?.readFrames !== 'function' || !Array.isArray(given.cpus)) throw wrongKind('dump', 'a Dump', dump);
}
