/**
 * What is known of a table that may be a root, and how much it counts.
 */

/** Why a table is taken for a root. */
export interface RootEvidence {
  /** Whether VMCOREINFO names it: Linux's init_top_pgt. */
  readonly vmcoreinfo: boolean;
  /** The dump's processors whose CR3 it is. */
  readonly cpus: readonly number[];
  /** How many other candidates have an entry of the upper half in common with it, and how many such entries it has. */
  readonly sharedWith: number;
  readonly sharedEntries: number;
  /** A linear address at which it maps its own frame, as a direct map of all memory does. */
  readonly ownAddress: bigint | undefined;
  /** The index of an entry that points to the table itself. */
  readonly recursiveEntry: number | undefined;
  /** Tables looked at below it that are tables of their level, and frames that are not. */
  readonly tables: number;
  readonly others: number;
}

/** A table that may be a root, as {@link findRoots} lists it. */
export interface RootCandidate {
  /** Its physical address: what to give as `cr3`. */
  readonly root: bigint;
  readonly levels: 4 | 5;
  /** `process` where user mode can reach something, or could if the dump had it. */
  readonly kind: 'process' | 'kernel';
  /** Present entries of the lower half, of the upper half. */
  readonly lowerEntries: number;
  readonly upperEntries: number;
  /**
   * Page-table isolation: a process has two roots in neighbouring frames, the first for the kernel, the second for user mode.
   * Which of them this is, and where the other one is.
   */
  readonly isolation: { readonly half: 'kernel' | 'user'; readonly other: bigint } | undefined;
  readonly evidence: RootEvidence;
}

/** How well a candidate is founded: candidates are listed from the highest down. */
export function weightOf({ evidence, isolation }: RootCandidate): number {
  const { vmcoreinfo, cpus, sharedWith, ownAddress, recursiveEntry, others } = evidence;
  return (
    (vmcoreinfo ? 64 : 0) +
    (cpus.length > 0 ? 32 : 0) +
    (sharedWith > 0 ? 8 : 0) +
    (ownAddress !== undefined ? 8 : 0) +
    (recursiveEntry !== undefined ? 4 : 0) +
    (isolation?.half === 'user' ? -2 : 0) +
    (others === 0 ? 1 : 0)
  );
}

/** Whether there is more than the look of its tables. */
export function isFounded({ evidence, isolation }: RootCandidate): boolean {
  const { vmcoreinfo, cpus, sharedWith, ownAddress, recursiveEntry } = evidence;
  return (
    vmcoreinfo ||
    cpus.length > 0 ||
    sharedWith > 0 ||
    ownAddress !== undefined ||
    recursiveEntry !== undefined ||
    isolation !== undefined
  );
}

/** The evidence in words, the strongest first. */
export function evidenceWords({ evidence, isolation, upperEntries }: RootCandidate): string[] {
  const { vmcoreinfo, cpus, sharedWith, sharedEntries, ownAddress, recursiveEntry, others } = evidence;
  const hex = (value: bigint): string => `0x${value.toString(16)}`;
  return [
    ...(vmcoreinfo ? ['init_top_pgt by VMCOREINFO'] : []),
    ...cpus.map((cpu) => `CR3 of CPU ${cpu}`),
    ...(isolation ? [`PTI, ${isolation.half}'s half; the other is ${hex(isolation.other)}`] : []),
    ...(sharedWith > 0 ? [`${sharedEntries} of ${upperEntries} upper entries shared with ${sharedWith} more`] : []),
    ...(ownAddress !== undefined ? [`maps itself at ${hex(ownAddress)}`] : []),
    ...(recursiveEntry !== undefined ? [`entry ${recursiveEntry} points to itself`] : []),
    ...(others > 0 ? [`${others} of what it points to is no table`] : []),
  ];
}
