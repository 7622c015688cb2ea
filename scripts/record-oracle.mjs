/*
 * Records anew what QEMU answers to the cases of test/oracle/cases.mjs:
 *
 *   node scripts/record-oracle.mjs [NAME...]     all configurations, or those named
 *
 * Builds the guest (gcc, ld, objcopy), runs it once for each configuration under qemu-system-x86_64 (TCG), checks what came
 * back and writes test/oracle/NAME.oracle.gz. Prints what the cases were and how each class of them ended.
 *
 * An answer that cannot be right ends the run without a recording. Those that isKnownDeviation() knows are recorded as
 * they are.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import * as cases from '../test/oracle/cases.mjs';

const { ACCESS, CASE_BYTES, CONFIGURATIONS, FRAMES, RANGES, REGISTER, ROOTS } = cases;
const folder = new URL('../test/oracle/', import.meta.url);
const QEMU = 'qemu-system-x86_64';

/* Formats of guest/guest.c. */
const MODULE_HEADER_BYTES = 40 + 64 * 8 + 4 * 16;
const REPORT_BYTES = 32;
const ANSWER_BYTES = 32;
const ANSWERS_AT = 0x0400_0000;
const NOWHERE = 2n ** 64n - 1n;
const CR2_BEFORE = 0x5a5a_5a5a_5a5a_5a5an;
const DONE_VECTOR = 0x20;
const GUEST_DONE = 0x10 * 2 + 1;

/* Bits of a page fault's error code. */
const P = 1 << 0;
const RSVD = 1 << 3;
const NAMES = ['', 'PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'];

const names = process.argv.slice(2);
const unknown = names.filter((name) => !CONFIGURATIONS.some((c) => c.name === name));
if (unknown.length > 0) {
  console.error(
    `No such configuration: ${unknown.join(', ')}. There are ${CONFIGURATIONS.map((c) => c.name).join(', ')}.`,
  );
  process.exit(2);
}

