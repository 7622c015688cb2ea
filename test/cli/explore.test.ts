import { readFileSync, writeFileSync } from 'node:fs';
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

/** A write that takes the fault mutex with a page of the file locked, and a read of another page. */
const ORDER = [
  { seq: 1, pool: 3, files: [2] },
  { op: 'fallocate', file: 0, hugepages: 2 },
  { ...MMAP, kind: 'private_file', file: 0 },
  WRITE,
  { ...MMAP, slot: 1, kind: 'shared_file', file: 0, hugepages: 2 },
  { op: 'fork', proc: 0, child: 1 },
  { ...WRITE, value: 8, task: 0 },
  { op: 'read', proc: 0, slot: 1, page: 1, task: 1 },
  { end: 1 },
];

test('a lock order that goes round is told with the kernel functions in which the locks are taken, and its schedule shows it again', async () => {
  const path = file('order.jsonl', scenarioOf(...ORDER));
  const saved = file('order-saved.jsonl');
  const { status, stdout } = await run(['explore', path, '--save', saved]);
  expect(status).toBe(1);
  const rows = [
    "lock order: hugetlb_fault_mutex, then page lock of a file's page (line 8); page lock of a file's page, then hugetlb_fault_mutex (line 7)",
    "line 8: takes page lock of a file's page in do_user_addr_fault > hugetlb_fault > hugetlb_no_page > find_lock_page",
    "line 7: holds page lock of a file's page, taken in do_user_addr_fault > hugetlb_fault > find_lock_page",
    'line 7: takes hugetlb_fault_mutex in do_user_addr_fault > hugetlb_fault > hugetlb_wp',
  ];
  for (const row of rows) expect(stdout).toContain(row);
  expect((await run(['explore', saved])).stdout).toContain(rows[1]);

  const { found } = JSON.parse((await run(['explore', path, '--json'])).stdout);
  expect(found.finding.locks[3]).toMatchObject({
    operation: 7,
    how: 'takes',
    lock: 'hugetlb_fault_mutex',
    calls: ['do_user_addr_fault', 'hugetlb_fault', 'hugetlb_wp'],
  });
});

test('shards together tell a lock order that each has seen but a part of', async () => {
  const path = file('order-sharded.jsonl', scenarioOf(...ORDER));
  const shards = [1, 2].map((number) => file(`order-${number}.json`));
  for (const [index, shard] of shards.entries()) {
    await run(['explore', path, '--shard', `${index + 1}/2`, '--out', shard]);
    const content = JSON.parse(readFileSync(shard, 'utf8'));
    const [sequence] = content.sequences;
    const half = sequence.nestings.filter(
      ({ held }: { readonly held: string }) => held.startsWith('page lock of a file') === (index === 0),
    );
    const { found: _, ...rest } = sequence;
    writeFileSync(shard, JSON.stringify({ ...content, sequences: [{ ...rest, nestings: half }] }));
  }
  const { status, stdout } = await run(['explore', 'merge', ...shards]);
  expect(stdout).toContain("lock order: hugetlb_fault_mutex, then page lock of a file's page (line 8)");
  expect(status).toBe(1);
});
