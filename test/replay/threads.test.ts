/**
 * Threads of a scenario, what GUP gives, and operations that cannot be begun.
 */
import { describe, expect, test } from 'vitest';
import { replaySequence } from '../../src/replay/replay.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import { differencesIn, END, found, HEADER, refusal, scenarioOf } from './support.ts';

const MMAP = { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 2, prot: 'rw' };
const OPEN = { op: 'uffd_open', proc: 0, uffd: 0, waits: true };
const REGISTER = { op: 'uffd_register', proc: 0, uffd: 0, slot: 0, page: 0, pages: 2, mode: 'm' };
const COPY = { op: 'uffd_copy', proc: 0, uffd: 0, slot: 0, page: 0, pages: 1, value: 9 };
const READ = { op: 'read', proc: 0, slot: 0, page: 0 };
const WAIT = { op: 'wait', proc: 0, thread: 1 };
const registered = [HEADER, MMAP, OPEN, REGISTER];

/** How the operations of a sequence of these lines end, and what they find. */
function answers(...lines: readonly object[]): unknown[] {
  const { sequences } = parseScenario('threads.jsonl', scenarioOf(...lines));
  const run = [...replaySequence(sequences[0]!)].filter(({ kind }) => kind === 'operation');
  return run.map(({ answer }) =>
    answer?.found && answer.result === 'OK' ? [answer.result, answer.found] : answer?.result,
  );
}

describe('a thread', () => {
  test('that nothing keeps waiting ends at once, as the main thread does', () => {
    expect(
      found(HEADER, MMAP, { ...READ, thread: 1, result: 'OK', value: 0 }, { ...READ, thread: 1, result: 'OK' }, END),
    ).toEqual([]);
  });

  test('sleeps in a fault, goes on when its page is filled, and `wait` tells what it has found', () => {
    expect(answers(...registered, { ...READ, thread: 1 }, WAIT, COPY, WAIT, END).slice(3)).toEqual([
      'BLOCKED',
      'BLOCKED',
      ['OK', { copied: 2 ** 21 }],
      ['OK', { value: 9 }],
    ]);
  });

  test('is not what it was said to be where the model differs: in the result of its end, too', () => {
    const lines = [...registered, { ...READ, thread: 1, result: 'OK' }, COPY, { ...WAIT, result: 'OK', value: 8 }, END];
    expect(found(...lines)).toEqual([
      { what: 'result', line: 5, kernel: 'OK', model: 'BLOCKED' },
      { what: 'found', line: 7, kernel: 8, model: 9 },
    ]);
  });

  test('that went to sleep first goes on first', () => {
    const write = (thread: number, value: number): object => ({
      op: 'write',
      proc: 0,
      thread,
      slot: 0,
      page: 0,
      value,
    });
    const waits = [
      { ...WAIT, result: 'OK' },
      { ...WAIT, thread: 2, result: 'OK' },
    ];
    /* The value is that of the last writer. */
    expect(found(...registered, write(2, 2), write(1, 1), COPY, ...waits, { ...READ, value: 1 }, END)).toEqual([]);
    expect(found(...registered, write(1, 1), write(2, 2), COPY, ...waits, { ...READ, value: 2 }, END)).toEqual([]);
    /* Also if it had been there before the other one. */
    const before = { op: 'munmap', proc: 0, thread: 1, slot: 3, page: 0, pages: 1, result: 'OK' };
    expect(found(...registered, before, write(2, 2), write(1, 1), COPY, ...waits, { ...READ, value: 1 }, END)).toEqual(
      [],
    );
  });

  test('that sleeps is given up when its process ends, and the machine has all its pages', () => {
    const forked = { op: 'fork', proc: 0, child: 1 };
    const asleep = { ...READ, proc: 1, thread: 1 };
    const child = { ...OPEN, proc: 1, uffd: 1 };
    const lines = [
      HEADER,
      { ...MMAP, hugepages: 1 },
      forked,
      child,
      { ...REGISTER, proc: 1, uffd: 1, pages: 1 },
      asleep,
    ];
    expect(answers(...lines, { op: 'exit', proc: 1 }, END).slice(-2)).toEqual(['BLOCKED', 'OK']);
    expect(found(...lines, { op: 'exit', proc: 1 }, { end: 1, pool: [4, 4, 0, 0] })).toEqual([]);
    expect(found(...lines, { end: 1, pool: [4, 4, 0, 0] })).toEqual([]);
  });

  test('that is given up has what it had got until then', () => {
    const mine = { ...MMAP, proc: 1, slot: 1 };
    const write = { op: 'write', proc: 1, slot: 1, page: 0, value: 1 };
    const open = { ...OPEN, proc: 1, uffd: 1 };
    const register = { ...REGISTER, proc: 1, uffd: 1, slot: 1 };
    const pin = {
      op: 'pin_user_pages_fast',
      proc: 1,
      thread: 1,
      slot: 1,
      page: 0,
      nr_pages: 1024,
      flags: 'FOLL_WRITE',
    };
    const lines = [
      HEADER,
      { op: 'fork', proc: 0, child: 1 },
      mine,
      write,
      open,
      register,
      { ...pin, result: 'BLOCKED' },
    ];
    const exit = { op: 'exit', proc: 1, result: 'OK' };
    expect(found(...lines, exit, { end: 1, pool: [4, 3, 0, 0] })).toEqual([]);
    expect(found(...lines, exit, { op: 'unpin_user_pages', result: 'OK' }, { end: 1, pool: [4, 4, 0, 0] })).toEqual([]);
  });

  test('forks, and the child lives from the end of the fork on', () => {
    const fork = { op: 'fork', proc: 0, thread: 1, child: 1 };
    const lines = [HEADER, MMAP, { ...OPEN, event_fork: true }, REGISTER, { ...fork, result: 'BLOCKED' }];
    const early = refusal(scenarioOf(...lines, { ...READ, proc: 1 }, END));
    expect(early).toBe('6: proc: expected a living process (0), got 1');
    const event = { op: 'uffd_read', proc: 0, uffd: 0, result: 'OK', event: 'fork' };
    expect(found(...lines, event, { ...WAIT, result: 'OK' }, { op: 'exit', proc: 1, result: 'OK' }, END)).toEqual([]);
  });

  test.each<[string, object[], string]>([
    [
      'does nothing before it was waited for',
      [...registered, { ...READ, thread: 1 }, { ...READ, thread: 1 }],
      'thread 1 has not been waited for',
    ],
    ['is not waited for that does nothing', [HEADER, WAIT], 'thread 1 waits for nothing'],
  ])('%s', (_, lines, model) => {
    expect(found(...lines, END)).toMatchObject([{ what: 'result', model }]);
  });

  test('that is the main one is given up where it would sleep', () => {
    expect(found(...registered, { ...READ, result: 'BLOCKED' }, { ...READ, result: 'BLOCKED' }, END)).toEqual([]);
  });
});

