import { expect, test } from 'vitest';
import { scenarioOf } from '../replay/support.ts';
import { file, run } from './support.ts';

const HEADER = { seq: 1, pool: 1 };
const MMAP = { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 1, prot: 'rw' };
const WRITE = { op: 'write', proc: 0, slot: 0, page: 0, value: 7 };
const DONTNEED = { op: 'madvise_dontneed', proc: 0, slot: 0, page: 0, pages: 1, task: 1 };
/** MADV_DONTNEED frees the page behind the entry: a write in between is SIGBUS. */
const RACE = [HEADER, MMAP, WRITE, { ...WRITE, task: 0, result: 'OK' }, DONTNEED];

test('explore ends with status 0 where what is expected is found, and tells why it is', async () => {
  const path = file(
    'expected.jsonl',
    scenarioOf(...RACE, { expect: 'answer', why: 'the page is freed late' }, { end: 1 }),
  );
  const { status, stdout } = await run(['explore', path]);
  expect(stdout).toContain('answer: line 4: expected OK, got SIGBUS');
  expect(stdout).toContain('line 6 expects: answer: the page is freed late');
  expect(stdout).toMatch(/1 sequence, 0 findings, 1 expected finding\n$/);
  expect(status).toBe(0);
});

test('and with status 1 where something else is found, or nothing', async () => {
  const other = file('other.jsonl', scenarioOf(...RACE, { expect: 'deadlock', why: 'of locks' }, { end: 1 }));
  const found = await run(['explore', other]);
  expect(found.stdout).toContain('NOT AS EXPECTED: line 6 expects: deadlock: of locks');
  expect(found.stdout).toMatch(/1 sequence, 1 finding\n$/);
  expect(found.status).toBe(1);

  const calm = [HEADER, MMAP, { ...WRITE, task: 0 }, { ...WRITE, task: 1 }];
  const nothing = file('calm.jsonl', scenarioOf(...calm, { expect: 'deadlock', why: 'of locks' }, { end: 1 }));
  const missing = await run(['explore', '--json', nothing]);
  expect(JSON.parse(missing.stdout)).toMatchObject({ verdict: 'missing', exhausted: true });
  expect(missing.status).toBe(1);
});

test('an operation before the tasks that fails is told of: perhaps the initial state is not what was meant', async () => {
  const tooMuch = { ...MMAP, hugepages: 2 };
  const reads = [0, 1].map((task) => ({ op: 'read', proc: 0, slot: 0, page: 0, task }));
  const path = file('too-much.jsonl', scenarioOf(HEADER, tooMuch, ...reads, { end: 1 }));
  expect((await run(['explore', path])).stdout).toContain('line 2, before the tasks: ENOMEM');
  const told = file('told.jsonl', scenarioOf(HEADER, { ...tooMuch, result: 'ENOMEM' }, ...reads, { end: 1 }));
  expect((await run(['explore', told])).stdout).not.toContain('before the tasks');
});
