/*
 * The cases of the oracle: one access each, with everything that decides what becomes of it. README.md tells the story.
 *
 * A configuration's cases follow from its seed, so the recordings hold the answers alone, and a digest of the cases that
 * they answer. Whoever changes what this file generates must record anew.
 *
 * Plain JavaScript, for scripts/record-oracle.mjs; no Node, for browsers. Types are in cases.d.mts.
 */

/* ---- What was run ---- */

/** One run of QEMU each. The seeds are arbitrary and different. */
export const CONFIGURATIONS = [
  { name: '4-level-36-bit', levels: 4, physicalBits: 36, page1G: true, seed: 0x4036, count: 48_000 },
  { name: '4-level-40-bit', levels: 4, physicalBits: 40, page1G: true, seed: 0x4040, count: 48_000 },
  { name: '4-level-46-bit', levels: 4, physicalBits: 46, page1G: true, seed: 0x4046, count: 48_000 },
  { name: '4-level-52-bit', levels: 4, physicalBits: 52, page1G: true, seed: 0x4052, count: 48_000 },
  { name: '4-level-40-bit-no-1g', levels: 4, physicalBits: 40, page1G: false, seed: 0x4140, count: 48_000 },
  { name: '5-level-36-bit', levels: 5, physicalBits: 36, page1G: true, seed: 0x5036, count: 48_000 },
  { name: '5-level-40-bit', levels: 5, physicalBits: 40, page1G: true, seed: 0x5040, count: 48_000 },
  { name: '5-level-46-bit', levels: 5, physicalBits: 46, page1G: true, seed: 0x5046, count: 48_000 },
  { name: '5-level-52-bit', levels: 5, physicalBits: 52, page1G: true, seed: 0x5052, count: 48_000 },
  { name: '5-level-46-bit-no-1g', levels: 5, physicalBits: 46, page1G: false, seed: 0x5146, count: 48_000 },
];

/* ---- The guest's memory ---- */

/** The slot of the root table that belongs to the guest itself (KERNEL_SLOT of guest/guest.h). */
export const KERNEL_SLOT = 0x155;
/** The protection key of the guest's own pages: IA32_PKRS leaves it alone. */
export const KERNEL_KEY = 15;
/** Frames for page tables; the first ROOTS of them may be root tables. None looks like the start of a large page. */
export const FRAMES = Array.from({ length: 64 }, (_, i) => (i & 1 ? 0x1_5000_4000 : 0x0300_4000) + i * 0x1000);
export const ROOTS = 8;
/** Memory that leaves map, [start, end): whole GiB. */
export const RANGES = [
  [0x4000_0000, 0x8000_0000],
  [0x1_0000_0000, 0x1_4000_0000],
];

/* ---- The format of a case: 64 bytes, little-endian ---- */

export const CASE_BYTES = 64;
/** u64: the linear address. */
export const CASE_VA = 0;
/** u64[5]: the entries by level, from the PTE; unused levels are 0. */
export const CASE_ENTRIES = 8;
/** u32, u32. */
export const CASE_PKRU = 48;
export const CASE_PKRS = 52;
/** u8[5]: by level, which of FRAMES is the table. */
export const CASE_TABLES = 56;
/** u8: see REGISTER. */
export const CASE_REGISTERS = 61;
/** u8: see ACCESS. */
export const CASE_ACCESS = 62;

/** Bits of a case's registers. */
export const REGISTER = { WP: 1, SMEP: 2, SMAP: 4, PKE: 8, PKS: 16, NXE: 32, AC: 64 };

/**
 * Bits of a case's access. The first three are those of a page fault's error code. STACK: rbp is the base register.
 * IMPLICIT: the processor reads a descriptor for a program at CPL 3, which makes it a supervisor access.
 */
export const ACCESS = { WRITE: 1 << 1, USER: 1 << 2, FETCH: 1 << 4, STACK: 1 << 6, IMPLICIT: 1 << 7 };

