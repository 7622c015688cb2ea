/**
 * The calls of hugewalk/linux and hugewalk/replay with wrong arguments: no engine's message reaches the caller, and nothing
 * wrong is taken.
 */
import { describe, expect, test } from 'vitest';
import * as linux from '../../src/linux/index.ts';
import * as recorded from '../../src/replay/index.ts';
import { declaredCalls, withoutRow } from './declared.ts';
import { type Entry, type Kind, refusesWrongArguments } from './wrong-arguments.ts';

const { Machine } = linux;
const MIB2 = 2 << 20;

const machine = new Machine({ pools: [{ hugePageSize: MIB2, pages: 8 }] });
const process = machine.createProcess();
const other = machine.createProcess();
const flags = linux.MAP_PRIVATE | linux.MAP_ANONYMOUS | linux.MAP_HUGETLB;
const prot = linux.PROT_READ | linux.PROT_WRITE;
const mapping = { length: MIB2, prot, flags };
const at = process.mmap(mapping) as number;
const file = machine.memfdCreate();
const pipe = machine.createPipe();
const uffd = other.userfaultfd(linux.UFFD_NONBLOCK);
uffd.api();
const buffer = new Uint8Array(8);
file.fallocate(0, MIB2);
const folio = [...machine.folios()][0]!;
const pages: number[] = [];
const thread = process.thread();
const SCENARIO = '{"seq":1,"pool":1}\n{"end":1}';
const scenario = recorded.parseScenario('x.jsonl', SCENARIO);

/** A call, after its name; then good arguments, and of which kind each is. */
const entry = (
  name: string,
  call: (...args: never[]) => unknown,
  good: readonly unknown[],
  ...kinds: (Kind | undefined)[]
): Entry => ({ name, call, good, kinds });

/** A call of an object's method, by its name. */
function method<O extends object>(
  on: O,
  name: keyof O & string,
  good: readonly unknown[],
  ...kinds: (Kind | undefined)[]
): Entry {
  const call = (...args: never[]): unknown => Reflect.apply(on[name] as (...args: never[]) => unknown, on, args);
  return { name: `${on.constructor.name}.${name}`, call, good, kinds };
}

/** A thread's call, run at once. */
function ofThread(
  name: keyof linux.Syscalls & string,
  good: readonly unknown[],
  ...kinds: (Kind | undefined)[]
): Entry {
  const call = (...args: never[]): unknown =>
    linux.run(Reflect.apply(thread[name] as () => linux.Path<unknown>, thread, args));
  return { name: `Syscalls.${name}`, call, good, kinds };
}

const gup = ['number', 'number', 'number', 'list?', 'list?'] as const;

/** What a process does at once, and a thread makes a path of. */
const gupCalls: readonly (readonly [keyof linux.Process & keyof linux.Syscalls, unknown[], ...(Kind | undefined)[]])[] =
  [
    ['getUserPages', [at, 0, 0, pages, []], ...gup],
    ['pinUserPages', [at, 0, 0, pages, []], ...gup],
    ['getUserPagesRemote', [other, at, 0, 0, pages], 'object', ...gup, 'object?'],
    ['pinUserPagesRemote', [other, at, 0, 0, pages], 'object', ...gup, 'object?'],
    ['getUserPagesFast', [at, 0, 0, pages], 'number', 'number', 'number', 'list'],
    ['getUserPagesFastOnly', [at, 0, 0, pages], 'number', 'number', 'number', 'list'],
    ['pinUserPagesFast', [at, 0, 0, pages], 'number', 'number', 'number', 'list?'],
    ['followPage', [at, 0], 'number', 'number'],
    ['putPages', [pages], 'list', 'number?'],
    ['unpinUserPages', [pages], 'list', 'number?', 'flag'],
    ['unpinUserPageRange', [0, 0], 'number', 'number', 'flag'],
    ['mlock', [at, 0], 'number', 'number'],
    ['munlock', [at, 0], 'number', 'number'],
    ['dumpPages', [at, 0], 'number', 'number'],
    ['vmsplice', [pipe, at, 0], 'object', 'number', 'number'],
  ];

