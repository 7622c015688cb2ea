/**
 * What explain() says, and that it says what translate() answers.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Access, CR0, CR4, describeAccess, Mmu, type Registers, RFLAGS } from '../../src/index.ts';
import { ACCESSES } from '../../src/mmu/access.ts';
import { rightsLetters } from '../../src/reference/words.ts';
import { memoryWith } from '../support/implementations.ts';
import { imageRecipes, randomAddresses, randomImage, registerSets } from '../support/random.ts';
import { A, D, G, P, PS, Tables, U, W, XD } from '../support/tables.ts';

const mmuOf = (tables: Tables, registers: Partial<Registers> = {}) =>
  new Mmu(memoryWith(tables.frames, 'sparse'), { cr3: tables.root, ...registers });

describe('each step', () => {
  const tables = new Tables()
    .map(0x40_0000n, 0x9000n, { bits: W | U | A | D | G | XD, above: W | U | A })
    .map(0x8000_0000n, 0x4000_0000n, { level: 3, bits: U | (1n << 12n) });
  const mmu = mmuOf(tables);

  test('tells entry, address, table, index and name', () => {
    const { steps } = mmu.explain(0x40_0123n);
    expect(
      steps.map(({ name, level, table, index, address, entry }) => [name, level, table, index, address, entry]),
    ).toEqual(
      [4, 3, 2, 1].map((level, i) => {
        const address = tables.entry(level, 0x40_0000n);
        const index = Number((address & 0xfffn) / 8n);
        return [['PML4E', 'PDPTE', 'PDE', 'PTE'][i], level, address & ~0xfffn, index, address, tables.read(address)];
      }),
    );
  });

  test('names the bits that are set, and what the entry does', () => {
    const { steps } = mmu.explain(0x40_0123n);
    expect(steps.map(({ fields, words }) => `${fields.join(' ')}: ${words}`)).toEqual([
      'P W U A: points to the page-directory-pointer table',
      'P W U A: points to the page directory',
      'P W U A: points to the page table',
      'P W U A D G XD: maps a 4 KiB page; takes away fetch',
    ]);
    const leaf = mmu.explain(0x8000_0000n).steps.at(-1)!;
    expect(`${leaf.fields.join(' ')}: ${leaf.words}`).toBe('P U PAT PS: maps a 1 GiB page; takes away write');
  });

  test.each<[string, Tables, string]>([
    [
      'PAT in a PTE, where PS does not exist',
      new Tables().map(0n, 0x9000n, { bits: PS }),
      'P PAT: maps a 4 KiB page; takes away write and user',
    ],
    [
      'PS and PAT in a PDE',
      new Tables().map(0n, 0x20_0000n, { level: 2, bits: W | (1n << 12n) | (3n << 3n) }),
      'P W PWT PCD PAT PS: maps a 2 MiB page; takes away user',
    ],
    [
      'PS without PAT',
      new Tables().map(0n, 0x4000_0000n, { level: 3, bits: U }),
      'P U PS: maps a 1 GiB page; takes away write',
    ],
    [
      'D and G in leaves only',
      new Tables()
        .map(0n, 0x9000n)
        .change(0x4000n, { clear: P })
        .change(0x3000n, { set: D | G }),
      ': not present',
    ],
  ])('names %s', (_, image, words) => {
    const step = mmuOf(image).explain(0n).steps.at(-1)!;
    expect(`${step.fields.join(' ')}: ${step.words}`).toBe(words);
  });

  test('names neither D nor G nor PAT in an entry that points to a table', () => {
    const image = new Tables().map(0n, 0x1_9000n).change(0x3000n, { set: D | G | (1n << 12n) });
    expect(image.read(0x3000n) & (1n << 12n)).not.toBe(0n);
    expect(mmuOf(image).explain(0n).steps[2]!.fields).toEqual(['P', 'W', 'U']);
  });

  test('at an entry that is not present has the rights of the levels above', () => {
    const none = mmuOf(new Tables()).explain(0n).steps;
    expect(none.map(({ rights }) => rights)).toEqual([
      { writable: true, user: true, executable: true, shadowStack: false },
    ]);
    const image = new Tables().map(0n, 0x9000n, { above: U });
    image.change(image.entry(1, 0n), { clear: P | W | U, set: XD });
    expect(mmuOf(image).explain(0n).steps.at(-1)!.rights).toEqual({
      writable: false,
      user: true,
      executable: true,
      shadowStack: false,
    });
  });

  test('tells the rights so far', () => {
    const rights = mmu.explain(0x40_0000n).steps.map(({ rights: r }) => r);
    expect(rights[2]).toMatchObject({ writable: true, user: true, executable: true });
    expect(rights[3]).toMatchObject({ writable: true, user: true, executable: false });
  });

  test('names the reserved bits that are set', () => {
    const wrong = new Tables().map(0n, 0x4006_2000n, { level: 3 });
    const { steps, words } = mmuOf(wrong).explain(0n);
    expect(steps.at(-1)!.reserved).toBe(0x6_2000n);
    const meant = 'without PS it would point to the page directory at 0x40062000';
    expect(steps.at(-1)!.words).toBe(`reserved bits 18:17, 13 set; ${meant}`);
    expect(words).toBe(`#PF, error code 0x9 (P RSVD): the PDPTE has reserved bits 18:17, 13 set; ${meant}`);
    const stepWords = (bits: bigint) =>
      mmuOf(new Tables().map(0n, bits, { level: 3 }))
        .explain(0n)
        .steps.at(-1)!
        .words.replace(/;.*/, '');
    expect(stepWords(0x2000n)).toBe('reserved bit 13 set');
    expect(stepWords(0x6000n)).toBe('reserved bits 14:13 set');
    expect(stepWords(0xa000n)).toBe('reserved bits 15, 13 set');
  });
});

