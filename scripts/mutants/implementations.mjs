/*
 * test/support/implementations.ts for the search of mutants: of all implementations only those with the fault in them,
 * and the reference.
 */
import * as all from '../../test/support/implementations.ts';

export { memoryWith } from '../../test/support/implementations.ts';

const kinds = process.env.MUTANT_KINDS.split(',');
const concerned = ({ name }) =>
  name === 'reference' || (name.startsWith('release') && kinds.some((kind) => name.includes(kind)));

export const IMPLEMENTATIONS = all.IMPLEMENTATIONS.filter(concerned);
export const ACCESSORS = all.ACCESSORS.filter(concerned);