const entries: Entry[] = [
  entry('new Machine', (o: never) => new Machine(o), [], 'options'),
  ...(['memoryBytes', 'faultMutexes', 'levels'] as const).map((name) =>
    entry(`Machine: ${name}`, (value: never) => new Machine({ [name]: value }), [], 'number?'),
  ),
  entry('Machine: tables', (tables: never) => new Machine({ tables }), [], 'object?'),
  entry('Machine: core', (core: never) => new Machine({ core }), [], 'object?'),
  entry('Machine: hgm', (hgm: never) => new Machine({ hgm }), [], 'options'),
  entry('Machine: hgm.version', (version: never) => new Machine({ hgm: { version } }), [], 'object?'),
  entry('Machine: hgm.posted', (posted: never) => new Machine({ hgm: { posted } }), [], 'number?'),
  entry('Machine: checks', (checks: never) => new Machine({ checks }), [], 'flag'),
  entry('Machine: defersWork', (defersWork: never) => new Machine({ defersWork }), [], 'flag'),
  entry('Machine: pools', (pools: never) => new Machine({ pools }), [], 'list?'),
  entry('Machine: a pool', (pool: never) => new Machine({ pools: [pool] }), [], 'required options'),
  entry('Machine: hugePageSize', (n: never) => new Machine({ pools: [{ hugePageSize: n }] }), [], 'number'),
  entry('Machine: pages', (n: never) => new Machine({ pools: [{ hugePageSize: MIB2, pages: n }] }), [], 'number?'),
  entry('describeTrace', linux.describeTrace, [], 'list'),
  entry('describeTrace: an event', (event: never) => linux.describeTrace([event]), [], 'object'),
  entry('describeTraceEvent', linux.describeTraceEvent, [], 'object'),
  entry('describeEntry', linux.describeEntry, [0n, 1, 4], 'bigint', 'number', 'number?'),
  entry('describeEntryChange', linux.describeEntryChange, [0n, 1n, 1, 4], 'bigint', 'bigint', 'number', 'number?'),
  entry('Pte.from', linux.Pte.from, [0n], 'bigint'),
  entry('Pte.hwpoison', linux.Pte.hwpoison, [0], 'number'),
  entry('readMigrationEntry', linux.readMigrationEntry, [], 'object', 'object'),
  entry('describeDifference', recorded.describeDifference, [], 'object'),
  entry('withAnswers', recorded.withAnswers, [scenario, SCENARIO, [], false], 'object', 'string', 'list', 'flag'),
  method(machine, 'hstate', [], 'number?'),
  method(machine, 'createProcess', [], 'options'),
  entry('Machine.createProcess: name', (name: never) => machine.createProcess({ name }), [], 'string?'),
  method(machine, 'folio', [], 'number'),
  method(machine, 'setNrHugepages', [MIB2, 8], 'number', 'number'),
  method(machine, 'setNrOvercommitHugepages', [MIB2, 0], 'number', 'number'),
  method(machine, 'memfdCreate', [], 'options'),
  method(machine, 'mountHugetlbfs', [], 'options'),
  entry('mountHugetlbfs: size', (size: never) => machine.mountHugetlbfs({ size }), [], 'number?'),
  method(machine, 'putPages', [pages], 'list', 'number?'),
  method(machine, 'unpinUserPages', [pages], 'list', 'number?', 'flag'),
  method(machine, 'unpinUserPageRange', [0, 0], 'number', 'number', 'flag'),
  method(machine, 'memoryFailure', [], 'number'),
  method(machine, 'splitHugePages', []),
  method(machine, 'mappingsOf', [], 'number'),
  method(machine, 'migrate', [], 'number'),
  method(process, 'mmap', [mapping], 'required options'),
  ...(['length', 'prot', 'flags'] as const).map((name) =>
    entry(`mmap: ${name}`, (value: never) => process.mmap({ ...mapping, [name]: value }), [], 'number'),
  ),
  ...(['address', 'offset'] as const).map((name) =>
    entry(`mmap: ${name}`, (value: never) => process.mmap({ ...mapping, [name]: value }), [], 'number?'),
  ),
  entry(
    'mmap: file',
    (f: never) => process.mmap({ length: MIB2, prot, flags: linux.MAP_SHARED, file: f }),
    [],
    'object?',
  ),
  method(process, 'munmap', [0, 0], 'number', 'number'),
  method(process, 'mprotect', [0, 0, 0], 'number', 'number', 'number'),
  method(process, 'mremap', [0, 0, 0, 0, 0], 'number', 'number', 'number', 'number', 'number?'),
  method(process, 'madvise', [0, 0, linux.MADV_DONTNEED], 'number', 'number', 'number'),
  method(process, 'mincore', [0, 0], 'number', 'number'),
  method(process, 'smaps', [0, 0], 'number', 'number'),
  method(process, 'pagemap', [at, 1], 'number', 'number?'),
  method(process, 'read', [at], 'number'),
  method(process, 'write', [at, 1], 'number', 'number'),
  ...(['processVmRead', 'processVmWrite', 'procMemRead', 'procMemWrite'] as const).map((name) =>
    method(process, name, [other, at, buffer], 'object', 'number', 'words'),
  ),
  method(process, 'registerBuffer', [0, 0], 'number', 'number'),
  method(process, 'userfaultfd', [0], 'number?'),
  ...gupCalls.map(([name, ...rest]) => method(process, name, ...rest)),
  ...gupCalls.map(([name, ...rest]) => ofThread(name, ...rest)),
  method(file, 'ftruncate', [0], 'number'),
  method(file, 'fallocate', [0, 0, 0], 'number', 'number', 'number?'),
  ofThread('mmap', [mapping], 'required options'),
  ofThread('munmap', [0, 0], 'number', 'number'),
  ofThread('mprotect', [0, 0, 0], 'number', 'number', 'number'),
  ofThread('mremap', [0, 0, 0, 0, 0], 'number', 'number', 'number', 'number', 'number'),
  ofThread('madvise', [0, 0, linux.MADV_DONTNEED], 'number', 'number', 'number'),
  ofThread('mincore', [0, 0], 'number', 'number'),
  ofThread('smaps', [0, 0], 'number', 'number'),
  ofThread('pagemap', [at, 1], 'number', 'number?'),
  ofThread('migrate', [], 'number'),
  ofThread('ftruncate', [file, 0], 'object', 'number'),
  ofThread('fallocate', [file, 0, 0, 0], 'object', 'number', 'number', 'number?'),
  ofThread('read', [at], 'number'),
  ofThread('write', [at, 1], 'number', 'number'),
  ofThread('processVm', [other, at, buffer, 'read'], 'object', 'number', 'words', 'object'),
  ofThread('procMem', [other, at, buffer, 'read'], 'object', 'number', 'words', 'object'),
  ofThread('registerBuffer', [0, 0], 'number', 'number'),
  ofThread('unregisterBuffer', []),
  ofThread('memoryFailure', [], 'number'),
  ofThread('splitHugePages', []),
  ofThread('pipeRead', [pipe, buffer], 'object', 'words'),
  ofThread('pipeClose', [machine.createPipe()], 'object'),
  ofThread('uffdWake', [uffd, 0, 0], 'object', 'number', 'number'),
  ofThread('uffdRegister', [uffd, 0, 0, 1], 'object', 'number', 'number', 'number'),
  ofThread('uffdUnregister', [uffd, 0, 0], 'object', 'number', 'number'),
  ofThread('uffdFill', [uffd, 0, 0, { kind: 'continue', mode: 0 }], 'object', 'number', 'number', 'object'),
  ofThread('uffdWriteprotect', [uffd, 0, 0, 0], 'object', 'number', 'number', 'number'),
  ofThread('uffdRead', [uffd], 'object'),
  ofThread('uffdClose', [uffd], 'object'),
  method(pipe, 'read', [buffer], 'words'),
  method(folio, 'pageMapcount', [0], 'number'),
  method(folio.pageCache!, 'find', [0], 'number'),
  method(uffd, 'api', [0], 'number?'),
  method(uffd, 'register', [0, 0, 1], 'number', 'number', 'number'),
  method(uffd, 'unregister', [0, 0], 'number', 'number'),
  method(uffd, 'copy', [0, buffer, 0, 0], 'number', 'words', 'number?', 'number?'),
  method(uffd, 'continue', [0, 0, 0], 'number', 'number', 'number?'),
  method(uffd, 'zeropage', [0, 0, 0], 'number', 'number', 'number?'),
  method(uffd, 'writeprotect', [0, 0, 0], 'number', 'number', 'number'),
  method(uffd, 'wake', [0, 0], 'number', 'number'),
  entry('run', (path: never) => linux.run(path), [], 'object'),
  entry('runAlone', (path: never) => linux.runAlone(path), [], 'object'),
  entry(
    'interleave',
    (works: never, pick: never) => linux.interleave(works, pick),
    [[], () => 0],
    'function',
    'function',
  ),
  entry('interleave: a work', (work: never) => linux.interleave([work], () => 0), [], 'object'),
  entry(
    'interleave: what pick gives',
    (picked: never) => linux.interleave([{ task: thread.task, path: thread.read(at) }], () => picked),
    [],
    'number',
  ),
  entry(
    'new ScenarioError',
    (...args: never[]) => Reflect.construct(recorded.ScenarioError, args),
    ['x', 1, 'op', 'one', 'none'],
    'string',
    'number',
    'string',
    'string',
    'string',
  ),
  entry(
    'parseScenario',
    (name: never, text: never) => recorded.parseScenario(name, text),
    ['x', ''],
    'string',
    'string',
  ),
  entry('replay', (s: never, o: never) => recorded.replay(s, o), [scenario], 'object', 'options'),
  entry(
    'replaySequence',
    (s: never, t: never, o: never) => recorded.replaySequence(s, t, o),
    [scenario.sequences[0]],
    'object',
    'object?',
    'options',
  ),
];

