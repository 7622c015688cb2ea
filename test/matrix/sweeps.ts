/**
 * The sweeps of the matrix and how many combinations each has to have.
 */

/** By number: the order of assembly/sweeps.ts. */
export const SWEEPS = ['classic', 'large', 'upper', 'supervisor', 'keys', 'shadow', 'global', 'lass', 'width'] as const;
export type SweepName = (typeof SWEEPS)[number];

/** The processor that a sweep is made for. */
export interface Processor {
  /** Levels of its tables. */
  readonly levels: 4 | 5;
  /** MAXPHYADDR, for the classic sweep: bit 36 is varied where it is less than 37. Default 46. */
  readonly maxPhysicalAddress?: number;
  /** Whether there are protection keys, for the classic sweep. Default true. */
  readonly hasKeys?: boolean;
}

/** The classic sweep's four sizes: those of the x86/access test of kvm-unit-tests, counted there by brute force. */
export const CLASSIC_COUNTS = [
  { hasKeys: false, maxPhysicalAddress: 46, count: 1_916_928 },
  { hasKeys: false, maxPhysicalAddress: 36, count: 2_899_968 },
  { hasKeys: true, maxPhysicalAddress: 46, count: 19_169_280 },
  { hasKeys: true, maxPhysicalAddress: 36, count: 28_999_680 },
] as const;

/**
 * The sweeps beyond it: what each is about, and its size with 4 and with 5 levels.
 *
 * - large: 2^10 states of the two entries and twice, 6 accesses, 8 register sets, 19 low bits (and none without 1 GiB)
 * - upper: 2^4 states of each varied entry; which of them is absent; PS or bit 51 in which, PDPTE.PS also without 1 GiB
 *   pages; 6 accesses, 4 register sets
 */
export const EXTRA_SWEEPS = [
  { name: 'large', about: '1 GiB pages', counts: { 4: 983_040, 5: 983_040 } },
  { name: 'upper', about: 'every state of PML5E, PML4E and PDPTE', counts: { 4: 110_592, 5: 3_145_728 } },
  { name: 'supervisor', about: 'SMEP and SMAP', counts: { 4: 1_048_576, 5: 1_048_576 } },
  { name: 'keys', about: 'every protection key, PKRU and PKRS', counts: { 4: 3_145_728, 5: 3_145_728 } },
  { name: 'shadow', about: 'shadow stacks', counts: { 4: 2_064_384, 5: 2_064_384 } },
  { name: 'global', about: 'the global bit', counts: { 4: 73_728, 5: 147_456 } },
  { name: 'lass', about: 'linear-address space separation', counts: { 4: 196_608, 5: 196_608 } },
  { name: 'width', about: 'every MAXPHYADDR and every address bit', counts: { 4: 313_344, 5: 391_680 } },
] as const satisfies readonly { name: SweepName; about: string; counts: Record<4 | 5, number> }[];