describe('the outcome in words', () => {
  const page = (bits: bigint, above = W | U) => new Tables().map(0n, 0x9000n, { bits, above });

  test.each<[string, Tables, number, Partial<Registers>, string]>([
    [
      'a page',
      page(W | U),
      Access.read,
      {},
      '0x9000 in a 4 KiB page, user, writable, executable, WB; sets A in the PML4E, A in the PDPTE, A in the PDE, A in the PTE',
    ],
    [
      'a supervisor page',
      page(XD),
      Access.read,
      {},
      '0x9000 in a 4 KiB page, supervisor, read-only, no-execute, WB; sets A in the PML4E, A in the PDPTE, A in the PDE, A in the PTE',
    ],
    ['a hole', new Tables(), Access.user, {}, '#PF, error code 0x4 (U): the PML4E is not present'],
    [
      'a user access to a supervisor address',
      page(W, W),
      Access.user | Access.write,
      {},
      '#PF, error code 0x7 (P W U): a user access to a supervisor address (U/S is 0 in the PML4E and PDPTE and PDE and PTE)',
    ],
    [
      'a write to a read-only address',
      page(U),
      Access.write,
      {},
      '#PF, error code 0x3 (P W): a write to a read-only address (R/W is 0 in the PTE)',
    ],
    [
      'a fetch from an execute-disabled address',
      page(U | XD),
      Access.fetch | Access.user,
      {},
      '#PF, error code 0x15 (P U I): a fetch from an execute-disabled address (XD is 1 in the PTE)',
    ],
    [
      'SMEP',
      page(U),
      Access.fetch,
      { cr4: (1n << 5n) | (1n << 20n) },
      '#PF, error code 0x11 (P I): a supervisor fetch from a user page, which CR4.SMEP forbids',
    ],
    [
      'a fetch from a supervisor page that is execute-disabled, whatever SMEP',
      page(XD),
      Access.fetch,
      { cr4: (1n << 5n) | (1n << 20n) },
      '#PF, error code 0x11 (P I): a fetch from an execute-disabled address (XD is 1 in the PTE)',
    ],
    [
      'a fetch of user mode from an execute-disabled page, whatever SMEP',
      page(U | XD),
      Access.fetch | Access.user,
      { cr4: (1n << 5n) | (1n << 20n) },
      '#PF, error code 0x15 (P U I): a fetch from an execute-disabled address (XD is 1 in the PTE)',
    ],
    [
      'a write of user mode, whatever SMEP and SMAP',
      page(U),
      Access.write | Access.user,
      { cr4: (1n << 5n) | (3n << 20n) },
      '#PF, error code 0x7 (P W U): a write to a read-only address (R/W is 0 in the PTE)',
    ],
    [
      'a supervisor write to a read-only supervisor page, whatever SMEP and SMAP',
      page(0n),
      Access.write,
      { cr4: (1n << 5n) | (3n << 20n) },
      '#PF, error code 0x3 (P W): a write to a read-only address (R/W is 0 in the PTE)',
    ],
    [
      'a supervisor write to a read-only user page that RFLAGS.AC opens to it',
      page(U),
      Access.write,
      { cr4: (1n << 5n) | (1n << 21n), rflags: 1n << 18n },
      '#PF, error code 0x3 (P W): a write to a read-only address (R/W is 0 in the PTE)',
    ],
    [
      'SMAP',
      page(U),
      Access.read,
      { cr4: (1n << 5n) | (1n << 21n) },
      '#PF, error code 0x1 (P): a supervisor access to a user page, which CR4.SMAP forbids while RFLAGS.AC is 0',
    ],
    [
      'a protection key',
      page(U | (3n << 59n)),
      Access.user,
      { cr4: (1n << 5n) | (1n << 22n), pkru: 1 << 6 },
      '#PF, error code 0x25 (P U PK): protection key 3 of the PTE denies it by PKRU',
    ],
    [
      'a protection key of a supervisor page',
      page(W | (3n << 59n)),
      Access.read,
      { cr4: (1n << 5n) | (1n << 24n), pkrs: 1 << 6 },
      '#PF, error code 0x21 (P PK): protection key 3 of the PTE denies it by IA32_PKRS',
    ],
    [
      'a shadow stack',
      page(U | A | D, W | U | A),
      Access.user | Access.shadowStack,
      { cr4: (1n << 5n) | (1n << 23n) },
      '0x9000 in a 4 KiB page, user, shadow stack, executable, WB',
    ],
    [
      'a page that is no shadow stack',
      page(W | U),
      Access.user | Access.shadowStack | Access.write,
      { cr4: (1n << 5n) | (1n << 23n) },
      '#PF, error code 0x47 (P W U SS): a shadow-stack access to a page that is not one (R/W must be 1 above the PTE, 0 in it, and its D 1)',
    ],
    [
      'a user shadow stack from the supervisor',
      page(U | D),
      Access.shadowStack,
      { cr4: (1n << 5n) | (1n << 23n) },
      '#PF, error code 0x41 (P SS): a supervisor shadow-stack access to a user page',
    ],
    [
      'an implicit access to a user page',
      page(W | U),
      Access.implicit,
      { cr4: (1n << 5n) | (1n << 21n), rflags: 1n << 18n },
      '#PF, error code 0x1 (P): a supervisor access to a user page, which CR4.SMAP forbids whatever RFLAGS.AC, since it is implicit',
    ],
    [
      'LASS',
      page(W | U),
      Access.fetch,
      { cr4: (1n << 5n) | (1n << 27n) },
      'CR4.LASS forbids the supervisor the lower half of the linear addresses; #GP (#SS for the stack), no table is read',
    ],
    [
      'a first write, with what it leaves behind',
      page(W | U, W | U | A),
      Access.write,
      {},
      '0x9000 in a 4 KiB page, user, writable, executable, WB; sets A and D in the PTE',
    ],
    [
      'a large page',
      new Tables().map(0n, 0x20_0000n, { level: 2, bits: W | A, above: W | U | A }),
      Access.read,
      {},
      '0x200000 in a 2 MiB page, supervisor, writable, executable, WB',
    ],
    [
      'a write, with what it leaves behind',
      page(W | U | A, W | U | A),
      Access.write,
      {},
      '0x9000 in a 4 KiB page, user, writable, executable, WB; sets D in the PTE',
    ],
    [
      'a table outside memory',
      new Tables(4, 0x1000n).write(0x1000n, 0xabc_d000n | P | (PS * 0n)),
      Access.read,
      {},
      'the page-directory-pointer table at 0xabcd000 lies where there is no memory',
    ],
  ])('%s', (_, tables, access, registers, words) => {
    expect(mmuOf(tables, registers).explain(0n, access).words).toBe(words);
  });

  test('LASS, of user mode', () => {
    const mmu = mmuOf(new Tables(), { cr4: (1n << 5n) | (1n << 27n) });
    expect(mmu.explain(0xffff_8000_0000_0000n, Access.user).words).toBe(
      'CR4.LASS forbids user mode the upper half of the linear addresses; #GP (#SS for the stack), no table is read',
    );
  });

  test('an address that is not canonical', () => {
    const { words, steps } = mmuOf(new Tables()).explain(1n << 47n);
    expect(words).toBe('not canonical: bits 63 to 47 are not all equal; #GP (#SS for the stack), no table is read');
    expect(steps).toEqual([]);
  });
});

