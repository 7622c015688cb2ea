import type { Warnings } from '../../warnings.ts';

/** Takes a line that says what is missing or broken in a file; strict, it throws it. */
export type Warn = Pick<Warnings, 'add'>;
