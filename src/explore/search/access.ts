/**
 * How steps touch shared objects, and when two steps depend on each other. After Godefroid, "Partial-Order Methods for the
 * Verification of Concurrent Systems" (1996), chapter 3.
 *
 * An access is one number, so that a step's accesses are an array of numbers:
 *
 *   31                                4 3     0
 *   +----------------------------------+-------+
 *   | object, a small number           | kind  |
 *   +----------------------------------+-------+
 */

/**
 * The kinds of accesses. A lock that is taken and released within one step is never seen held by another task: such a *section* depends only on
 * those who hold the lock across steps. Two sections commute, if what they do inside does.
 */
export const Access = {
  read: 0,
  write: 1,
  /** Adds to a counter whose value the step does not look at: additions commute. */
  add: 2,
  /** A lock that was taken and released within the step, or tried without success. */
  sectionRead: 3,
  sectionWrite: 4,
  /** A lock that was taken, and is still held when the step ends. */
  acquireRead: 5,
  acquireWrite: 6,
  /** A lock that was released, and was held when the step began. */
  releaseRead: 7,
  releaseWrite: 8,
} as const;
export type Access = (typeof Access)[keyof typeof Access];

/** Kinds there are. */
export const KINDS = 9;

const KIND_BITS = 4;
const KIND_MASK = 2 ** KIND_BITS - 1;
/** Objects are numbered below this. */
export const MOST_OBJECTS: number = 2 ** (31 - KIND_BITS);

const DATA: readonly Access[] = [Access.read, Access.write, Access.add];
const READERS: readonly Access[] = [Access.acquireRead, Access.releaseRead];
const WRITERS: readonly Access[] = [Access.acquireWrite, Access.releaseWrite];
const SECTIONS: readonly Access[] = [Access.sectionRead, Access.sectionWrite];

function mask(...kinds: readonly Access[]): number {
  return kinds.reduce((bits: number, kind) => bits | (1 << kind), 0);
}

/** By kind: a bit for each kind that it does not commute with, on the same object. */
export const CONFLICTS: readonly number[] = (() => {
  const of: number[] = new Array(KINDS).fill(0);
  of[Access.read] = mask(Access.write, Access.add);
  of[Access.write] = mask(...DATA);
  of[Access.add] = mask(Access.read, Access.write);
  of[Access.sectionRead] = mask(...WRITERS);
  of[Access.sectionWrite] = mask(...READERS, ...WRITERS);
  for (const reader of READERS) of[reader] = mask(Access.sectionWrite, ...WRITERS);
  for (const writer of WRITERS) of[writer] = mask(...SECTIONS, ...READERS, ...WRITERS);
  return of;
})();

/** Kinds with which a lock is taken and still held when the step ends. */
export const HOLDS: number = mask(Access.acquireRead, Access.acquireWrite);
/** Kinds with which a lock is taken at all. */
export const TAKES: number = mask(...SECTIONS) | HOLDS;

export function packed(object: number, kind: Access): number {
  return (object << KIND_BITS) | kind;
}

export function objectOf(access: number): number {
  return access >> KIND_BITS;
}

export function kindOf(access: number): Access {
  return (access & KIND_MASK) as Access;
}

/** What one step touched, each object and kind once. */
export type Accesses = readonly number[];

/** Whether two steps do not commute. Steps touch few objects: comparing each with each is fastest. */
export function conflicts(one: Accesses, other: Accesses): boolean {
  for (const a of one) {
    const object = objectOf(a);
    const bits = CONFLICTS[kindOf(a)]!;
    for (const b of other) if (objectOf(b) === object && (bits >> kindOf(b)) & 1) return true;
  }
  return false;
}
