/**
 * The core as C (npm run build:c): the same outcome words as the core in WebAssembly, the same A and D, single and through a TLB; and what is
 * packed for those who have no Node.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Job } from '../../bench/job.ts';
import { compileNative, nativeWalk, projectRoot } from '../../bench/native.ts';

import { Access, AddressSpace, CR4, FlatMemory, Mmu, Tlb } from '../../src/index.ts';
import { ACCESSES } from '../../src/mmu/access.ts';
import { openDumpFile } from '../../src/node.ts';
import { compacted } from '../support/compacted.ts';
import { imageRecipes, randomAddresses, randomImage, registerSets } from '../support/random.ts';
import { THOROUGH } from '../support/thorough.ts';

const ROOT = projectRoot();
const { binary } = compileNative();
const reason = binary === undefined ? 'the core as C was not checked: no C compiler' : '';
if (reason) console.error(reason);
const folder = mkdtempSync(join(tmpdir(), 'hugewalk-c-'));
const STRICT = ['-O2', '-std=c11', '-Wall', '-Wextra', '-pedantic', '-Werror'];
const [walker, walkerWithTlb] = [join(folder, 'core'), join(folder, 'core-tlb')];

beforeEach(({ skip }) => {
  if (reason && process.env.CI) expect.fail(reason);
  skip(reason !== '', reason);
});

beforeAll(() => {
  if (reason) return;
  runs(process.execPath, 'scripts/build-c.mjs', '--pack');
  const sources = ['-Ibuild/c', 'bench/native/core.c', 'build/c/hugewalk.c'];
  runs('cc', ...STRICT, '-o', walker, ...sources);
  runs('cc', ...STRICT, '-DTLB', '-o', walkerWithTlb, ...sources);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a program that must end well. */