describe('what GUP gives', () => {
  const pin = {
    op: 'pin_user_pages',
    proc: 0,
    slot: 0,
    page: 0,
    nr_pages: 2,
    flags: 'FOLL_WRITE',
    result: 'OK',
    got: 2,
  };
  const get = { ...pin, op: 'get_user_pages' };
  const unpin = { op: 'unpin_user_pages', result: 'OK' };
  const put = { op: 'put_page', result: 'OK' };

  test('is held until it is given back: a pinned page stays where it is', () => {
    const migrate = { op: 'migrate', proc: 0, slot: 0, page: 0 };
    expect(
      found(HEADER, MMAP, pin, { ...migrate, result: 'EAGAIN' }, unpin, { ...migrate, result: 'OK' }, END),
    ).toEqual([]);
  });

  test('is a list of references or of pins', () => {
    expect(found(HEADER, MMAP, pin, get, END)).toMatchObject([{ line: 4, model: 'list 0 has pins' }]);
    expect(found(HEADER, MMAP, pin, put, END)).toMatchObject([{ line: 4, model: 'list 0 has pins' }]);
    expect(found(HEADER, MMAP, get, unpin, END)).toMatchObject([{ line: 4, model: 'list 0 has references' }]);
    expect(found(HEADER, MMAP, put, END)).toMatchObject([{ line: 3, model: 'no pages in list 0' }]);
    expect(found(HEADER, MMAP, pin, { ...get, list: 1 }, put, END)).toMatchObject([
      { line: 5, model: 'list 0 has pins' },
    ]);
    expect(found(HEADER, MMAP, pin, { ...get, list: 1 }, { ...put, list: 1 }, unpin, END)).toEqual([]);
  });

  test('is missing from the pool where it was never given back', () => {
    expect(found(HEADER, MMAP, get, { end: 1, pool: [4, 4, 0, 0] })).toMatchObject([
      { what: 'end', model: [4, 3, 0, 0] },
    ]);
    expect(found(HEADER, MMAP, get, put, { end: 1, pool: [4, 4, 0, 0] })).toEqual([]);
  });

  test('is an errno of a process that is not there', () => {
    expect(
      found(HEADER, MMAP, { ...get, op: 'get_user_pages_remote', target: 3, result: 'ESRCH', got: -1 }, END),
    ).toEqual([]);
  });
});

test('memory that has turned bad is told by the signal, and what nobody maps has no frame', () => {
  const write = { op: 'write', proc: 0, slot: 0, page: 0, value: 1 };
  const bad = { op: 'corrupt_pfn', proc: 0, slot: 0, page: 0 };
  const lines = [
    HEADER,
    MMAP,
    { ...bad, result: 'ENXIO' },
    write,
    { ...bad, result: 'OK' },
    { ...bad, result: 'ENXIO' },
  ];
  expect(found(...lines, { ...write, result: 'SIGBUS', si_code: 'BUS_MCEERR_AR' }, END)).toEqual([]);
  expect(found(...lines, { ...write, result: 'SIGBUS', si_code: 'BUS_ADRERR' }, END)).toMatchObject([
    { what: 'found', kernel: 'BUS_ADRERR', model: 'BUS_MCEERR_AR' },
  ]);
});

test('threads come to the same with a trace and without', () => {
  const text = scenarioOf(...registered, { ...READ, thread: 1 }, COPY, { ...WAIT, result: 'OK', value: 9 }, END);
  for (const trace of [true, false]) expect(differencesIn(text, { trace })).toEqual([]);
});