const { WP, SMEP, SMAP, PKE, PKS, NXE, AC } = REGISTER;
const { WRITE, USER, FETCH, STACK, IMPLICIT } = ACCESS;

/* Bits of an entry. */
const P = 1 << 0;
const W = 1 << 1;
const U = 1 << 2;
const PS = 1 << 7;

/* ---- Random numbers ---- */

/** Random 32-bit numbers that a seed determines (sfc32). */
function randomNumbers(seed) {
  let [a, b, c, counter] = [seed >>> 0, 0x9e3779b9, 0x243f6a88, 1];
  const next = () => {
    const sum = (a + b + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + sum) >>> 0;
    return sum;
  };
  for (let i = 0; i < 16; i++) next();
  const below = (n) => Math.floor((next() / 2 ** 32) * n);
  return {
    next,
    below,
    /** true in so many cases of a hundred. */
    percent: (n) => below(100) < n,
    pick: (list) => list[below(list.length)],
    /** Picks from [value, weight] pairs. */
    weighted(pairs) {
      let at = below(pairs.reduce((sum, [, weight]) => sum + weight, 0));
      for (const [value, weight] of pairs) {
        if (at < weight) return value;
        at -= weight;
      }
      throw new Error('unreachable');
    },
  };
}

/* ---- One case, under construction ---- */

class Draft {
  va = 0n;
  pkru = 0;
  pkrs = 0;
  registers = 0;
  access = 0;
  /** By level, from 1: low and high halves of the entries, and the tables. */
  low = new Uint32Array(6);
  high = new Uint32Array(6);
  tables = new Uint8Array(6);

  constructor(levels) {
    this.levels = levels;
  }

  index(level) {
    return Number((this.va >> BigInt(3 + 9 * level)) & 511n);
  }

  has(level, bit) {
    return ((bit < 32 ? this.low[level] >>> bit : this.high[level] >>> (bit - 32)) & 1) === 1;
  }

  set(level, bit) {
    if (bit < 32) this.low[level] |= 1 << bit;
    else this.high[level] |= 1 << (bit - 32);
  }

  clear(level, bit) {
    if (bit < 32) this.low[level] &= ~(1 << bit);
    else this.high[level] &= ~(1 << (bit - 32));
  }

  /** Replaces bits 51:12. */
  point(level, physical) {
    this.low[level] = (this.low[level] & 0xfff) | (physical % 2 ** 32);
    this.high[level] = (this.high[level] & 0xfff0_0000) | Math.floor(physical / 2 ** 32);
  }

  /** Lets every entry down to `leaf` point to the table below it. */
  chain(leaf) {
    for (let level = this.levels; level > leaf; level--) this.point(level, FRAMES[this.tables[level - 1]]);
  }

  /** Two levels may share a table, and an entry of it: the upper one's counts. */
  settle() {
    for (let level = this.levels - 1; level >= 1; level--) {
      for (let upper = level + 1; upper <= this.levels; upper++) {
        if (this.tables[upper] !== this.tables[level] || this.index(upper) !== this.index(level)) continue;
        this.low[level] = this.low[upper];
        this.high[level] = this.high[upper];
      }
    }
  }

  write(view, at) {
    view.setBigUint64(at + CASE_VA, this.va, true);
    for (let level = 1; level <= 5; level++) {
      view.setUint32(at + CASE_ENTRIES + level * 8 - 8, this.low[level], true);
      view.setUint32(at + CASE_ENTRIES + level * 8 - 4, this.high[level], true);
      view.setUint8(at + CASE_TABLES + level - 1, this.tables[level]);
    }
    view.setUint32(at + CASE_PKRU, this.pkru, true);
    view.setUint32(at + CASE_PKRS, this.pkrs, true);
    view.setUint8(at + CASE_REGISTERS, this.registers);
    view.setUint8(at + CASE_ACCESS, this.access);
  }
}

const shiftOf = (level) => 3 + 9 * level;

