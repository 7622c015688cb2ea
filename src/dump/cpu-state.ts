/** What a dump knows of one processor at the moment it was taken. */
export interface CpuState {
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly rflags: bigint;
  /** The selector in CS. */
  readonly cs: number;
  /** Current privilege level, 0 to 3: bits 1:0 of CS. */
  readonly cpl: number;
  readonly cr0: bigint;
  readonly cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  /** Undefined where the format does not keep it: QEMU's ELF core does not. */
  readonly efer: bigint | undefined;
}