function runs(program: string, ...words: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, words, { cwd: ROOT, encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  return stdout;
}

/** What the core in WebAssembly makes of a job. */
function coreWalk({ registers, memory, addresses, access, marking }: Job, throughTlb: boolean) {
  const flat = new FlatMemory({ bytes: memory.length });
  flat.view().set(memory);
  const mmu = new Mmu(flat, registers);
  const words = throughTlb
    ? new Tlb(mmu, { log2Pages: 10, log2Tables: 5 }).accessMany(addresses, access)
    : marking === 'mark'
      ? mmu.accessMany(addresses, access)
      : mmu.translateMany(addresses, access);
  return { words, memory: flat.view().slice() };
}

const jobs: fc.Arbitrary<Job> = fc
  .record({
    recipe: imageRecipes,
    registers: registerSets,
    access: fc.constantFrom(...ACCESSES),
    marking: fc.constantFrom('probe' as const, 'mark' as const),
  })
  .map(({ recipe, registers, access, marking }) => {
    const image = randomImage(recipe);
    const memory = new Uint8Array(image.size * 4096);
    for (const [at, table] of image) memory.set(new Uint8Array(table.buffer), Number(at));
    const addresses = randomAddresses(recipe.seed, 400, registers.cr4 & (1n << 12n) ? 57 : 48);
    return { registers, access, marking, memory, addresses, passes: 1 };
  });

for (const [numRuns, options] of [
  [40, {}],
  [250, THOROUGH],
] as const) {
  test(
    `answers as the core does on any image, for any access, and leaves the same A and D behind: ${numRuns} times`,
    options,
    () => {
      let marked = 0;
      fc.assert(
        fc.property(jobs, fc.boolean(), (job, throughTlb) => {
          const ours = nativeWalk(throughTlb ? walkerWithTlb : walker, throughTlb ? { ...job, marking: 'mark' } : job);
          const theirs = coreWalk(job, throughTlb);
          const word = ours.words.findIndex((one, i) => one !== theirs.words[i]);
          expect([word, ours.words[word], theirs.words[word]]).toEqual([-1, undefined, undefined]);
          expect(Buffer.compare(ours.memory, theirs.memory)).toBe(0);
          if (Buffer.compare(ours.memory, job.memory) !== 0) marked++;
        }),
        { numRuns },
      );
      expect(marked).toBeGreaterThan(5);
    },
  );
}

test.each(['4level', '5level'])('finds every page of the real process, linux-6.1-%s', async (levels) => {
  await using dump = await openDumpFile(join(ROOT, `test/fixtures/linux-6.1-${levels}.elf.gz`));
  const space = await AddressSpace.open(dump);
  await space.load();
  const { memory, root } = compacted(space);
  const mappings = [...space.mmu.mappings()];
  const addresses = BigUint64Array.from(mappings, ({ va, bytes }) => va + (bytes - 8n));
  /* No page faults, whose words would name the table's frame: the supervisor may read users' pages. */
  space.mmu.setRegisters({ cr4: space.mmu.registers.cr4 & ~CR4.smap });
  const { words } = nativeWalk(walker, {
    registers: { ...space.mmu.registers, cr3: root },
    access: Access.read,
    memory,
    addresses,
    passes: 1,
  });
  const theirs = space.mmu.translateMany(addresses, Access.read);
  expect(words.findIndex((word, i) => word !== theirs[i] || word >> 63n !== 0n)).toBe(-1);
  expect(mappings.length).toBeGreaterThan(5000);
});

test('every function does what hugewalk.h says of it: test/c/functions.c', () => {
  runs('cc', ...STRICT, '-Ibuild/c', '-o', join(folder, 'functions'), 'test/c/functions.c', 'build/c/hugewalk.c');
  expect(runs(join(folder, 'functions'))).toBe('');
});

test('the program of docs/c.md prints what it says', () => {
  const [, program] = /^```c\n([\s\S]*?)^```$/m.exec(readFileSync(join(ROOT, 'docs/c.md'), 'utf8')) ?? [];
  const source = join(folder, 'page.c');
  writeFileSync(source, program!);
  runs('cc', ...STRICT, '-Ibuild/c', '-o', join(folder, 'page'), source, 'build/c/hugewalk.c');
  expect(runs(join(folder, 'page'))).toBe(`${/(0x\w+) \*\/\n\tfree/.exec(program!)![1]}\n`);
});

describe('what is packed', () => {
  let unpacked: string;
  beforeAll(() => {
    if (reason) return;
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    runs('tar', 'xzf', join(ROOT, `build/hugewalk-c-${version}.tgz`), '-C', folder);
    unpacked = join(folder, `hugewalk-c-${version}`);
  });

  test('is made with make and a C11 compiler, without a warning, and runs', () => {
    expect(readdirSync(unpacked).sort()).toEqual([
      'LICENSE',
      'Makefile',
      'README.md',
      'example.c',
      'hugewalk.c',
      'hugewalk.h',
    ]);
    runs('make', '-C', unpacked, `CFLAGS=${STRICT.join(' ')}`);
    expect(runs(join(unpacked, 'example'))).toBe('read  0x400123: 0x8123\nwrite 0x400123: #PF, error code 0x7\n');
  });

  test('has a header that C++ takes, and functions that it finds', () => {
    const [program, object] = [join(folder, 'a.cpp'), join(folder, 'hugewalk.o')];
    writeFileSync(
      program,
      '#include "hugewalk.h"\nstatic unsigned char ram[4096];\nint main() { hugewalk cpu; hugewalk_init(&cpu, ram, 0, sizeof ram); return hugewalk_failed(hugewalk_translate(&cpu, 0, 0)) ? 0 : 1; }\n',
    );
    const { error } = spawnSync('g++', ['--version']);
    if (error) return expect(process.env.CI, 'g++ is missing').toBeUndefined();
    runs('cc', '-O2', '-c', '-o', object, join(unpacked, 'hugewalk.c'));
    runs('g++', '-Wall', '-Wextra', '-pedantic', '-Werror', `-I${unpacked}`, '-o', join(folder, 'a'), program, object);
    runs(join(folder, 'a'));
  });

  test('names no machine, and says what it is made of', () => {
    const source = readFileSync(join(unpacked, 'hugewalk.c'), 'utf8');
    expect(source).not.toContain(ROOT);
    expect(source).toContain('MIT licence');
  });
});
