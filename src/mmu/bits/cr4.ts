/**
 * Bits of control register 4 that paging depends on. Intel SDM vol. 3A, sections 2.5 and 4.1.3.
 */
import {
  CR4_CET,
  CR4_LA57,
  CR4_LASS,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
} from '../../core/generated/layout.ts';

/** PAE, physical-address extension: entries are 64 bits wide. 4-level and 5-level paging need it. */
export const pae: bigint = 1n << 5n;
/** PGE, page global enable: translations of leaves with G outlive a change of CR3. */
export const pge: bigint = CR4_PGE;
/** LA57: five levels, linear addresses of 57 bits. It cannot change while paging is on. */
export const la57: bigint = CR4_LA57;
/** PCIDE: bits 11:0 of CR3 are a process-context identifier, with which what is cached is tagged. */
export const pcide: bigint = CR4_PCIDE;
/** SMEP: the supervisor may not fetch instructions from user pages. */
export const smep: bigint = CR4_SMEP;
/** SMAP: the supervisor may not read or write user pages while RFLAGS.AC is 0. */
export const smap: bigint = CR4_SMAP;
/** PKE: PKRU restricts data accesses to user pages, by the protection keys of their leaves. */
export const pke: bigint = CR4_PKE;
/** CET: there are shadow stacks. It demands CR0.WP. */
export const cet: bigint = CR4_CET;
/** PKS: IA32_PKRS restricts data accesses to supervisor pages, by the protection keys of their leaves. */
export const pks: bigint = CR4_PKS;
/** LASS: user mode may not touch the upper half of the linear addresses, nor the supervisor the lower (data only with SMAP). */
export const lass: bigint = CR4_LASS;
