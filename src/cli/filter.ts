/**
 * Which leaves `hugewalk map` shows: those with certain rights over all levels, or of one size.
 */
import type { AbsentEntries } from '../dump/questions/absent-entries.ts';
import { Failure } from './failure.ts';
import { LEAF, type RecordReader } from './record.ts';
import { EXECUTABLE, USER, WRITABLE } from './text.ts';

/** The options that leave leaves out. */
export interface FilterOptions {
  readonly writable?: boolean;
  readonly executable?: boolean;
  readonly user?: boolean;
  /** Level of the leaves. */
  readonly size?: number;
}

/** Whether a record is to be shown; entries that are no leaves are, unless something is asked of leaves. */
export type Filter = (record: RecordReader) => boolean;

/** Undefined where nothing is left out. */
export function filterOf({ writable, executable, user, size }: FilterOptions): Filter | undefined {
  const needed = (writable ? WRITABLE : 0) | (executable ? EXECUTABLE : 0) | (user ? USER : 0);
  if (needed === 0 && size === undefined) return undefined;
  return (record) =>
    record.kind === LEAF && (record.rights & needed) === needed && (size === undefined || record.level === size);
}

/** Of entries that are not present: they give no right to anybody, and are of the size that their table has. */
export function absentFilterOf({ writable, executable, user, size }: FilterOptions): (entry: AbsentEntries) => boolean {
  const isOfRights = Boolean(writable || executable || user);
  return ({ level }) => !isOfRights && (size === undefined || size === level);
}

/** What the filter asks, in words: `, only writable, user, of 4 KiB`. */
export function filterWords({ writable, executable, user, size }: FilterOptions): string {
  const words = [writable && 'writable', executable && 'executable', user && 'for user mode'].filter(Boolean);
  if (size !== undefined) words.push(`of ${['', '4 KiB', '2 MiB', '1 GiB'][size]}`);
  return words.length === 0 ? '' : `, only what is ${words.join(', ')}`;
}

const SIZES: Readonly<Record<string, number>> = { '4k': 1, '2m': 2, '1g': 3 };

/** `2M`: the level of such leaves. */
export function parseSize(text: string): number {
  const level = SIZES[text.toLowerCase().replace(/i?b$/, '')];
  if (level === undefined) throw new Failure(`--size: expected 4K, 2M or 1G, got ${JSON.stringify(text)}`);
  return level;
}
