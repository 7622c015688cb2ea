import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { describeFailure, Failure } from '../../src/cli/failure.ts';
import { checkRange, parseAccess, parseCpu, parseHex } from '../../src/cli/options.ts';
import { Output, ReaderGone } from '../../src/cli/output.ts';
import { Progress } from '../../src/cli/progress.ts';
import {
  columns,
  count,
  createPaint,
  hexOfPage,
  hexOfPageEnd,
  printable,
  rightsText,
  sizeOfPages,
} from '../../src/cli/text.ts';
import { InvariantError } from '../../src/core/errors.ts';
import { DumpError } from '../../src/dump/dump-error.ts';

describe('addresses and registers', () => {
  test.each([
    ['0x0', 0n],
    ['0x401000', 0x40_1000n],
    ['0XFFFFFFFF81000000', 0xffff_ffff_8100_0000n],
    ['0xffff_8880_0000_0000', 0xffff_8880_0000_0000n],
    ['0xffffffffffffffff', 0xffff_ffff_ffff_ffffn],
    ['0x00000000000000000001', 1n],
    ['ffff888000000000', 0xffff_8880_0000_0000n],
    ['7ffebb05d000', 0x7ffe_bb05_d000n],
    ['0000000000400000', 0x40_0000n],
    ['00400000', 0x40_0000n],
    ['00750eb0', 0x75_0eb0n],
  ])('%s is a number in hexadecimal', (text, value) => expect(parseHex('VA', text)).toBe(value));

  test.each([
    ...['', '0', '12', '4096', '600000000000', '1234567890123456', 'dead', 'face000', '0x', '0x_1', '0x1_', '0x1__2'],
    ...['0xg', 'main', '-0x1', '+0x1', '0x1 ', ' 0x1', '0x1n', '0b1', '1e3', '0x10000000000000000'],
  ])('%j is an error that names the argument', (text) => {
    expect(() => parseHex('--cr3', text)).toThrow(/^--cr3: expected .*, got /);
  });

  test('that may be meant in decimal are answered with how to write them', () => {
    expect(() => parseHex('VA', '600000000000')).toThrow(/: write 0x600000000000 if that is what you mean$/);
    expect(() => parseHex('VA', 'main')).toThrow(/got "main"$/);
  });
});

test('--access takes letters, in their order, each once', () => {
  expect([parseAccess('r'), parseAccess('w'), parseAccess('x'), parseAccess('xrx')]).toEqual([[0], [2], [16], [16, 0]]);
  for (const text of ['', 'q', 'rq', 'R', 'r,w'])
    expect(() => parseAccess(text)).toThrow(/^--access: expected .* r, w and x/);
});

test('--cpu takes a decimal number', () => {
  expect([parseCpu('0'), parseCpu('12')]).toEqual([0, 12]);
  for (const text of ['', '-1', '0x1', '1.5', '99999999999']) expect(() => parseCpu(text)).toThrow(/^--cpu: expected /);
});

test('--from and --to are canonical for the number of levels, and in order', () => {
  checkRange(undefined, undefined, 4);
  checkRange(0x7fff_ffff_ffffn, 0xffff_8000_0000_0000n, 4);
  checkRange(0x8000_0000_0000n, 0xff00_0000_0000_0000n, 5);
  expect(() => checkRange(0x8000_0000_0000n, undefined, 4)).toThrow(
    /^--from: .*up to 0x7fffffffffff, or from 0xffff800000000000/,
  );
  expect(() => checkRange(undefined, 0x100_0000_0000_0000n, 5)).toThrow(
    /^--to: .*up to 0xffffffffffffff, or from 0xff00000000000000/,
  );
  expect(() => checkRange(2n, 1n, 4)).toThrow('--from: expected at most --to = 0x1, got 0x2');
});

describe('colours', () => {
  const coloured = (asked: boolean | undefined, isTerminal: boolean, env: Record<string, string> = {}): boolean =>
    createPaint(asked, isTerminal, env).bold('a') !== 'a';

  test('are for terminals', () =>
    expect([coloured(undefined, true), coloured(undefined, false)]).toEqual([true, false]));
  test('are left out with NO_COLOR, unless that is empty, and on a dumb terminal', () => {
    expect(coloured(undefined, true, { NO_COLOR: '1' })).toBe(false);
    expect(coloured(undefined, true, { NO_COLOR: '' })).toBe(true);
    expect(coloured(undefined, true, { TERM: 'dumb' })).toBe(false);
  });
  test('are as asked for, whatever else is said', () => {
    expect(coloured(true, false, { NO_COLOR: '1' })).toBe(true);
    expect(coloured(false, true)).toBe(false);
  });
});

