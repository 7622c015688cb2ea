/** One run of QEMU. */
export interface Configuration {
  readonly name: string;
  readonly levels: 4 | 5;
  /** MAXPHYADDR. */
  readonly physicalBits: number;
  /** CPUID.80000001H:EDX.Page1GB. */
  readonly page1G: boolean;
  readonly seed: number;
  readonly count: number;
}

/** A case whose answer the SDM gives. */
export interface Sentinel {
  readonly name: string;
  /** Level of the entry that maps the page. */
  readonly leaf: number;
  readonly draft: { readonly access: number };
  /** Empty where the access succeeds. */
  readonly expected: { readonly vector?: number; readonly error?: number };
}

export const CONFIGURATIONS: readonly Configuration[];
export const FRAMES: readonly number[];
export const CASE_BYTES: number;
export const CASE_VA: number;
export const CASE_ENTRIES: number;
export const CASE_PKRU: number;
export const CASE_PKRS: number;
export const CASE_TABLES: number;
export const CASE_REGISTERS: number;
export const CASE_ACCESS: number;
export const REGISTER: Readonly<Record<'WP' | 'SMEP' | 'SMAP' | 'PKE' | 'PKS' | 'NXE' | 'AC', number>>;
export const ACCESS: Readonly<Record<'WRITE' | 'USER' | 'FETCH' | 'STACK' | 'IMPLICIT', number>>;

export function sentinels(configuration: Configuration): readonly Sentinel[];
export function generateCases(configuration: Configuration): Uint8Array<ArrayBuffer>;
export function digestOf(bytes: Uint8Array): string;