/** Extends the sign of a linear address. */
const canonical = (va, levels) => BigInt.asUintN(64, BigInt.asIntN(levels === 5 ? 57 : 48, va));

/* ---- Random cases ---- */

const ACCESSES = [
  [0, 150],
  [WRITE, 170],
  [FETCH, 140],
  [USER, 150],
  [USER | WRITE, 170],
  [USER | FETCH, 120],
  [IMPLICIT, 70],
  [STACK, 7],
  [STACK | WRITE, 7],
  [STACK | USER, 8],
  [STACK | USER | WRITE, 8],
];

const LEAVES = [
  [1, 50],
  [2, 28],
  [3, 22],
];
const LEAVES_NO_1G = [
  [1, 60],
  [2, 40],
];

/** What is wrong with an entry, and how often. */
const DEVIATIONS = [
  ['absent', 16],
  ['garbage', 8],
  ['address', 18],
  ['page size', 16],
  ['low bits', 12],
  ['execute-disable', 14],
  ['supervisor', 9],
  ['read-only', 9],
  ['far', 2],
];

const DEVIATION_COUNTS = [
  [0, 42],
  [1, 42],
  [2, 12],
  [3, 4],
];

function randomCase(random, configuration) {
  const { levels, page1G } = configuration;
  const draft = new Draft(levels);
  draft.access = random.weighted(ACCESSES);
  draft.registers = randomRegisters(random);
  draft.pkru = randomKeyRights(random);
  draft.pkrs = randomKeyRights(random) & (2 ** (2 * KERNEL_KEY) - 1);

  const leaf = random.weighted(page1G ? LEAVES : LEAVES_NO_1G);
  draft.va = randomAddress(random, levels);
  randomTables(random, draft, leaf);
  // One case in three has nothing but the defaults in its tables' entries, so that the leaf's rights come through.
  const plain = random.percent(35);
  for (let level = 1; level <= levels; level++) randomEntry(random, draft, level, leaf, plain);
  draft.chain(leaf);
  for (let i = random.weighted(DEVIATION_COUNTS); i > 0; i--) deviate(random, draft, leaf, configuration);
  if (!(draft.registers & NXE) && random.percent(25)) draft.set(leaf + random.below(levels - leaf + 1), 63);
  draft.settle();
  if (random.percent(3)) makeNonCanonical(random, draft);
  return draft;
}

function randomRegisters(random) {
  let registers = 0;
  if (random.percent(65)) registers |= WP;
  if (random.percent(50)) registers |= SMEP;
  if (random.percent(50)) registers |= SMAP;
  if (random.percent(78)) registers |= NXE;
  if (random.percent(50)) registers |= AC;
  if (random.percent(50)) registers |= random.pick([PKE, PKS, PKE | PKS]);
  return registers;
}

/** PKRU and PKRS: two bits a key. */
function randomKeyRights(random) {
  if (random.percent(15)) return 0;
  if (random.percent(10)) return 0xffff_ffff;
  return (random.percent(60) ? random.next() & random.next() : random.next()) >>> 0;
}

/** A canonical address, aligned to the 8 bytes of an access, outside the guest's own slot. */
function randomAddress(random, levels) {
  let va = BigInt(random.below(512) * 8);
  for (let level = 1; level <= levels; level++) {
    let index = random.percent(25) ? random.pick([0, 1, 255, 256, 510, 511]) : random.below(512);
    if (level === levels && index === KERNEL_SLOT) index++;
    va |= BigInt(index) << BigInt(shiftOf(level));
  }
  return canonical(va, levels);
}