describe('says what decided it:', () => {
  const page = (bits: bigint, above = W | U) => new Tables().map(0n, 0x9000n, { bits, above });
  const PAE = CR4.pae;
  const WITHOUT_WP = CR0.pg | CR0.pe;

  test('which level took a right away', () => {
    const tables = page(W | U);
    tables.change(tables.entry(4, 0n), { clear: U }).change(tables.entry(2, 0n), { clear: W, set: XD });
    const { steps } = mmuOf(tables).explain(0n);
    expect(steps.map(({ takesAway }) => takesAway)).toEqual([['user'], [], ['write', 'fetch'], []]);
    expect(steps[2]!.words).toBe('points to the page table; takes away write and fetch');
    expect(steps[3]!.words).toBe('maps a 4 KiB page');
  });

  test('no level takes a right away that one above has taken', () => {
    const { steps } = mmuOf(page(0n, 0n)).explain(0n);
    expect(steps.map(({ takesAway }) => takesAway.length)).toEqual([2, 0, 0, 0]);
  });

  test.each<[string, Tables, number, Partial<Registers>, string | undefined]>([
    [
      'CR0.WP = 0, for a supervisor write to a read-only page',
      page(A | D, W | A),
      Access.write,
      { cr0: WITHOUT_WP },
      'R/W is 0 in the PTE, but CR0.WP = 0 lets the supervisor write',
    ],
    ['nothing, for a read of it', page(A, W | A), Access.read, { cr0: WITHOUT_WP }, undefined],
    ['nothing, for a write to a writable page', page(W | A | D, W | A), Access.write, { cr0: WITHOUT_WP }, undefined],
    [
      'CR0.WP = 0, for a write that a protection key denies',
      page(W | U | A | D | (3n << 59n), W | U | A),
      Access.write,
      { cr0: WITHOUT_WP, cr4: PAE | CR4.pke, pkru: 2 << 6 },
      'protection key 3 of the PTE denies writes, but CR0.WP = 0 lets the supervisor write',
    ],
    [
      'RFLAGS.AC, for a supervisor access to a user page under SMAP',
      page(W | U | A, W | U | A),
      Access.read,
      { cr4: PAE | CR4.smap, rflags: RFLAGS.ac },
      'RFLAGS.AC = 1 lets it pass CR4.SMAP',
    ],
    [
      'RFLAGS.AC, for both of SMAP and LASS',
      page(W | U | A, W | U | A),
      Access.read,
      { cr4: PAE | CR4.smap | CR4.lass, rflags: RFLAGS.ac },
      'RFLAGS.AC = 1 lets it pass CR4.SMAP and CR4.LASS',
    ],
    [
      'RFLAGS.AC, for a supervisor page in the half that LASS forbids',
      page(W | A, W | U | A),
      Access.read,
      { cr4: PAE | CR4.smap | CR4.lass, rflags: RFLAGS.ac },
      'RFLAGS.AC = 1 lets it pass CR4.LASS',
    ],
    [
      'nothing, for a supervisor page, whatever AC',
      page(W | A, W | A),
      Access.read,
      { cr4: PAE | CR4.smap, rflags: RFLAGS.ac },
      undefined,
    ],
    [
      'nothing, for user mode, whatever AC',
      page(W | U | A, W | U | A),
      Access.user,
      { cr4: PAE | CR4.smap, rflags: RFLAGS.ac },
      undefined,
    ],
  ])('%s', (_, tables, access, registers, remark) => {
    const { words, outcome } = mmuOf(tables, registers).explain(0n, access);
    expect(outcome.kind).toBe('page');
    expect(words.split('; ').slice(1)).toEqual(remark ? [remark] : []);
  });

  test.each([
    [Access.write, 'sets A in the PML4E, D in the PTE', A | D],
    [Access.read, 'sets A in the PML4E', A],
  ] as const)('A and D, once each, where one entry is all levels of a walk: access %i', (access, words, bits) => {
    const tables = new Tables();
    const at = tables.root + 8n * 511n;
    tables.write(at, tables.root | P | W);
    const memory = memoryWith(tables.frames, 'sparse');
    const mmu = new Mmu(memory, { cr3: tables.root });
    const explained = mmu.explain(0xffff_ffff_ffff_fff8n, access);
    expect(explained.words.split('; ').at(-1)).toBe(words);
    mmu.access(0xffff_ffff_ffff_fff8n, access);
    expect(explained.marks.at(-1)).toEqual({ address: at, entry: memory.readEntry(at) });
    expect(memory.readEntry(at)).toBe(tables.root | P | W | bits);
  });

  test('an entry that points to the root, or to another table of the walk', () => {
    const tables = page(W | U);
    const [pdpt, pd] = [3, 2].map((level) => tables.entry(level, 0n) & ~0xfffn) as [bigint, bigint];
    tables.write(tables.root + 8n * 511n, tables.root | P | W);
    const top = 0xffff_ffff_ffff_f000n;
    expect(
      mmuOf(tables)
        .explain(top)
        .steps.map(({ words }) => words),
    ).toEqual([
      'points to the page-directory-pointer table, which is the root table; takes away user',
      'points to the page directory, which is the root table',
      'points to the page table, which is the root table',
      'maps a 4 KiB page, which is the root table',
    ]);
    tables.write(pd + 8n, pdpt | P | W | U);
    expect(mmuOf(tables).explain(0x20_0000n).steps[2]!.words).toBe(
      'points to the page table, which is the page-directory-pointer table of this walk',
    );
    expect(
      mmuOf(tables)
        .explain(0n)
        .steps.map(({ words }) => words.includes('which is')),
    ).not.toContain(true);
  });

  test('PS that has made a page of what was meant as a table: bits of the address are reserved then', () => {
    const tables = page(W | U);
    const pde = tables.entry(2, 0n);
    tables.change(pde, { set: PS }).write(pde, (0x3000n + 0x3000n) | P | W | U | PS);
    expect(mmuOf(tables).explain(0n).words).toBe(
      '#PF, error code 0x9 (P RSVD): the PDE has reserved bits 14:13 set; without PS it would point to the page table at 0x6000',
    );
    const top = new Tables();
    top.write(top.root, 0x2000n | P | W | U | PS);
    expect(mmuOf(top).explain(0n).words).toBe(
      '#PF, error code 0x9 (P RSVD): the PML4E has reserved bit 7 set; without PS it would point to the page-directory-pointer table at 0x2000',
    );
  });

  test('PS in what would point to a table of the walk, where bit 12 is PAT', () => {
    const tables = page(W | U);
    tables.write(tables.entry(2, 0n), tables.root | P | W | U | PS);
    expect(mmuOf(tables).explain(0n).steps.at(-1)!.words).toBe(
      'maps a 2 MiB page; without PS it would point to the page table at 0x1000',
    );
  });

  test('nothing of a well-formed large page', () => {
    const tables = new Tables().map(0n, 0x20_0000n, { level: 2 });
    expect(mmuOf(tables).explain(0n).steps.at(-1)!.words).toBe('maps a 2 MiB page');
    const wide = new Tables().map(0n, 1n << 45n, { level: 2 });
    expect(mmuOf(wide, { maxPhysicalAddress: 40 }).explain(0n).steps.at(-1)!.words).toBe('reserved bit 45 set');
  });

  test('no shadow stack while CR4.CET is clear, whatever the entries look like', () => {
    const tables = page(U | A | D, W | U | A);
    const words = (cr4: bigint) => mmuOf(tables, { cr4 }).explain(0n).words;
    expect(words(PAE)).toBe('0x9000 in a 4 KiB page, user, read-only, executable, WB');
    expect(words(PAE | CR4.cet)).toBe('0x9000 in a 4 KiB page, user, shadow stack, executable, WB');
  });
});

