/**
 * Arguments of kernel functions in words: flags by their names, less the prefix that they have in common; ranges in hex.
 */
import { hex } from '../../core/errors.ts';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_UNSHARE,
  FAULT_FLAG_USER,
  FAULT_FLAG_WRITE,
} from './fault-flags.ts';
import * as gup from './gup-flags.ts';
import * as uapi from './uapi.ts';
import * as uffd from './uffd-uapi.ts';

/** A bit and its name. */
type Named = readonly [bit: number, name: string];

/** The names of the bits that are set; what has none in hex; '0' for nothing. */
function bitWords(bits: number, names: readonly Named[]): string {
  const found = names.filter(([bit]) => bits & bit);
  const rest = bits & ~found.reduce((all, [bit]) => all | bit, 0);
  const words = found.map(([, name]) => name);
  if (rest !== 0 || words.length === 0) words.push(rest === 0 ? '0' : hex(rest >>> 0));
  return words.join('|');
}

/** The constants of a module whose names begin with a prefix, the lowest bit first. */
function withPrefix(constants: Readonly<Record<string, unknown>>, prefix: string): readonly Named[] {
  return Object.entries(constants)
    .flatMap(([name, bit]): Named[] =>
      name.startsWith(prefix) && typeof bit === 'number' ? [[bit, name.slice(prefix.length)]] : [],
    )
    .sort(([a], [b]) => a - b);
}

const FAULT_FLAGS: readonly Named[] = [
  [FAULT_FLAG_WRITE, 'WRITE'],
  [FAULT_FLAG_ALLOW_RETRY, 'ALLOW_RETRY'],
  [FAULT_FLAG_RETRY_NOWAIT, 'RETRY_NOWAIT'],
  [FAULT_FLAG_KILLABLE, 'KILLABLE'],
  [FAULT_FLAG_TRIED, 'TRIED'],
  [FAULT_FLAG_USER, 'USER'],
  [FAULT_FLAG_UNSHARE, 'UNSHARE'],
];
const FOLL_FLAGS = withPrefix(gup, 'FOLL_');
const PROT_FLAGS = withPrefix(uapi, 'PROT_').filter(([bit]) => bit !== 0);
const MAP_FLAGS = withPrefix(uapi, 'MAP_').filter(([, name]) => !/^(SHARED_VALIDATE|HUGE_.*)$/.test(name));
const MREMAP_FLAGS = withPrefix(uapi, 'MREMAP_');
const FALLOC_FLAGS = withPrefix(uapi, 'FALLOC_FL_');
const ADVICES = new Map(withPrefix(uapi, 'MADV_'));
const REGISTER_MODES = withPrefix(uffd, 'UFFDIO_REGISTER_MODE_');
const FEATURES = withPrefix(uffd, 'UFFD_FEATURE_');
const PAGEFAULT_FLAGS = withPrefix(uffd, 'UFFD_PAGEFAULT_FLAG_');
const COPY_MODES = withPrefix(uffd, 'UFFDIO_COPY_MODE_');
const WRITEPROTECT_MODES = withPrefix(uffd, 'UFFDIO_WRITEPROTECT_MODE_');
const MAP_HUGE_BITS = 0x3f << uapi.MAP_HUGE_SHIFT;

/** FAULT_FLAG_ bits: `WRITE|USER`. */
export function faultFlagWords(flags: number): string {
  return bitWords(flags, FAULT_FLAGS);
}

/** FOLL_ bits. */
export function follWords(flags: number): string {
  return bitWords(flags, FOLL_FLAGS);
}

/** PROT_ bits. */
export function protWords(prot: number): string {
  return prot === 0 ? 'NONE' : bitWords(prot, PROT_FLAGS);
}

/** MAP_ bits, with the page size's logarithm if one is asked for. */
export function mapWords(flags: number): string {
  const log = (flags & MAP_HUGE_BITS) >>> uapi.MAP_HUGE_SHIFT;
  return bitWords(flags & ~MAP_HUGE_BITS, MAP_FLAGS) + (log === 0 ? '' : `|${log}<<HUGE_SHIFT`);
}

/** MREMAP_ bits. */
export function mremapWords(flags: number): string {
  return bitWords(flags, MREMAP_FLAGS);
}

/** FALLOC_FL_ bits. */
export function fallocWords(mode: number): string {
  return bitWords(mode, FALLOC_FLAGS);
}

/** A MADV_ number: `MADV_DONTNEED`. */
export function adviceWords(advice: number): string {
  const name = ADVICES.get(advice);
  return name === undefined ? `${advice}` : `MADV_${name}`;
}

/** UFFDIO_REGISTER_MODE_ bits. */
export function registerModeWords(mode: number): string {
  return bitWords(mode, REGISTER_MODES);
}

/** UFFD_FEATURE_ bits. */
export function featureWords(features: number): string {
  return bitWords(features, FEATURES);
}

/** UFFD_PAGEFAULT_FLAG_ bits. */
export function pagefaultWords(flags: number): string {
  return bitWords(flags, PAGEFAULT_FLAGS);
}

/** UFFDIO_COPY_MODE_ bits; those of UFFDIO_CONTINUE and UFFDIO_ZEROPAGE are among them. */
export function copyModeWords(mode: number): string {
  return bitWords(mode, COPY_MODES);
}

/** UFFDIO_WRITEPROTECT_MODE_ bits. */
export function writeprotectModeWords(mode: number): string {
  return bitWords(mode, WRITEPROTECT_MODES);
}

/** Two ends: `start=0x1000, end=0x3000`. */
export function rangeWords(start: number, end: number): string {
  return `start=${hex(start)}, end=${end === Number.POSITIVE_INFINITY ? 'the end' : hex(end)}`;
}

/** A start and a length in bytes: `start=0x1000, len=0x2000`. */
export function lengthWords(start: number, length: number): string {
  return `start=${hex(start)}, len=${hex(length)}`;
}

/** Where the neighbours' mappings end and begin, 0 where there is none, as free_pgtables is told: `floor=0x0, ceiling=0x0`. */
export function boundWords(floor: number, ceiling: number): string {
  return `floor=${hex(floor)}, ceiling=${hex(ceiling === Number.POSITIVE_INFINITY ? 0 : ceiling)}`;
}
