/**
 * Bits of control register 0 that paging depends on. Intel SDM vol. 3A, sections 2.5 and 4.1.
 */
import { CR0_PG, CR0_WP } from '../../core/generated/layout.ts';

/** PE, protection enable: protected mode. Paging needs it. */
export const pe: bigint = 1n << 0n;
/** WP, write protect: the supervisor, too, writes only where R/W is 1 at every level. While it is clear, R/W binds user mode alone. */
export const wp: bigint = CR0_WP;
/** PG, paging: linear addresses are translated. */
export const pg: bigint = CR0_PG;
