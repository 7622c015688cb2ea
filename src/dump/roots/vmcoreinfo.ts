/**
 * VMCOREINFO: what Linux writes down of itself for whoever reads a dump of it. Linux 6.1, kernel/crash_core.c
 * (crash_save_vmcoreinfo_init) and arch/x86/kernel/machine_kexec_64.c (arch_crash_save_vmcoreinfo).
 *
 *   OSRELEASE=6.1.0-57-cloud-amd64         the first line
 *   SYMBOL(swapper_pg_dir)=ffffffffb8e10000  hexadecimal, linear; SYMBOL(init_top_pgt) is the same table
 *   NUMBER(phys_base)=-822083584           decimal, signed: QEMU's kdump header has it wrong, as it reads it as hexadecimal
 *   NUMBER(pgtable_l5_enabled)=0           1: five levels
 *   KERNELOFFSET=36400000                  hexadecimal: how far KASLR moved the kernel's image
 *   NUMBER(sme_mask)=0                     decimal: the C-bit of memory that is encrypted
 */
import { checkString } from '../../core/errors.ts';
import type { Dump } from '../dump.ts';

/** What hugewalk uses of VMCOREINFO. Undefined is what the text does not tell. */
export interface Vmcoreinfo {
  readonly osRelease: string | undefined;
  /** Physical address of init_top_pgt, the kernel's own root table. */
  readonly root: bigint | undefined;
  /** Levels of the page tables. Linux writes it since 4.18; before there were four. */
  readonly levels: 4 | 5 | undefined;
  /** How far KASLR moved the kernel's image. */
  readonly kernelOffset: bigint | undefined;
  readonly physBase: bigint | undefined;
  /** The number of the C-bit; undefined also where memory is not encrypted. */
  readonly cBit: number | undefined;
}

/** Where the kernel's image is mapped: __START_KERNEL_map. */
const START_KERNEL_MAP = 0xffff_ffff_8000_0000n;
const HIGHEST_PHYSICAL = (1n << 52n) - 1n;
const FRAME = 4096n;
/** Lines longer than this have no number in them. */
const LONGEST_LINE = 256;
/** Bytes that are read as text: Linux has one page of it. */
const MOST_TEXT = 2 ** 16;

/** Reads a text of VMCOREINFO. Lines that are damaged, or that it does not know, are passed over. */
export function parseVmcoreinfo(text: string): Vmcoreinfo {
  checkString('text', text);
  const values = new Map<string, string>();
  for (const line of text.slice(0, MOST_TEXT).split('\n')) {
    const at = line.indexOf('=');
    if (at > 0 && line.length <= LONGEST_LINE) values.set(line.slice(0, at), line.slice(at + 1));
  }
  const physBase = decimal(values.get('NUMBER(phys_base)'));
  const symbol = hexadecimal(values.get('SYMBOL(swapper_pg_dir)')) ?? hexadecimal(values.get('SYMBOL(init_top_pgt)'));
  const five = decimal(values.get('NUMBER(pgtable_l5_enabled)'));
  return {
    osRelease: values.get('OSRELEASE'),
    root: rootOf(symbol, physBase),
    levels: five === undefined ? undefined : five === 0n ? 4 : 5,
    kernelOffset: hexadecimal(values.get('KERNELOFFSET')),
    physBase,
    cBit: bitOf(decimal(values.get('NUMBER(sme_mask)'))),
  };
}

/** What the dump's file says in VMCOREINFO, where its format has a place for it. */
export function vmcoreinfoOf(dump: Dump): Vmcoreinfo | undefined {
  const { vmcoreinfo } = dump;
  return vmcoreinfo === undefined ? undefined : parseVmcoreinfo(vmcoreinfo);
}

/** What is no address of a frame is no root. */
function rootOf(symbol: bigint | undefined, physBase: bigint | undefined): bigint | undefined {
  if (symbol === undefined || physBase === undefined) return undefined;
  const root = symbol - START_KERNEL_MAP + physBase;
  return root >= 0n && root <= HIGHEST_PHYSICAL && root % FRAME === 0n ? root : undefined;
}

/** The number of the one bit that a mask has; undefined for any other mask, or a bit that no C-bit is. */
function bitOf(mask: bigint | undefined): number | undefined {
  if (mask === undefined || mask <= 0n || (mask & (mask - 1n)) !== 0n) return undefined;
  const bit = mask.toString(2).length - 1;
  return bit >= 32 && bit <= 51 ? bit : undefined;
}

function hexadecimal(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : undefined;
}

function decimal(text: string | undefined): bigint | undefined {
  return text !== undefined && /^-?\d{1,20}$/.test(text) ? BigInt(text) : undefined;
}

/** `OSRE`, as a little-endian word. */
const OSRE = 0x4552_534f;
/** Words of a note's header and its name, `VMCOREINFO`, before its text. */
const NOTE_WORDS = 6;
const BEGINNING = 'OSRELEASE=';
const SYMBOL = 'SYMBOL(swapper_pg_dir)=';

/**
 * The text of VMCOREINFO that stands in a frame of Linux's memory, if one does. The kernel has it twice, in a page by itself
 * (vmcoreinfo_data), and behind a note's header in another (vmcoreinfo_note); both at the beginning of a page since Linux 4.13.
 *
 * @param words the frame
 */
export function vmcoreinfoIn(words: Int32Array): string | undefined {
  const at = words[0] === OSRE ? 0 : words[NOTE_WORDS] === OSRE ? NOTE_WORDS * 4 : -1;
  if (at < 0) return undefined;
  const bytes = new Uint8Array(words.buffer, words.byteOffset + at, words.byteLength - at);
  const end = bytes.indexOf(0);
  const text = String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
  return text.startsWith(BEGINNING) && text.includes(SYMBOL) ? text : undefined;
}