test('prints itself, level by level, in hex', () => {
  const tables = new Tables().map(0x40_0000n, 0x9000n, { bits: W | U | A | D | XD, above: W | U | A });
  expect(`${mmuOf(tables).explain(0x40_0123n, Access.user | Access.fetch)}`).toBe(
    [
      '0x400123',
      '  PML4E 0x0  at 0x1000  =              0x2027  P W U A       rwx user  points to the page-directory-pointer table',
      '  PDPTE 0x0  at 0x2000  =              0x3027  P W U A       rwx user  points to the page directory',
      '  PDE 0x2    at 0x3010  =              0x4027  P W U A       rwx user  points to the page table',
      '  PTE 0x0    at 0x4000  =  0x8000000000009067  P W U A D XD  rw- user  maps a 4 KiB page; takes away fetch',
      '  user fetch: #PF, error code 0x15 (P U I): a fetch from an execute-disabled address (XD is 1 in the PTE)',
    ].join('\n'),
  );
  expect(String(mmuOf(tables).explain(1n << 47n))).toBe(
    '0x800000000000\n  supervisor read: not canonical: bits 63 to 47 are not all equal; #GP (#SS for the stack), no table is read',
  );
  expect(String(mmuOf(new Tables()).explain(0n)).split('\n')[1]).toBe(
    '  PML4E 0x0  at 0x1000  =  0x0      not present',
  );
});