describe('text', () => {
  test('has sizes in three digits', () => {
    expect([0, 1, 218, 255, 256, 261888, 660000, 2 ** 18, 2 ** 51].map(sizeOfPages)).toEqual([
      ...['0', '4 KiB', '872 KiB', '1020 KiB', '1 MiB', '1023 MiB', '2.52 GiB', '1 GiB', '8 EiB'],
    ]);
  });
  test('has commas between thousands', () => {
    expect([0, 999, 1000, 9910, 1056768].map(count)).toEqual(['0', '999', '1,000', '9,910', '1,056,768']);
  });
  test('has pages by their first and last address, up to the last one', () => {
    expect([hexOfPage(0), hexOfPageEnd(0), hexOfPage(0x401), hexOfPageEnd(2 ** 52 - 1)]).toEqual([
      ...['0x0', '0xfff', '0x401000', '0xffffffffffffffff'],
    ]);
  });
  test('has rights by letter, and a ? for one that only a part has', () => {
    expect([rightsText(0), rightsText(7), rightsText(2), rightsText(2, 7), rightsText(0, 2)]).toEqual([
      ...['r-- kernel', 'rwx user', 'r-- user', 'r?? user', 'r-- both'],
    ]);
  });
  test('aligns columns, colours or not', () => {
    const { red } = createPaint(true, false, {});
    expect(
      columns(
        [
          ['a', 'bb', ''],
          [red('aaa'), 'b', 'c'],
        ],
        'rll',
      ),
    ).toEqual(['  a  bb', `${red('aaa')}  b   c`]);
  });
  test('has no character that moves the cursor', () => {
    expect(printable('a\nb\u001b[0m\u2028c\u0085é')).toBe('a\\u000ab\\u001b[0m\\u2028c\\u0085é');
  });
});

describe('progress', () => {
  function progressOn(isTTY: boolean): {
    readonly shown: string[];
    at(time: number, words: string): void;
    clear(): void;
  } {
    let now = 0;
    const shown: string[] = [];
    const progress = new Progress({ isTTY, write: (text) => shown.push(text) }, () => now);
    return {
      shown,
      at: (time, words) => {
        now = time;
        progress.report(() => words);
      },
      clear: () => progress.clear(),
    };
  }

  test('is silent for the first second', () => {
    const { shown, at, clear } = progressOn(true);
    at(0, 'a');
    at(999, 'b');
    clear();
    expect(shown).toEqual([]);
  });

  test('rewrites one line on a terminal, and takes it away', () => {
    const { shown, at, clear } = progressOn(true);
    at(1000, 'a');
    at(1050, 'b');
    at(1100, 'c');
    clear();
    clear();
    expect(shown).toEqual(['\r\u001b[Ka', '\r\u001b[Kc', '\r\u001b[K']);
  });

  test('is a line every few seconds elsewhere', () => {
    const { shown, at, clear } = progressOn(false);
    for (let time = 0; time <= 12_000; time += 500) at(time, `${time}`);
    clear();
    expect(shown).toEqual(['hugewalk: 1000\n', 'hugewalk: 6000\n', 'hugewalk: 11000\n']);
  });
});

describe('a command that fails', () => {
  test('for a reason that was foreseen ends with one line and the status of that', () => {
    expect(describeFailure(new Failure('x: a\nb'))).toEqual({ text: 'hugewalk: x: a\\u000ab\n', status: 2 });
    expect(describeFailure(new Failure('x', 1)).status).toBe(1);
    expect(describeFailure(new DumpError('x.elf', 'y'))).toEqual({ text: 'hugewalk: x.elf: y\n', status: 2 });
    expect(describeFailure(new RangeError('cr3: y'))).toEqual({ text: 'hugewalk: --cr3: y\n', status: 2 });
  });

  test('for any other reason ends with status 70 and a stack', () => {
    for (const error of [new InvariantError('scan: x'), new RangeError('Invalid array length'), new TypeError('x')]) {
      const { text, status } = describeFailure(error);
      expect(status).toBe(70);
      expect(text).toMatch(/^hugewalk: a defect of hugewalk, please report it:\n\w+Error: .*\n {4}at /);
    }
    expect(describeFailure('thrown').text).toMatch(/\nthrown\n$/);
  });
});

describe('standard output', () => {
  function streamOf(code?: string): { readonly stream: Writable; readonly written: string[] } {
    const written: string[] = [];
    const stream = new Writable({
      decodeStrings: false,
      write(text: string, _, done) {
        written.push(text);
        setImmediate(done, code === undefined ? null : Object.assign(new Error(`${code}: x`), { code }));
      },
    });
    return { stream, written };
  }

  test('is written in large pieces, each when the one before is taken', async () => {
    const { stream, written } = streamOf();
    const output = new Output(stream);
    const line = `${'x'.repeat(99)}\n`;
    for (let i = 0; i < 2000; i++) {
      if (!output.add(line)) continue;
      await output.flush();
      expect(stream.writableLength).toBe(0);
    }
    await output.flush();
    await output.flush();
    expect(written.map(({ length }) => length)).toEqual([65_600, 65_600, 65_600, 3200]);
  });

  test('that nobody reads is the end of the work, that cannot be written a failure with status 1', async () => {
    const flush = async (code: string): Promise<unknown> => {
      const output = new Output(streamOf(code).stream);
      output.add('x');
      return output.flush().catch((error: unknown) => error);
    };
    expect(await flush('EPIPE')).toBeInstanceOf(ReaderGone);
    const full = await flush('ENOSPC');
    expect(full).toMatchObject({ status: 1, message: expect.stringMatching(/^standard output: .*ENOSPC/) });
  });
});
