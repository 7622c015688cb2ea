/**
 * Protection keys, shadow stacks, implicit accesses, LASS, and where AMD differs. Intel SDM vol. 3A, sections 4.6 and 4.7.
 */
import { describe, expect, test } from 'vitest';
import { Access, type Registers } from '../../src/index.ts';
import { IMPLEMENTATIONS } from '../support/implementations.ts';
import { D, G, Tables, U, W, XD } from '../support/tables.ts';

const PAE = 1n << 5n;
const SMAP = 1n << 21n;
const PKE = 1n << 22n;
const CET = 1n << 23n;
const PKS = 1n << 24n;
const LASS = 1n << 27n;
const AC = 1n << 18n;
const WITHOUT_WP = (1n << 31n) | 1n;

const { read, write, fetch, user, shadowStack, implicit } = Access;
/** The two bits of a protection key's pair. */
const AD = 1;
const WD = 2;
const key = (k: number) => BigInt(k) << 59n;
const pair = (k: number, bits: number) => (bits << (2 * k)) >>> 0;

describe.each(IMPLEMENTATIONS)('$name', (implementation) => {
  const result = (tables: Tables, access: number, registers: Partial<Registers>, va = 0n): string => {
    const outcome = implementation.make(tables.frames, { cr3: tables.root, ...registers }).translate(va, access);
    return outcome.kind === 'page-fault' ? `#PF 0b${outcome.errorCode.toString(2).padStart(7, '0')}` : outcome.kind;
  };
  const page = (bits: bigint, above = W | U) => new Tables().map(0n, 0x9000n, { bits, above });

  describe('a protection key', () => {
    test.each([0, 1, 7, 15])(
      '%i with AD in PKRU denies all data accesses to a user page, of user and supervisor',
      (k) => {
        const registers = { cr4: PAE | PKE, pkru: pair(k, AD) };
        const tables = page(W | U | key(k));
        expect(result(tables, user, registers)).toBe('#PF 0b0100101');
        expect(result(tables, user | write, registers)).toBe('#PF 0b0100111');
        expect(result(tables, read, registers)).toBe('#PF 0b0100001');
        expect(result(tables, write, registers)).toBe('#PF 0b0100011');
        expect(result(tables, implicit, registers)).toBe('#PF 0b0100001');
        expect(result(page(W | U | key(k ^ 1)), user, registers)).toBe('page');
      },
    );

    test('with WD denies writes: those of user mode, and those of the supervisor while CR0.WP is 1', () => {
      const registers = { cr4: PAE | PKE, pkru: pair(3, WD) };
      const tables = page(W | U | key(3));
      expect(result(tables, user, registers)).toBe('page');
      expect(result(tables, user | write, registers)).toBe('#PF 0b0100111');
      expect(result(tables, write, registers)).toBe('#PF 0b0100011');
      expect(result(tables, write, { ...registers, cr0: WITHOUT_WP })).toBe('page');
      expect(result(tables, user | write, { ...registers, cr0: WITHOUT_WP })).toBe('#PF 0b0100111');
    });

    test('never denies a fetch', () => {
      const registers = { cr4: PAE | PKE, pkru: pair(3, AD | WD) };
      expect(result(page(U | key(3)), user | fetch, registers)).toBe('page');
      expect(result(page(U | XD | key(3)), user | fetch, registers)).toBe('#PF 0b0010101');
    });

    test('counts for user pages with CR4.PKE only, for supervisor pages with CR4.PKS only', () => {
      const keys = { pkru: pair(3, AD), pkrs: pair(3, AD) };
      const [ours, theirs] = [page(W | key(3)), page(W | U | key(3))];
      expect(result(ours, read, { cr4: PAE | PKE, ...keys })).toBe('page');
      expect(result(ours, read, { cr4: PAE | PKS, ...keys })).toBe('#PF 0b0100001');
      expect(result(theirs, read, { cr4: PAE | PKS, ...keys })).toBe('page');
      expect(result(theirs, read, { cr4: PAE | PKE, ...keys })).toBe('#PF 0b0100001');
    });

    test('belongs to a user page only if every level says user', () => {
      const tables = page(W | U | key(3), W);
      expect(result(tables, read, { cr4: PAE | PKE, pkru: pair(3, AD) })).toBe('page');
      expect(result(tables, read, { cr4: PAE | PKS, pkrs: pair(3, AD) })).toBe('#PF 0b0100001');
    });

    test('of a supervisor page is no reason to keep user mode out: U/S is the whole reason', () => {
      const registers = { cr4: PAE | PKE | PKS, pkru: pair(3, AD), pkrs: pair(3, AD) };
      expect(result(page(W | key(3)), user, registers)).toBe('#PF 0b0000101');
      expect(result(page(W | key(3)), user | write, registers)).toBe('#PF 0b0000111');
    });

    test('is taken from large leaves, too', () => {
      for (const level of [2, 3]) {
        const tables = new Tables().map(0n, 0x4000_0000n, { level, bits: W | U | key(9) });
        expect(result(tables, user, { cr4: PAE | PKE, pkru: pair(9, AD) })).toBe('#PF 0b0100101');
      }
    });

    test('is reported together with what else forbids the access, but not where a level is not present', () => {
      const registers = { cr4: PAE | PKE | SMAP, pkru: pair(3, AD) };
      expect(result(page(U | key(3)), write, registers)).toBe('#PF 0b0100011');
      const hole = page(U | key(3)).change(0x4000n, { clear: 1n });
      expect(result(hole, user, registers)).toBe('#PF 0b0000100');
      const wrong = page(U | key(3) | (1n << 51n));
      expect(result(wrong, user, { ...registers, maxPhysicalAddress: 51 })).toBe('#PF 0b0001101');
    });
  });

  describe('a shadow-stack access', () => {
    const registers = { cr4: PAE | CET };
    const stack = page(U | D);
    const supervisorStack = page(D);

    test('reaches a page that is writable above, not writable and dirty itself', () => {
      expect(result(stack, user | shadowStack, registers)).toBe('page');
      expect(result(stack, user | shadowStack | write, registers)).toBe('page');
      expect(result(supervisorStack, shadowStack | write, registers)).toBe('page');
    });

    test.each([
      ['a writable page', page(W | U | D)],
      ['a page that is not dirty', page(U)],
      ['a page below an entry that is not writable', page(U | D).change(0x2000n, { clear: W })],
    ])('faults with SS on %s', (_, tables) => {
      expect(result(tables, user | shadowStack, registers)).toBe('#PF 0b1000101');
      expect(result(tables, user | shadowStack | write, registers)).toBe('#PF 0b1000111');
    });

    test('must match U/S: the supervisor has no use of user shadow stacks, AC or not', () => {
      expect(result(stack, shadowStack, registers)).toBe('#PF 0b1000001');
      expect(result(stack, shadowStack, { ...registers, rflags: AC })).toBe('#PF 0b1000001');
      expect(result(supervisorStack, user | shadowStack, registers)).toBe('#PF 0b1000101');
    });

    test('heeds protection keys', () => {
      const keyed = page(U | D | key(3));
      expect(result(keyed, user | shadowStack, { cr4: PAE | CET | PKE, pkru: pair(3, AD) })).toBe('#PF 0b1100101');
      expect(result(keyed, user | shadowStack, { cr4: PAE | CET | PKE, pkru: pair(3, WD) })).toBe('page');
    });

    test('of large pages works alike', () => {
      const large = new Tables().map(0n, 0x4000_0000n, { level: 2, bits: U | D });
      expect(result(large, user | shadowStack | write, registers)).toBe('page');
    });

    test('is what an ordinary write to a shadow stack is not', () => {
      expect(result(stack, user | write, registers)).toBe('#PF 0b0000111');
      expect(result(stack, user, registers)).toBe('page');
    });
  });

  describe('an implicit access', () => {
    test('is stopped by SMAP even while RFLAGS.AC is set', () => {
      const registers = { cr4: PAE | SMAP, rflags: AC };
      expect(result(page(W | U), read, registers)).toBe('page');
      expect(result(page(W | U), implicit, registers)).toBe('#PF 0b0000001');
      expect(result(page(W | U), implicit | write, registers)).toBe('#PF 0b0000011');
      expect(result(page(W), implicit | write, registers)).toBe('page');
    });
  });

  describe('LASS', () => {
    const UPPER = 0xffff_8000_0000_0000n;
    const tables = new Tables().map(0n, 0x9000n).map(UPPER, 0x9000n);

    test('keeps user mode out of the upper half, before any table is read', () => {
      for (const access of [user, user | write, user | fetch]) {
        expect(result(tables, access, { cr4: PAE | LASS }, UPPER)).toBe('lass');
        expect(result(tables, access, { cr4: PAE | LASS }, 0n)).toBe('page');
        expect(result(tables, access, { cr4: PAE | LASS, cr3: 0xf_ffff_ffff_f000n }, UPPER)).toBe('lass');
      }
    });

    test('keeps the supervisor from fetching in the lower half', () => {
      expect(result(tables, fetch, { cr4: PAE | LASS }, 0n)).toBe('lass');
      expect(result(tables, fetch, { cr4: PAE | LASS }, UPPER)).toBe('page');
    });

    test('keeps its data accesses out only with SMAP, and not while RFLAGS.AC is set, implicit ones excepted', () => {
      expect(result(tables, write, { cr4: PAE | LASS }, 0n)).toBe('page');
      expect(result(tables, write, { cr4: PAE | LASS | SMAP }, 0n)).toBe('lass');
      expect(result(tables, write, { cr4: PAE | LASS | SMAP, rflags: AC }, 0n)).toBe('page');
      expect(result(tables, implicit, { cr4: PAE | LASS | SMAP, rflags: AC }, 0n)).toBe('lass');
    });
  });

  describe("an AMD processor's", () => {
    test.each([5, 4])('entry at level %i must have bit 8 clear, which Intel ignores', (level) => {
      const tables = new Tables(5).map(0n, 0x9000n);
      tables.change(tables.entry(level, 0n), { set: G });
      const cr4 = PAE | (1n << 12n);
      expect(result(tables, read, { cr4, vendor: 'amd' })).toBe('#PF 0b0001001');
      expect(result(tables, read, { cr4, vendor: 'intel' })).toBe('page');
    });

    test.each([3, 2, 1])('entry at level %i may have it set', (level) => {
      const tables = new Tables().map(0n, 0x9000n);
      tables.change(tables.entry(level, 0n), { set: G });
      expect(result(tables, read, { vendor: 'amd' })).toBe('page');
    });
  });
});