/** A table for every level. Now and then a table serves at several: the first levels walk the root again and again. */
function randomTables(random, draft, leaf) {
  const { levels, tables } = draft;
  const used = new Set();
  for (let level = levels; level >= 1; level--) {
    let frame;
    do frame = level === levels ? random.below(ROOTS) : ROOTS + random.below(FRAMES.length - ROOTS);
    while (used.has(frame));
    used.add(frame);
    tables[level] = frame;
  }
  if (!random.percent(4)) return;

  // All levels from the root down to `last` use one entry of the root, which points to the root; the next level, too,
  // uses the root, but another entry of it.
  const last = leaf + 1 + random.below(levels - leaf);
  const own = draft.index(levels);
  let va = draft.va;
  for (let level = levels - 1; level >= last - 1; level--) {
    tables[level] = tables[levels];
    let index = own;
    if (level === last - 1) {
      do index = random.below(512);
      while (index === own || index === KERNEL_SLOT);
    }
    const shift = BigInt(shiftOf(level));
    va = (va & ~(511n << shift)) | (BigInt(index) << shift);
  }
  draft.va = va;
}

function randomEntry(random, draft, level, leaf, plain) {
  if (level < leaf) {
    // Never read if the walk ends where it should: something that would be noticed.
    draft.low[level] = random.next();
    draft.high[level] = random.next();
    return;
  }
  const isLeaf = level === leaf;
  let low = P;
  if (isLeaf ? random.percent(65) : plain || random.percent(93)) low |= W;
  if (isLeaf ? random.percent(60) : plain || random.percent(93)) low |= U;
  low |= random.next() & (1 << 5); // A
  low |= random.next() & (1 << 6); // D; in other than leaves ignored
  if (random.percent(25)) low |= random.next() & 0b1111_0001_1000; // PWT, PCD, G and ignored bits
  if (isLeaf && level > 1) low |= PS;
  if (level === 1) low |= random.next() & PS; // PAT
  draft.low[level] = low;

  let high = 0;
  if (random.percent(25)) high |= random.next() & 0x07f0_0000; // bits 58:52: ignored
  // Bits 62:59: the protection key of a leaf, otherwise ignored.
  if (isLeaf ? random.percent(85) : random.percent(25)) high |= random.next() & 0x7800_0000;
  if (draft.registers & NXE && random.percent(isLeaf ? 20 : plain ? 0 : 4)) high |= 1 << 31; // XD
  draft.high[level] = high;

  if (!isLeaf) return;
  const size = 2 ** shiftOf(level);
  const [start, end] = random.pick(RANGES);
  draft.point(level, start + size * random.below((end - start) / size));
  if (level > 1 && random.percent(30)) draft.set(level, 12); // PAT
}

/** Makes an entry somewhere on the path unusual. */
function deviate(random, draft, leaf, { levels, physicalBits, page1G }) {
  const level = leaf + random.below(levels - leaf + 1);
  switch (random.weighted(DEVIATIONS)) {
    case 'absent':
      draft.clear(level, 0);
      break;
    case 'garbage':
      draft.low[level] = random.next() & ~P;
      draft.high[level] = random.next();
      break;
    case 'address':
      if (physicalBits === 52) break;
      for (let n = random.percent(75) ? 1 : 3; n > 0; n--)
        draft.set(level, physicalBits + random.below(52 - physicalBits));
      break;
    case 'page size': {
      // In an entry that does not map a page: reserved, at every level. (At levels 2 and 3 the entry then does map one,
      // but FRAMES are no addresses of large pages.)
      const above = leaf + 1 + random.below(levels - leaf);
      draft.set(above, 7);
      if (!page1G && above === 3 && random.percent(50)) draft.point(3, random.pick(RANGES)[0]);
      break;
    }
    case 'low bits':
      if (leaf === 1) break;
      for (let n = random.percent(75) ? 1 : 3; n > 0; n--) draft.set(leaf, 13 + random.below(shiftOf(leaf) - 13));
      break;
    case 'execute-disable':
      draft.set(level, 63);
      break;
    case 'supervisor':
      draft.clear(level, 2);
      break;
    case 'read-only':
      draft.clear(level, 1);
      break;
    case 'far':
      // A page at an address that the processor has, but where there is no memory; QEMU cannot execute there.
      if (physicalBits > 36 && !(draft.access & FETCH)) draft.set(leaf, 36 + random.below(physicalBits - 36));
      break;
  }
}