describe('refuses every wrong argument, and names it:', () => {
  test.each(entries.map((one) => [one.name, one] as const))('%s', async (_, one) => {
    await refusesWrongArguments(one);
  });
});

test('every exported function and class, and every method of a class, is among them', () => {
  const calls = [...declaredCalls('linux/index.ts'), ...declaredCalls('replay/index.ts')];
  expect(calls).toEqual(expect.arrayContaining(['new Machine', 'Process.vmsplice', 'Syscalls.getUserPages', 'replay']));
  /* It only looks, at every turn of `interleave`, and of a user's own. */
  const others = ['Lock.isFreeFor'];
  expect(withoutRow(calls, entries)).toEqual(others);
});

test('hgm: true and exec: true are told what there is', () => {
  expect(() => new Machine({ hgm: true } as never)).toThrow(new TypeError('hgm: expected an object, got true'));
  expect(() => process.mmap({ ...mapping, exec: true } as never)).toThrow(
    new TypeError('options: expected only address, length, prot, flags, file, offset, got exec'),
  );
  expect(() => new Machine({ hgm: { verison: 'v2' } } as never)).toThrow(
    new TypeError('hgm: expected only version, mapcounts, posted, got verison: did you mean version?'),
  );
});

test('a pool that memory cannot hold is told how many pages fit', () => {
  const pools = [{ hugePageSize: MIB2, pages: 100 }];
  expect(() => new Machine({ memoryBytes: 64 << 20, pools })).toThrow(
    new RangeError('pages: expected at most 0x20 of 0x200000 bytes, which fit in memoryBytes 0x4000000, got 0x64'),
  );
  const both = [
    { hugePageSize: 1 << 30, pages: 1 },
    { hugePageSize: MIB2, pages: 513 },
  ];
  expect(() => new Machine({ memoryBytes: 2 ** 31, pools: both })).toThrow(
    new RangeError('pages: expected at most 0x200 of 0x200000 bytes, which fit in memoryBytes 0x80000000, got 0x201'),
  );
  expect(
    new Machine({ memoryBytes: 2 ** 31, pools: [both[0]!, { ...both[1]!, pages: 512 }] }).hstate().nrHugePages,
  ).toBe(512);
});

test('a pick of a task that there is not is named, and nothing is left half done', () => {
  const [a, b] = [process.thread(), process.thread()];
  const works = [a, b].map(({ task, read }, i) => ({
    task,
    path: Reflect.apply(read, [a, b][i], [at]) as linux.Path<unknown>,
  }));
  expect(() => linux.interleave(works, (count) => count)).toThrow(
    new RangeError('pick(): expected an integer from 0x0 to 0x1, got 0x2'),
  );
  machine.check();
});
