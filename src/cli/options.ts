/**
 * What a user may type for addresses, registers, processors and accesses.
 */
import { hex } from '../core/errors.ts';
import type { RawRange } from '../dump/raw-ranges.ts';
import { Access } from '../mmu/access.ts';
import type { Shard } from './explore-search.ts';
import { Failure } from './failure.ts';

/** `0x7f00_dead_0000`: underscores between digits. */
const PREFIXED = /^0x[0-9a-f]+(_[0-9a-f]+)*$/i;
/** As kernels, QEMU and /proc/PID/maps print them: at least 8 digits, and not to be mistaken for a decimal number. */
const BARE = /^(?=0|[0-9]*[a-f])[0-9a-f]{8,}$/i;
const WIDTH = 64n;

/**
 * A 64-bit number in hexadecimal: an address or the value of a register.
 *
 * @param name the option or argument, for the message
 */
export function parseHex(name: string, text: string): bigint {
  if (!PREFIXED.test(text) && !BARE.test(text)) {
    const meant = /^[0-9a-f]+(_[0-9a-f]+)*$/i.test(text) ? `: write 0x${text} if that is what you mean` : '';
    throw new Failure(
      `${name}: expected a hexadecimal number such as 0xffff888000000000, got ${JSON.stringify(text)}${meant}`,
    );
  }
  const value = BigInt(`0x${text.replace(/^0x/i, '').replaceAll('_', '')}`);
  if (value >> WIDTH) throw new Failure(`${name}: expected at most 0x${'f'.repeat(16)}, got 0x${value.toString(16)}`);
  return value;
}

/** Registers that hold an address. */
export type AddressRegister = 'cr2' | 'rip' | 'rsp';

/** Whether a text is an address, or a register that holds one. */
export function isAddress(text: string): boolean {
  return isHex(text) || isRegister(text.toLowerCase());
}

/** `cr2`, or an address in hexadecimal. */
export function parseAddress(name: string, text: string): bigint | AddressRegister {
  const register = text.toLowerCase();
  return isRegister(register) ? register : parseHex(name, text);
}

function isRegister(text: string): text is AddressRegister {
  return text === 'cr2' || text === 'rip' || text === 'rsp';
}

/** Seconds, in decimal. */
export function parseSeconds(name: string, text: string): number {
  const seconds = /^\d{1,6}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (seconds >= 0.01) return seconds;
  throw new Failure(`${name}: expected seconds such as 1 or 0.5, got ${JSON.stringify(text)}`);
}

/** Whether a text is an address or register as {@link parseHex} takes it. */
export function isHex(text: string): boolean {
  return PREFIXED.test(text) || BARE.test(text);
}

/**
 * `0-0x7ffffff,0x100000000-0x14fffffff@0x8000000`: which physical memory a raw image holds, ends inclusive as in /proc/iomem.
 */
export function parseRanges(text: string): RawRange[] {
  return text.split(',').map((part) => {
    const [, start, end, offset] = /^([^-@]+)-([^-@]+)(?:@([^-@]+))?$/.exec(part.trim()) ?? [];
    if (start === undefined || end === undefined) {
      throw new Failure(
        `--ranges: expected START-END or START-END@OFFSET such as 0x0-0x7ffffff@0x0, got ${JSON.stringify(part)}`,
      );
    }
    const number = (digits: string): bigint => (digits === '0' ? 0n : parseHex('--ranges', digits));
    const [first, last] = [number(start), number(end)];
    if (first > last) throw new Failure(`--ranges: expected an end from ${hex(first)} on, got ${hex(last)}`);
    if (last >> 52n) throw new Failure(`--ranges: expected an end below 0x10000000000000, got ${hex(last)}`);
    if (offset === undefined) return { physical: first, bytes: last - first + 1n };
    const at = number(offset);
    if (at >> 52n) throw new Failure(`--ranges: expected an offset below 0x10000000000000, got ${hex(at)}`);
    return { physical: first, bytes: last - first + 1n, offset: Number(at) };
  });
}

/** The number of a processor, in decimal as QEMU counts them. */
export function parseCpu(text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    throw new Failure(`--cpu: expected a number such as 0, got ${JSON.stringify(text)}`);
  }
  return Number(text);
}

/** A number within limits, in decimal. */
export function parseWithin(name: string, least: number, most: number, text: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new Failure(`${name}: expected a number from ${least} to ${most}, got ${JSON.stringify(text)}`);
}

/** A register of 32 bits, in hexadecimal. */
export function parseHex32(name: string, text: string): bigint {
  const value = parseHex(name, text);
  if (value >> 32n) throw new Failure(`${name}: expected at most 0xffffffff, got ${hex(value)}`);
  return value;
}

/** A count, in decimal. */
export function parseCount(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Failure(`${name}: expected a number such as 2, got ${JSON.stringify(text)}`);
  return Number(text);
}

/** Bytes, in decimal or, behind 0x, in hexadecimal; as many as one can wait for. */
export function parseLength(text: string): number {
  const length = /^(0x[0-9a-f]{1,11}|\d{1,13})$/i.test(text) ? Number(text) : Number.NaN;
  if (!(length >= 1)) {
    throw new Failure(`LENGTH: expected a number of bytes such as 256 or 0x100, got ${JSON.stringify(text)}`);
  }
  return length;
}

/** `2/4`. */
export function parseShard(text: string): Shard {
  const [, number, of] = /^(\d{1,6})\/(\d{1,6})$/.exec(text)?.map(Number) ?? [];
  if (!number || !of || number > of) {
    throw new Failure(`--shard: expected a part such as 1/4, the first of four, got ${JSON.stringify(text)}`);
  }
  return { number, of };
}

const KINDS = new Map([
  ['r', Access.read],
  ['w', Access.write],
  ['x', Access.fetch],
]);

/** The accesses that the letters of `--access` stand for, in their order, each once. */
export function parseAccess(text: string): number[] {
  const kinds = [...new Set(text)].map((letter) => KINDS.get(letter));
  if (kinds.length === 0 || kinds.includes(undefined)) {
    throw new Failure(`--access: expected one or more of the letters r, w and x, got ${JSON.stringify(text)}`);
  }
  return kinds.filter((kind) => kind !== undefined);
}

/** Throws unless `from` and `to` are canonical and in order. */
export function checkRange(from: bigint | undefined, to: bigint | undefined, levels: 4 | 5): void {
  const width = levels === 5 ? 57 : 48;
  for (const [name, va] of [
    ['--from', from],
    ['--to', to],
  ] as const) {
    if (va !== undefined && BigInt.asUintN(64, BigInt.asIntN(width, va)) !== va) {
      const lower = (1n << BigInt(width - 1)) - 1n;
      throw new Failure(
        `${name}: expected a canonical address (up to ${hex(lower)}, or from ${hex(BigInt.asUintN(64, ~lower))}), got ${hex(va)}`,
      );
    }
  }
  if (from !== undefined && to !== undefined && from > to) {
    throw new Failure(`--from: expected at most --to = ${hex(to)}, got ${hex(from)}`);
  }
}
