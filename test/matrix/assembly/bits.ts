/*
 * The bits that the sweeps set and the expectation reads, written here from the manual and from no other file of this
 * project. Intel SDM vol. 3A: 2.5 (control registers), 4.5 (tables 4-14 to 4-20), 4.7 (figure 4-12, the error code).
 */

/* An entry. */
export const P: u64 = 1 << 0;
export const W: u64 = 1 << 1;
export const U: u64 = 1 << 2;
export const PWT: u64 = 1 << 3;
export const PCD: u64 = 1 << 4;
export const A: u64 = 1 << 5;
export const D: u64 = 1 << 6;
export const PS: u64 = 1 << 7;
export const G: u64 = 1 << 8;
/** PAT: bit 7 of a 4 KiB page's entry, bit 12 of a larger one's. */
export const PAT_4K: u64 = 1 << 7;
export const PAT_LARGE: u64 = 1 << 12;
export const XD: u64 = 1 << 63;
/** Bits 51:12. */
export const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/** A leaf's protection key begins here. */
export const KEY_SHIFT: u64 = 59;

/* Registers and processor facts. */
export const CR0_WP: u64 = 1 << 16;
export const CR4_PGE: u64 = 1 << 7;
export const CR4_LA57: u64 = 1 << 12;
export const CR4_SMEP: u64 = 1 << 20;
export const CR4_SMAP: u64 = 1 << 21;
export const CR4_PKE: u64 = 1 << 22;
export const CR4_CET: u64 = 1 << 23;
export const CR4_PKS: u64 = 1 << 24;
export const CR4_LASS: u64 = 1 << 27;
export const EFER_NXE: u64 = 1 << 11;
export const RFLAGS_AC: u64 = 1 << 18;
/** The processor has 1 GiB pages; it is one of AMD's. */
export const PAGE_1G: u64 = 1 << 0;
export const AMD: u64 = 1 << 1;
/** What is always on: CR0.PG and PE; CR4.PAE; EFER.LMA and LME. */
export const CR0_PAGING: u64 = 0x8000_0001;
export const CR4_PAGING: u64 = 1 << 5;
export const EFER_PAGING: u64 = 0x500;

/* An error code, and an access, which is told by the bits of the error code that describe it, and one more. */
export const ERROR_P: u64 = 1 << 0;
export const WRITE: u64 = 1 << 1;
export const USER: u64 = 1 << 2;
export const ERROR_RSVD: u64 = 1 << 3;
export const FETCH: u64 = 1 << 4;
export const ERROR_PK: u64 = 1 << 5;
export const SHADOW_STACK: u64 = 1 << 6;
/** An implicit access of the supervisor: to a descriptor table or a TSS. */
export const IMPLICIT: u64 = 1 << 8;
