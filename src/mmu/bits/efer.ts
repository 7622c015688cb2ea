/**
 * Bits of IA32_EFER. Intel SDM vol. 3A, section 2.2.1.
 */
import { EFER_NXE } from '../../core/generated/layout.ts';

/** SCE: SYSCALL and SYSRET are enabled. Paging does not heed it. */
export const sce: bigint = 1n << 0n;
/** LME: long mode is enabled. 4-level and 5-level paging need it; without it, PAE paging has three levels. */
export const lme: bigint = 1n << 8n;
/** LMA: long mode is active. The processor sets it when paging is switched on while LME is set. */
export const lma: bigint = 1n << 10n;
/** NXE: bit 63 of an entry means execute-disable. While it is clear, that bit is reserved. */
export const nxe: bigint = EFER_NXE;
