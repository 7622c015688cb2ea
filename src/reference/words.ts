/**
 * Numbers and bits in words.
 */
import { checkNumber } from './checks.ts';
import { bit } from './entry.ts';
import type { Rights } from './walk.ts';

/* Bits of an access (SDM figure 4-12); bit 8 is ours. */
export const WRITE = 2;
export const USER = 4;
export const FETCH = 16;
export const SHADOW_STACK = 64;
export const IMPLICIT = 256;

/** `0x7f00dead0000`. */
export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** A size as people write it: `4 KiB`, `2 MiB`, `1 GiB`. */
export function sizeName(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let size = bytes;
  while (size >= 1024 && size % 1024 === 0 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size} ${units[unit]}`;
}

/** An access in words: `user write`. */
export function accessWords(access: number): string {
  const mode = access & USER ? 'user' : access & IMPLICIT ? 'implicit supervisor' : 'supervisor';
  const kind = access & FETCH ? 'fetch' : access & WRITE ? 'write' : 'read';
  return `${mode} ${access & SHADOW_STACK ? 'shadow-stack ' : ''}${kind}`;
}

/**
 * The set bits of a page fault's error code by name: `P W U`; `no bit set` for none.
 *
 * @throws TypeError or RangeError for what is no error code
 */
export function errorCodeWords(errorCode: number): string {
  checkNumber('errorCode', errorCode, 0xffff_ffff);
  const names = ['P', 'W', 'U', 'RSVD', 'I', 'PK', 'SS'].filter((_, n) => (errorCode >> n) & 1);
  return names.length ? names.join(' ') : 'no bit set';
}

/** Rights by letter, as files have them, and whose they are: `rw- user`. */
export function rightsLetters({
  writable,
  user,
  executable,
}: Pick<Rights, 'writable' | 'user' | 'executable'>): string {
  return `r${writable ? 'w' : '-'}${executable ? 'x' : '-'} ${user ? 'user' : 'kernel'}`;
}

/** Set bits by number: `bit 13`, `bits 20:13, 7`. */
export function bitList(mask: bigint): string {
  const ranges: string[] = [];
  for (let n = 63n; n >= 0n; n--) {
    if (!bit(mask, n)) continue;
    const high = n;
    while (n > 0n && bit(mask, n - 1n)) n--;
    ranges.push(high === n ? `${n}` : `${high}:${n}`);
  }
  return `bit${ranges.length === 1 && !ranges[0]!.includes(':') ? '' : 's'} ${ranges.join(', ')}`;
}
