import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { HEADER, MMAP, RECORDINGS, scenarioOf, WRITE } from '../replay/support.ts';
import { file, linesOf, type Ran, ROOT, run } from './support.ts';

/** Runs `hugewalk replay`; without the lines of progress that a slow machine gets. */
async function replay(...args: string[]): Promise<Ran> {
  const ran = await run(['replay', ...args]);
  return { ...ran, stderr: ran.stderr.replace(/^hugewalk: replaying .*\n/gm, '') };
}

const COPY_ON_WRITE = 'docs/scenarios/copy-on-write.jsonl';
const end = { end: 1 };

/** A scenario in which one operation does not end as the model has it. */
const WRONG = [HEADER, { ...MMAP, result: 'OK' }, { ...WRITE, result: 'SIGBUS' }, { pool: [4, 3, 0, 0] }, end];

/** A scenario with many differences in its first sequence, and one in its second. */
const manyWrong = (): string => {
  const wrong = { ...WRITE, result: 'OK' };
  return file('many.jsonl', scenarioOf(HEADER, ...Array(7).fill(wrong), end, { ...HEADER, seq: 2 }, wrong, { end: 2 }));
};

describe('replay', () => {
  test('of a recording ends with status 0 and a line of three numbers', async () => {
    const { status, stdout, stderr } = await replay(RECORDINGS.A.path);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toBe(`${RECORDINGS.A.sequences} sequences, ${RECORDINGS.A.operations} operations, 0 differences\n`);
  });

  test('adds up several files, plain or gzipped', async () => {
    const text = readFileSync(`${ROOT}/${COPY_ON_WRITE}`);
    const { status, stdout } = await replay(COPY_ON_WRITE, file('plain.jsonl', text), file('zipped', gzipSync(text)));
    expect([status, stdout]).toEqual([0, '3 sequences, 21 operations, 0 differences\n']);
  });

  test('ends with status 1 where something differs, and shows what: place, operation, both sides, record', async () => {
    const path = file('wrong.jsonl', scenarioOf(...WRONG));
    const { status, stdout, stderr } = await replay(COPY_ON_WRITE, path);
    expect([status, stderr]).toEqual([1, '']);
    const lines = linesOf(stdout);
    expect(lines[0]).toBe(`${path}:3: {"op":"write","proc":0,"slot":0,"page":0,"at":0,"value":7,"result":"SIGBUS"}`);
    expect(lines[1]).toBe('  result: kernel SIGBUS, model OK');
    expect(lines[2]).toBe('  model: OK');
    const record = lines.slice(3, -1);
    for (const event of record) expect(event).toMatch(/^ {4} *\S/);
    for (const event of [
      /^ {4}page fault at 0x100000000000, /,
      /pte_t of process /,
      /page allocated: 2 MiB /,
      / takes /,
    ]) {
      expect(record).toContainEqual(expect.stringMatching(event));
    }
    expect(lines.at(-1)).toBe('2 sequences, 9 operations, 1 differences');
  });

  test('shows the pages that differ, and no others', async () => {
    const text = readFileSync(`${ROOT}/${COPY_ON_WRITE}`, 'utf8').replace(
      '[[0,0,0,0,2,0],[1,0,0,0,2,0]]',
      '[[0,0,0,0,2,0],[1,0,0,0,3,0]]',
    );
    const { status, stdout } = await replay(file('mapcount.jsonl', text));
    expect(status).toBe(1);
    expect(linesOf(stdout)[1]).toBe(
      '  pages (proc, slot, page, class, mapcount, flags): kernel [1,0,0,0,3,0], model [1,0,0,0,2,0]',
    );
  });

  test('of high-granularity mapping shows the entries of page tables that differ, and no others', async () => {
    const text = readFileSync(`${ROOT}/docs/scenarios/hgm.jsonl`, 'utf8');
    const { status, stdout } = await replay(file('hgm.jsonl', text.replace('[5,3,1,0,5,"wd"]', '[5,3,1,0,6,"wd"]')));
    expect(status).toBe(1);
    const differing =
      '  maps (proc, slot, page, count, size, file, filepage, flags): kernel [0,0,5,3,1,0,6,"wd"], model [0,0,5,3,1,0,5,"wd"]';
    /* The state is told once, and said to be the same after the next operation. */
    expect(linesOf(stdout).filter((line) => /^ {2}\S/.test(line))).toEqual([
      differing,
      '  model: OK, mapped 12288',
      differing,
      '  model: OK, nothing changed',
    ]);
    expect(stdout).toMatch(/^ {4} *pte_t of process 0 at 0x100000005000, level 1: was none; now pfn 0x/m);
    expect(linesOf(stdout).at(-1)).toBe('1 sequences, 14 operations, 2 differences');
  });

  test('says of what a kernel died, if it is not known, that it is not compared, and where to read on; that is no difference', async () => {
    const crash = { crash: 1, last_op: 'dance p0 s0', kind: 'soft lockup' };
    const path = file('crash.jsonl', scenarioOf(HEADER, { ...MMAP, result: 'OK' }, crash));
    for (const args of [[path], [path, '--trace']]) {
      const { status, stdout } = await replay(...args);
      expect(status).toBe(0);
      const lines = linesOf(stdout).slice(-3);
      expect(lines[0]).toBe(`${path}:3: ${JSON.stringify(crash)}`);
      expect(lines[1]).toMatch(
        /^ {2}not compared; .*docs\/replay\.md.*: last_op: expected one of mmap, .*, got "dance p0 s0"$/,
      );
      expect(lines[2]).toBe('1 sequences, 1 operations, 0 differences');
    }
  });

  test('shows the first differences of a sequence and counts the others', async () => {
    const path = manyWrong();
    const { status, stdout } = await replay(path);
    expect(status).toBe(1);
    const titles = linesOf(stdout).filter((line) => line.startsWith(path));
    expect(titles.map((line) => line.slice(path.length).split(' ')[0])).toEqual([':2:', ':3:', ':4:', ':', ':11:']);
    expect(titles[3]).toBe(`${path}: 4 more differences in sequence 1`);
    expect(linesOf(stdout).at(-1)).toBe('2 sequences, 8 operations, 8 differences');
  });

  test('--trace has every operation, differing or not, with what the model did', async () => {
    const { status, stdout } = await replay(COPY_ON_WRITE, '--trace');
    expect(status).toBe(0);
    const text = readFileSync(`${ROOT}/${COPY_ON_WRITE}`, 'utf8');
    const shown = linesOf(text).flatMap((line, i) =>
      /^\{"(seq|op|end)"/.test(line) ? [`${COPY_ON_WRITE}:${i + 1}: ${line}`] : [],
    );
    expect(linesOf(stdout).filter((line) => line.startsWith(COPY_ON_WRITE))).toEqual(shown);
    expect(stdout).toMatch(/"at":0,"result":"OK","value":7\}\n {2}model: OK, value 7, nothing changed\n/);
    expect(stdout).toMatch(
      /"fork".*\n {2}model: OK\n( {4}.*\n)*? {4} *table 0x[0-9a-f]+ of level \d allocated: process 1 at /,
    );
    expect(stdout).toMatch(/"exit".*\n {2}model: OK\n( {4}.*\n)*? {4} *page freed: 2 MiB at pfn 0x/);
    expect(linesOf(stdout).at(-1)).toBe('1 sequences, 7 operations, 0 differences');
  });

  test('--trace shows all differences', async () => {
    const { status, stdout } = await replay(manyWrong(), '--trace');
    expect(status).toBe(1);
    expect(stdout.match(/^ {2}result: kernel OK, model SIGSEGV$/gm)).toHaveLength(8);
    expect(stdout).not.toContain('more');
  });

  test('--color paints', async () => {
    const { stdout } = await replay('--color', file('colours.jsonl', scenarioOf(...WRONG)));
    expect(stdout).toContain('\u001b[31mresult: kernel SIGBUS, model OK\u001b[39m');
  });

  test('says that nothing differs only to somebody who reads all of it', async () => {
    const { status, stderr } = await run(['replay', RECORDINGS.A.path, '--trace'], { hangUp: true });
    expect([status, stderr.replace(/^hugewalk: replaying .*\n/gm, '')]).toEqual([1, '']);
  });
});

