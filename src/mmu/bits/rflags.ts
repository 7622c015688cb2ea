/**
 * The bit of RFLAGS that paging depends on. Intel SDM vol. 3A, section 4.6.1.
 */
import { RFLAGS_AC } from '../../core/generated/layout.ts';

/** AC, set by STAC and cleared by CLAC: explicit supervisor data accesses reach user addresses in spite of SMAP and LASS. */
export const ac: bigint = RFLAGS_AC;