test('an access in words', () => {
  const { read, write, fetch, user, shadowStack, implicit } = Access;
  const accesses = [read, user | write, user | fetch, fetch, shadowStack, user | shadowStack | write];
  expect([...accesses, implicit, implicit | write].map(describeAccess)).toEqual([
    'supervisor read',
    'user write',
    'user fetch',
    'supervisor fetch',
    'supervisor shadow-stack read',
    'user shadow-stack write',
    'implicit supervisor read',
    'implicit supervisor write',
  ]);
});

test('rights by letter', () => {
  const letters = [0, 1, 2, 4, 7].map((bits) =>
    rightsLetters({ writable: (bits & 1) !== 0, user: (bits & 2) !== 0, executable: (bits & 4) !== 0 }),
  );
  expect(letters).toEqual(['r-- kernel', 'rw- kernel', 'r-- user', 'r-x kernel', 'rwx user']);
});

test('ends where translate ends, on any image', () => {
  fc.assert(
    fc.property(imageRecipes, registerSets, (recipe, registers) => {
      const mmu = new Mmu(memoryWith(randomImage(recipe), 'flat'), registers);
      for (const va of randomAddresses(recipe.seed, 20, mmu.levels === 5 ? 57 : 48)) {
        for (const access of ACCESSES) {
          const explanation = mmu.explain(va, access);
          expect(explanation.outcome).toEqual(mmu.translate(va, access));
          expect(explanation.words).not.toMatch(/undefined|\(\)| in the \)/);
        }
      }
    }),
    { numRuns: 50 },
  );
});