describe('bad input ends with status 2 and one line, before anything is run or printed', () => {
  const wrong = (): string => file('first.jsonl', scenarioOf(...WRONG));

  test.each<[string, () => string[], RegExp]>([
    ['no file', () => [], /TRACE/],
    ['an option that does not exist', () => [COPY_ON_WRITE, '--trac'], /--trac\b.*--trace/],
    ['a file that does not exist', () => [wrong(), 'no-such.jsonl'], /no-such\.jsonl: .*ENOENT/],
    ['a directory', () => ['docs/scenarios'], /docs\/scenarios: .*a directory/],
    ['a device', () => ['/dev/null'], /\/dev\/null: .*a device/],
    ['an empty file', () => [file('empty.jsonl')], /empty\.jsonl:1: seq: expected a sequence, got the end of the file/],
    [
      'a line that is wrong, behind sequences that differ',
      () => [wrong(), file('bad.jsonl', scenarioOf(...WRONG, { ...HEADER, seq: 2 }, { ...WRITE, at: 2 ** 30 }))],
      /bad\.jsonl:7: at: expected an integer from 0 to 2097151, got 1073741824/,
    ],
    [
      'a file that ends too early',
      () => [file('cut.jsonl', readFileSync(`${ROOT}/${COPY_ON_WRITE}`).subarray(0, 500))],
      /cut\.jsonl:\d+: line: expected a JSON object, got \{/,
    ],
    [
      'a gzipped file that ends too early',
      () => [file('cut.gz', readFileSync(`${ROOT}/${RECORDINGS.A.path}`).subarray(0, 5000))],
      /cut\.gz: expected a whole gzip stream, found /,
    ],
    [
      'a dump',
      () => ['test/fixtures/linux-6.1-4level.elf.gz'],
      /\.elf\.gz:1: line: expected a JSON object, got \\u007fELF/,
    ],
    [
      'a name that would break the line',
      () => [file('a\nb', '[]')],
      /a\\u000ab:1: line: expected a JSON object, got \[\]/,
    ],
  ])('%s', async (_, args, message) => {
    const { status, stdout, stderr } = await replay(...args());
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^hugewalk: .*\n$/);
    expect(stderr).toMatch(message);
  });
});

test('help of replay explains what it reads and prints', async () => {
  const { status, stdout } = await run(['replay', '--help']);
  expect(status).toBe(0);
  for (const part of ['TRACE', '--trace', '"op":"mmap"', 'N sequences, M operations, D differences']) {
    expect(stdout).toContain(part);
  }
  for (const line of linesOf(stdout)) expect([...line].length, line).toBeLessThanOrEqual(100);
  const example = linesOf(stdout).filter((line) => /^ {2}\{/.test(line));
  const ran = await replay(file('help.jsonl', example.join('\n')));
  expect([ran.status, ran.stdout]).toEqual([0, '1 sequences, 2 operations, 0 differences\n']);
});