const version = /version (.*)/.exec(execFileSync(QEMU, ['--version'], { encoding: 'utf8' }))[1];
const scratch = mkdtempSync(join(tmpdir(), 'hugewalk-oracle-'));
const statistics = new Map();
try {
  for (const configuration of CONFIGURATIONS) {
    if (names.length === 0 || names.includes(configuration.name)) record(configuration);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
printStatistics();

/* ---- One configuration ---- */

function record(configuration) {
  const { name, levels, physicalBits, page1G, seed, count } = configuration;
  const started = performance.now();
  const input = cases.generateCases(configuration);
  const cpu = `max,phys-bits=${physicalBits}${page1G ? '' : ',-pdpe1gb'}`;
  const output = run(build(levels), moduleOf(configuration, input), cpu);
  checkReport(output, configuration);
  const answers = decode(output, count);
  check(configuration, input, answers);

  const header = {
    name,
    levels,
    physicalBits,
    page1G,
    seed,
    count,
    sentinels: cases.sentinels(configuration).length,
    digest: cases.digestOf(input),
    recordedWith: `QEMU ${version}, TCG, -cpu ${cpu}`,
  };
  const bytes = gzipSync(encode(header, answers), { level: 9 });
  writeFileSync(new URL(`${name}.oracle.gz`, folder), bytes);
  const seconds = (performance.now() - started) / 1000;
  console.log(`${name}: ${count} cases, ${seconds.toFixed(1)} s, ${bytes.length} bytes`);
}

/** Compiles the guest for paging of so many levels; the answer is the image's path. */
function build(levels) {
  const guest = (file) => fileURLToPath(new URL(`guest/${file}`, folder));
  const made = (file) => join(scratch, `${levels}-${file}`);
  const tool = (program, ...args) => execFileSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const header = readFileSync(guest('guest.h'), 'utf8');
  const [base5, base4] = [...header.matchAll(/#define KERNEL_BASE (\w+)/g)].map(([, value]) => value);
  const common = ['-m64', `-DLEVELS=${levels}`, '-c'];
  tool('gcc', ...common, guest('boot.S'), '-o', made('boot.o'));
  tool('gcc', ...common, guest('access.S'), '-o', made('access.o'));
  tool(
    'gcc',
    ...common,
    ...['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-ffreestanding', '-fno-builtin', '-fno-stack-protector'],
    ...['-fpie', '-mno-red-zone', '-mgeneral-regs-only', '-fcf-protection=none', '-fno-asynchronous-unwind-tables'],
    guest('guest.c'),
    '-o',
    made('guest.o'),
  );
  const base = levels === 5 ? base5 : base4;
  const objects = ['boot.o', 'access.o', 'guest.o'].map(made);
  const options = ['-m', 'elf_x86_64', '-n', '-static', '-z', 'noexecstack', '--no-warn-rwx-segments'];
  tool('ld', ...options, '-T', guest('guest.ld'), `--defsym=KERNEL_BASE=${base}`, '-o', made('guest.elf'), ...objects);
  tool('objcopy', '-O', 'binary', made('guest.elf'), made('guest.bin'));
  return made('guest.bin');
}

/** The multiboot module that the guest reads: struct module, and the cases. */
function moduleOf({ levels, count }, input) {
  const bytes = Buffer.alloc(MODULE_HEADER_BYTES + input.length);
  bytes.write('HWCASES1', 'latin1');
  [levels, count, ROOTS, FRAMES.length, RANGES.length, 0].forEach((word, i) => {
    bytes.writeUInt32LE(word, 8 + i * 4);
  });
  bytes.writeBigUInt64LE(BigInt(ANSWERS_AT), 32);
  FRAMES.forEach((frame, i) => {
    bytes.writeBigUInt64LE(BigInt(frame), 40 + i * 8);
  });
  RANGES.flat().forEach((limit, i) => {
    bytes.writeBigUInt64LE(BigInt(limit), 40 + 64 * 8 + i * 8);
  });
  bytes.set(input, MODULE_HEADER_BYTES);
  return bytes;
}

/** Runs the guest; the answer is what it sent through the debug port. */
function run(image, module, cpu) {
  const modulePath = join(scratch, 'cases.bin');
  const outputPath = join(scratch, 'output.bin');
  writeFileSync(modulePath, module);
  const { status, signal, error, stderr } = spawnSync(
    QEMU,
    [
      ...['-nodefaults', '-display', 'none', '-no-reboot', '-machine', 'pc', '-accel', 'tcg', '-cpu', cpu],
      // 3 GiB below 4 GiB, the rest from there on.
      ...['-m', '4608M', '-kernel', image, '-initrd', modulePath],
      ...['-chardev', `file,id=output,path=${outputPath}`, '-device', 'isa-debugcon,iobase=0xe9,chardev=output'],
      ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'],
    ],
    { encoding: 'utf8', timeout: 120_000 },
  );
  if (error) throw error;
  const output = readFileSync(outputPath);
  if (status === GUEST_DONE) return output;
  console.error(stderr.trim());
  console.error(output.subarray(0, 4096).toString('latin1').trim());
  throw new Error(`QEMU ended with ${signal ?? `status ${status}`}, not ${GUEST_DONE}`);
}

/** Is it the whole answer, and did QEMU emulate the processor that was asked for? */
function checkReport(output, { levels, physicalBits, page1G, count }) {
  const expect = (what, is, shouldBe) => {
    if (is !== shouldBe) throw new Error(`the guest's report: ${what} is ${is}, not ${shouldBe}`);
  };
  expect('length', output.length, REPORT_BYTES + count * ANSWER_BYTES);
  expect('magic', output.toString('latin1', 0, 8), 'HWREPORT');
  const word = (i) => output.readUInt32LE(8 + i * 4);
  expect('levels', word(0), levels);
  expect('count', word(1), count);
  expect('MAXPHYADDR', word(2), physicalBits);
  // CPUID says 57 also with 4-level paging: what the processor could do.
  expect('linear-address width', word(3), 57);
  expect('features', word(4), 0b111_1110 | (page1G ? 1 : 0));
}

function decode(output, count) {
  return Array.from({ length: count }, (_, i) => {
    const at = REPORT_BYTES + i * ANSWER_BYTES;
    return {
      physical: output.readBigUInt64LE(at),
      cr2: output.readBigUInt64LE(at + 8),
      index: output.readUInt32LE(at + 16),
      error: output.readUInt32LE(at + 20),
      vector: output.readUInt8(at + 24),
      /** By level, from the PTE. */
      changed: [...output.subarray(at + 25, at + 30)],
    };
  });
}

/* ---- Checks ---- */

/** What QEMU does otherwise than the SDM says; README.md of test/oracle/ names it, recording.ts puts it right. */
function isKnownDeviation({ page1G }, { entries, access }, { vector, error }, expected) {
  // #GP where a stack access to an address that is not canonical should be #SS.
  if (access & ACCESS.STACK && expected.vector === 12) return vector === 13 && error === 0;
  if (expected.vector !== 14 || !(expected.error & RSVD)) return false;
  // RSVD without P.
  if (vector === 14 && error & RSVD) return (error | P) === expected.error;
  // A PDPTE with PS maps 1 GiB also where CPUID says that there are no such pages.
  return !page1G && (entries[2] & 0x81n) === 0x81n;
}

/** The fields of a case. */
function caseAt(input, i) {
  const view = new DataView(input.buffer, i * CASE_BYTES, CASE_BYTES);
  const byLevel = (read) => Array.from({ length: 5 }, (_, level) => read(level));
  return {
    va: view.getBigUint64(cases.CASE_VA, true),
    entries: byLevel((level) => view.getBigUint64(cases.CASE_ENTRIES + level * 8, true)),
    tables: byLevel((level) => view.getUint8(cases.CASE_TABLES + level)),
    pkru: view.getUint32(cases.CASE_PKRU, true),
    pkrs: view.getUint32(cases.CASE_PKRS, true),
    registers: view.getUint8(cases.CASE_REGISTERS),
    access: view.getUint8(cases.CASE_ACCESS),
  };
}

/** Where a page of that level would put the address. */
function pageAddress({ entries, va }, level) {
  const offset = (1n << BigInt(3 + 9 * level)) - 1n;
  return (entries[level - 1] & 0x000f_ffff_ffff_ffffn & ~offset) | (va & offset);
}

/** Checks all answers, replaces their `physical` by `landed`, the level of the page that explains it. */
function check(configuration, input, answers) {
  const problems = [];
  answers.forEach((answer, i) => {
    const item = caseAt(input, i);
    answer.landed = landed(item, answer);
    for (const message of contradictions(configuration, item, answer, i)) problems.push({ i, message, item, answer });
    count(configuration, item, answer);
  });
  cases.sentinels(configuration).forEach(({ name, leaf, draft, expected }, i) => {
    const answer = answers[i];
    const vector = expected.vector ?? DONE_VECTOR;
    const error = expected.error ?? 0;
    const same = answer.vector === vector && answer.error === error;
    if (!same && !isKnownDeviation(configuration, caseAt(input, i), answer, expected))
      problems.push({ i, message: `sentinel "${name}"`, expected, answer });
    if (vector !== DONE_VECTOR) return;
    for (let level = 1; level <= configuration.levels; level++) {
      const dirty = level === leaf && draft.access & ACCESS.WRITE ? 0x40 : 0;
      const changed = level < leaf ? 0 : (0x20 | dirty) & ~draft.low[level];
      if (answer.changed[level - 1] !== changed)
        problems.push({ i, message: `sentinel "${name}": A and D at level ${level}`, answer });
    }
    if (!(draft.access & ACCESS.IMPLICIT) && answer.landed !== leaf)
      problems.push({ i, message: `sentinel "${name}" went elsewhere`, answer });
  });
  if (problems.length === 0) return;
  const replacer = (_, value) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value);
  for (const problem of problems.slice(0, 20)) console.error(JSON.stringify(problem, replacer));
  throw new Error(`${configuration.name}: ${problems.length} answers that cannot be right; nothing was written`);
}

function landed(item, { physical }) {
  if (physical === NOWHERE) return 0;
  return [1, 2, 3].find((level) => pageAddress(item, level) === physical) ?? -1;
}

/** What must hold of every answer, whatever the case. */
function* contradictions({ levels }, { va, entries, access }, answer, i) {
  const done = answer.vector === DONE_VECTOR;
  if (answer.index !== i) yield 'the answers are out of order';
  if (answer.vector === 14 ? answer.cr2 !== va : answer.cr2 !== CR2_BEFORE) yield 'CR2';
  if (done && answer.error !== 0) yield 'an error code without an exception';
  if (answer.error > 0xff) yield 'an error code that does not fit the recording';
  if ((answer.vector === 12 || answer.vector === 13) && answer.error !== 0) yield 'an error code with #GP';
  if (answer.vector === 14) {
    const kind = ACCESS.WRITE | ACCESS.USER;
    if ((answer.error & kind) !== (access & kind)) yield 'W/R or U/S';
    if (answer.error & 0x10 && !(access & ACCESS.FETCH)) yield 'I/D';
  }
  if (answer.landed < 0 || (!done && answer.landed !== 0)) yield 'where the access went';
  if (done && !(access & ACCESS.IMPLICIT) && answer.landed === 0 && !isFar(entries)) yield 'the access went nowhere';
  for (let level = 1; level <= 5; level++) {
    const changed = answer.changed[level - 1];
    if (changed & ~0x60 || changed & Number(entries[level - 1] & 0xffn))
      yield 'bits other than A and D, or cleared ones';
    if (changed && level > levels) yield 'a level that is not there';
    if (changed & 0x40 && !(done && access & ACCESS.WRITE)) yield 'D without a write';
  }
  if (done && access & ACCESS.WRITE && answer.landed > 0) {
    const leaf = answer.landed - 1;
    if (!((Number(entries[leaf] & 0xffn) | answer.changed[leaf]) & 0x40)) yield 'a write without D';
  }
  if (done && answer.landed > 0) {
    for (let level = answer.landed; level <= levels; level++) {
      if (!((Number(entries[level - 1] & 0xffn) | answer.changed[level - 1]) & 0x20)) yield 'an access without A';
    }
    for (let level = 1; level < answer.landed; level++) {
      if (answer.changed[level - 1]) yield 'a change below the leaf';
    }
  }
}

/** Does a leaf map an address where there is no memory? */
function isFar(entries) {
  return entries.slice(0, 3).some((entry) => (entry & 0x000f_fff0_0000_0000n) !== 0n);
}

/* ---- The file: see test/oracle/README.md ---- */

function encode(header, answers) {
  const json = Buffer.from(JSON.stringify(header));
  const columns = [
    answers.map(({ vector }) => vector),
    answers.map(({ error }) => error),
    answers.map(({ landed }) => landed),
    ...Array.from({ length: header.levels }, (_, i) => answers.map(({ changed }) => changed[i])),
  ];
  const prefix = Buffer.alloc(12);
  prefix.write('HWORACLE', 'latin1');
  prefix.writeUInt32LE(json.length, 8);
  return Buffer.concat([prefix, json, ...columns.map((column) => Uint8Array.from(column))]);
}

/* ---- Statistics ---- */

/** What a case is about, told from the case: the first thing on the path that could end the walk, and the rights. */
function classesOf({ levels, physicalBits, page1G }, { va, entries, access, registers, pkru, pkrs }) {
  const on = (bit) => (registers & bit) !== 0;
  const width = levels === 5 ? 57 : 48;
  if (BigInt.asUintN(64, BigInt.asIntN(width, va)) !== va) return ['not canonical'];
  let [w, u, x] = [true, true, true];
  for (let level = levels; level >= 1; level--) {
    const entry = entries[level - 1];
    const bit = (n) => ((entry >> BigInt(n)) & 1n) === 1n;
    const field = (high, low) => (entry >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
    const leaf = level === 1 || (level <= (page1G ? 3 : 2) && bit(7));
    if (!bit(0)) return [`${NAMES[level]} not present`];
    const reserved = [];
    if (physicalBits < 52 && field(51, physicalBits)) reserved.push(`${NAMES[level]} reserved: address`);
    if (bit(63) && !on(REGISTER.NXE)) reserved.push(`${NAMES[level]} reserved: XD, NXE=0`);
    if (!leaf && level >= 3 && bit(7)) reserved.push(`${NAMES[level]} reserved: PS`);
    if (leaf && level === 2 && field(20, 13)) reserved.push('PDE reserved: 20:13');
    if (leaf && level === 3 && field(29, 13)) reserved.push('PDPTE reserved: 29:13');
    if (reserved.length > 0) return reserved;
    w &&= bit(1);
    u &&= bit(2);
    x &&= !bit(63);
    if (!leaf) continue;
    const classes = [`leaf of ${['', '4 KiB', '2 MiB', '1 GiB'][level]}`];
    const user = (access & ACCESS.USER) !== 0;
    const [write, fetch] = [(access & ACCESS.WRITE) !== 0, (access & ACCESS.FETCH) !== 0];
    const key = Number(field(62, 59));
    const implicit = (access & ACCESS.IMPLICIT) !== 0;
    if (user && !u) classes.push('U/S: user access to a supervisor page');
    if (user && write && !w) classes.push('R/W: user write to a read-only page');
    if (!user && write && !w) classes.push(`R/W: supervisor write to a read-only page, WP=${+on(REGISTER.WP)}`);
    if (fetch && !x) classes.push('XD: fetch');
    if (!user && fetch && u) classes.push(`SMEP=${+on(REGISTER.SMEP)}: supervisor fetch from a user page`);
    if (!user && !fetch && u) {
      const name = `SMAP=${+on(REGISTER.SMAP)}, AC=${+on(REGISTER.AC)}: supervisor access to a user page`;
      classes.push(implicit ? `${name}, implicit` : name);
    }
    const [enabled, rights, register] = u ? [on(REGISTER.PKE), pkru, 'PKRU'] : [on(REGISTER.PKS), pkrs, 'PKRS'];
    const denied = (rights >>> (2 * key)) & (write && (user || on(REGISTER.WP)) ? 3 : 1);
    if (denied) classes.push(`${register} denies it, ${fetch ? 'fetch' : `key checks ${enabled ? 'on' : 'off'}`}`);
    return classes;
  }
  throw new Error('unreachable');
}

function count(configuration, item, answer) {
  const end =
    answer.vector === DONE_VECTOR
      ? 'done'
      : answer.vector === 14
        ? `#PF ${answer.error.toString(16)}`
        : `vector ${answer.vector}`;
  for (const name of classesOf(configuration, item)) {
    const ends = statistics.get(name) ?? new Map();
    statistics.set(name, ends.set(end, (ends.get(end) ?? 0) + 1));
  }
}

function printStatistics() {
  for (const [name, ends] of [...statistics].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const total = [...ends.values()].reduce((sum, n) => sum + n, 0);
    const sorted = [...ends].sort(([, a], [, b]) => b - a).map(([end, n]) => `${end}: ${n}`);
    console.log(`${String(total).padStart(8)}  ${name.padEnd(60)} ${sorted.slice(0, 8).join(', ')}`);
  }
}