function makeNonCanonical(random, draft) {
  if (draft.access & IMPLICIT) return; // LLDT would have to refuse such a base
  const width = draft.levels === 5 ? 57 : 48;
  const upper = 64 - width;
  // Of the bits above the most significant one that is translated at least one is to differ from it.
  const flip = random.percent(50) ? 1 << random.below(upper) : 1 + random.below(2 ** upper - 1);
  draft.va ^= BigInt(flip) << BigInt(width);
}

/* ---- Cases with answers that are known beforehand ---- */

/**
 * The first cases of every run. `expected.vector` is undefined where the access succeeds; `error` is the error code that
 * the SDM demands. Where an access succeeds, A is expected in all entries, and D in the leaf of a write.
 */
export function sentinels({ levels, physicalBits, page1G }) {
  const list = [];
  const usual = WP | SMEP | SMAP | NXE;
  const path = Array.from({ length: levels }, (_, i) => levels - i);
  const names = ['', 'PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'];

  /** set and clear: [level, bit] pairs. */
  const add = (name, access, expected, options = {}) => {
    const { registers = usual, leaf = 1, set = [], clear = [], pkru = 0, pkrs = 0, flip } = options;
    const draft = new Draft(levels);
    draft.access = access;
    draft.registers = registers;
    draft.pkru = pkru;
    draft.pkrs = pkrs;
    draft.va = canonical(0x0012_3456_789a_bcd8n, levels);
    if (flip !== undefined) draft.va ^= 1n << BigInt(flip);
    for (let level = 1; level <= levels; level++) {
      draft.tables[level] = level === levels ? 0 : ROOTS + level;
      if (level >= leaf) draft.low[level] = P | W | U | (level === leaf && level > 1 ? PS : 0);
    }
    draft.chain(leaf);
    draft.point(leaf, RANGES[1][0]);
    if (options.point) draft.point(...options.point);
    for (const [level, bit] of set) draft.set(level, bit);
    for (const [level, bit] of clear) draft.clear(level, bit);
    list.push({ name, draft, leaf, expected });
  };
  const ok = {};
  const fault = (error) => ({ vector: 14, error });
  const supervisorPage = { clear: [[1, 2]] };
  const size = ['', '4 KiB', '2 MiB', '1 GiB'];

  for (const leaf of page1G ? [1, 2, 3] : [1, 2]) {
    for (const access of [USER, USER | WRITE, USER | FETCH, STACK | USER, STACK | USER | WRITE]) {
      add(`user access ${access} to a page of ${size[leaf]}`, access, ok, { leaf });
    }
    for (const access of [0, WRITE, FETCH, STACK, STACK | WRITE, IMPLICIT]) {
      add(`supervisor access ${access} to a page of ${size[leaf]}`, access, ok, { leaf, clear: [[leaf, 2]] });
    }
  }
  for (const level of path) {
    const name = names[level];
    const upper = level === 1 ? 1 : 2;
    add(`${name} not present, read`, USER, fault(0x04), { clear: [[level, 0]] });
    add(`${name} not present, write`, USER | WRITE, fault(0x06), { clear: [[level, 0]] });
    add(`${name} not present, fetch`, USER | FETCH, fault(0x14), { clear: [[level, 0]] });
    add(`${name} not present, supervisor`, WRITE, fault(0x02), { clear: [[level, 0]] });
    add(`${name} without U, user read`, USER, fault(0x05), { clear: [[level, 2]] });
    add(`${name} without U, SMAP`, 0, ok, { clear: [[level, 2]] });
    add(`${name} without U, SMEP`, FETCH, ok, { clear: [[level, 2]] });
    add(`${name} without W, user write`, USER | WRITE, fault(0x07), { clear: [[level, 1]] });
    add(`${name} without W, user read`, USER, ok, { clear: [[level, 1]] });
    add(`${name} with XD, user fetch`, USER | FETCH, fault(0x15), { set: [[level, 63]] });
    add(`${name} with XD, user read`, USER, ok, { set: [[level, 63]] });
    add(`${name} with XD, NXE=0`, USER, fault(0x0d), { set: [[level, 63]], registers: WP });
    add(`${name} with XD, NXE=0, fetch`, USER | FETCH, fault(0x0d), { set: [[level, 63]], registers: WP });
    add(`${name} with XD, NXE=0, SMEP, fetch`, USER | FETCH, fault(0x1d), { set: [[level, 63]], registers: SMEP });
    add(`${name}: bits that are ignored`, USER, ok, {
      set: [9, 10, 11, 52, 58, ...(upper === 2 ? [6, 8] : [7, 8])].map((bit) => [level, bit]),
    });
    for (const bit of physicalBits === 52 ? [] : [physicalBits, 51]) {
      add(`${name} with reserved bit ${bit}`, USER | WRITE, fault(0x0f), { set: [[level, bit]] });
      const absent = { set: [[level, bit]], clear: [[level, 0]] };
      add(`${name} not present, with reserved bit ${bit}`, USER, fault(0x04), absent);
    }
    if (level >= 4) add(`${name} with PS`, USER, fault(0x0d), { set: [[level, 7]] });
  }
  for (const bit of [13, 20]) add(`PDE of 2 MiB with bit ${bit}`, USER, fault(0x0d), { leaf: 2, set: [[2, bit]] });
  add('PDE of 2 MiB with PAT', USER, ok, { leaf: 2, set: [[2, 12]] });
  if (page1G) {
    for (const bit of [13, 29]) add(`PDPTE of 1 GiB with bit ${bit}`, USER, fault(0x0d), { leaf: 3, set: [[3, bit]] });
    add('PDPTE of 1 GiB with PAT', USER, ok, { leaf: 3, set: [[3, 12]] });
  } else {
    add('PDPTE with PS where there are no pages of 1 GiB', USER, fault(0x0d), { leaf: 3 });
  }

  add('not present, fetch, NXE=0, SMEP=0', USER | FETCH, fault(0x04), { clear: [[1, 0]], registers: WP });
  add('SMEP', FETCH, fault(0x11));
  add('SMEP, NXE=0', FETCH, fault(0x11), { registers: WP | SMEP });
  add('SMEP=0', FETCH, ok, { registers: WP | SMAP | NXE });
  add('SMAP, read', 0, fault(0x01));
  add('SMAP, write', WRITE, fault(0x03));
  add('SMAP, AC', WRITE, ok, { registers: usual | AC });
  add('SMAP=0', WRITE, ok, { registers: WP | SMEP | NXE });
  add('SMAP, implicit', IMPLICIT, fault(0x01));
  add('SMAP, implicit, AC', IMPLICIT, fault(0x01), { registers: usual | AC });
  add('SMAP=0, implicit', IMPLICIT, ok, { registers: WP | SMEP | NXE });
  const readOnly = [
    [1, 1],
    [1, 2],
  ];
  add('WP', WRITE, fault(0x03), { clear: readOnly });
  add('WP=0', WRITE, ok, { clear: readOnly, registers: SMEP | SMAP | NXE });
  add('WP=0, user', USER | WRITE, fault(0x07), { clear: [[1, 1]], registers: SMEP | SMAP | NXE });

  // Key 5, whose rights are bits 10 (AD) and 11 (WD).
  const key = [
    [1, 59],
    [1, 61],
  ];
  const keys = WP | NXE | PKE | PKS;
  const [ad, wd] = [1 << 10, 1 << 11];
  const user = { set: key, registers: keys };
  const supervisor = { set: key, registers: keys, ...supervisorPage };
  add('PKU: AD, user read', USER, fault(0x25), { ...user, pkru: ad });
  add('PKU: AD, user write', USER | WRITE, fault(0x27), { ...user, pkru: ad });
  add('PKU: AD, supervisor read', 0, fault(0x21), { ...user, pkru: ad });
  add('PKU: AD, implicit', IMPLICIT, fault(0x21), { ...user, pkru: ad });
  add('PKU: AD, user fetch', USER | FETCH, ok, { ...user, pkru: ad | wd });
  add('PKU: WD, user read', USER, ok, { ...user, pkru: wd });
  add('PKU: WD, user write', USER | WRITE, fault(0x27), { ...user, pkru: wd });
  add('PKU: WD, user write, WP=0', USER | WRITE, fault(0x27), { ...user, pkru: wd, registers: NXE | PKE });
  add('PKU: WD, supervisor write', WRITE, fault(0x23), { ...user, pkru: wd });
  add('PKU: WD, supervisor write, WP=0', WRITE, ok, { ...user, pkru: wd, registers: NXE | PKE });
  add('PKU: another key', USER | WRITE, ok, { ...user, pkru: ~(ad | wd) >>> 0 });
  add('PKU: PKE=0', USER | WRITE, ok, { ...user, pkru: ad | wd, registers: WP | NXE | PKS });
  add('PKU: supervisor page', WRITE, ok, { ...supervisor, pkru: ad | wd });
  add('PKS: AD, read', 0, fault(0x21), { ...supervisor, pkrs: ad });
  add('PKS: AD, write', WRITE, fault(0x23), { ...supervisor, pkrs: ad });
  add('PKS: AD, implicit', IMPLICIT, fault(0x21), { ...supervisor, pkrs: ad });
  add('PKS: AD, fetch', FETCH, ok, { ...supervisor, pkrs: ad | wd });
  add('PKS: WD, read', 0, ok, { ...supervisor, pkrs: wd });
  add('PKS: WD, write', WRITE, fault(0x23), { ...supervisor, pkrs: wd });
  add('PKS: WD, write, WP=0', WRITE, ok, { ...supervisor, pkrs: wd, registers: NXE | PKS });
  add('PKS: another key', WRITE, ok, { ...supervisor, pkrs: ~(ad | wd) & (2 ** 30 - 1) });
  add('PKS: PKS=0', WRITE, ok, { ...supervisor, pkrs: ad | wd, registers: WP | NXE | PKE });
  add('PKS: user page', USER | WRITE, ok, { ...user, pkrs: ad | wd });

  for (const flip of [levels === 5 ? 57 : 48, 63]) {
    for (const access of [0, WRITE, FETCH, USER, USER | WRITE, USER | FETCH]) {
      add(`not canonical for bit ${flip}, access ${access}`, access, { vector: 13, error: 0 }, { flip });
    }
    for (const access of [STACK, STACK | WRITE, STACK | USER, STACK | USER | WRITE]) {
      add(`not canonical for bit ${flip}, stack access ${access}`, access, { vector: 12, error: 0 }, { flip });
    }
  }
  return list;
}

/* ---- All of a configuration ---- */

/** The cases of a configuration: records of CASE_BYTES, those of sentinels() first. */
export function generateCases(configuration) {
  const { seed, count } = configuration;
  const bytes = new Uint8Array(count * CASE_BYTES);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { draft } of sentinels(configuration)) {
    draft.write(view, at);
    at += CASE_BYTES;
  }
  const random = randomNumbers(seed);
  for (; at < bytes.length; at += CASE_BYTES) randomCase(random, configuration).write(view, at);
  return bytes;
}

/** A digest of cases, 16 hexadecimal digits: FNV-1a over 32-bit words, twice. It guards against accidents, not people. */
export function digestOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let [first, second] = [0x811c9dc5, 0x9747b28c];
  for (let at = 0; at < bytes.length; at += 4) {
    const word = view.getUint32(at, true);
    first = Math.imul(first ^ word ^ (first >>> 15), 0x01000193);
    second = Math.imul(second ^ word ^ (second >>> 13), 0x5bd1e995);
  }
  return [first, second].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
}
