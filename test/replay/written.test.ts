/**
 * A scenario is written by running it: what is put in, and what stays as it is.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ScenarioError } from '../../src/replay/line/scenario-error.ts';
import { memoryForTables, replaySequence } from '../../src/replay/replay.ts';
import type { ReplayOptions } from '../../src/replay/replayed.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import type { Scenario } from '../../src/replay/sequence/sequence.ts';
import { type Played, withAnswers } from '../../src/replay/written.ts';
import { differencesIn } from './support.ts';

/** A text with the model's answers in it. */
function written(text: string, replace = false): string {
  const options: ReplayOptions = { observe: true, compare: !replace };
  const scenario = parseScenario('w.jsonl', text);
  const tables = memoryForTables();
  const played = scenario.sequences.map((sequence) => ({
    sequence,
    lines: [...replaySequence(sequence, tables, options)],
  }));
  return withAnswers(scenario, text, played, replace).text;
}

/** What a text is refused with. */
function refused(text: string, replace = false): string {
  try {
    written(text, replace);
  } catch (error) {
    if (error instanceof ScenarioError) return error.message;
    throw error;
  }
  return expect.fail('expected a ScenarioError, got a text');
}

const MMAP = '{"op":"mmap","proc":0,"slot":0,"kind":"private_anon","hugepages":1,"prot":"rw"}';
const WRITE = '{"op":"write","proc":0,"slot":0,"page":0,"value":7}';
const OK = ',"result":"OK"}';
const told = (line: string): string => line.replace(/\}$/, OK);
const lines = (...all: string[]): string => all.map((line) => `${line}\n`).join('');

describe('writing a scenario', () => {
  test('gives each operation its result, a state behind it where that changed, and the end its pool', () => {
    const text = lines('{"seq":1,"pool":2}', MMAP, WRITE, '{"op":"read","proc":0,"slot":0,"page":0}', '{"end":1}');
    expect(written(text)).toBe(
      lines(
        '{"seq":1,"pool":2}',
        told(MMAP),
        '{"pool":[2,2,1,0],"pages":[]}',
        told(WRITE),
        '{"pool":[2,1,0,0],"pages":[[0,0,0,0,1,1]]}',
        '{"op":"read","proc":0,"slot":0,"page":0,"result":"OK","value":7}',
        '{"end":1,"pool":[2,2,0,0]}',
      ),
    );
  });

  test('keeps notes, empty lines, blanks, the order of fields, and the ends of lines', () => {
    const text = '{"note":"a"}\r\n\r\n{ "seq": 1, "pool": 1 }\r\n  { "op" : "exit", "x":1 }\r\n{"end":1}'.replace(
      / {2}\{ "op" : "exit", "x":1 \}/,
      '  { "prot": "rw", "op": "mmap", "kind": "private_anon", "hugepages": 1, "slot": 0, "proc": 0 }',
    );
    expect(written(text)).toBe(
      '{"note":"a"}\r\n\r\n{ "seq": 1, "pool": 1 }\r\n' +
        '  { "prot": "rw", "op": "mmap", "kind": "private_anon", "hugepages": 1, "slot": 0, "proc": 0, "result": "OK" }\r\n' +
        '{"pool": [1, 1, 1, 0], "pages": []}\r\n{"end":1,"pool":[1,1,0,0]}',
    );
  });

  test('does nothing to what is told: a scenario that was written is not written again', () => {
    const folder = new URL('../../docs/scenarios/', import.meta.url);
    for (const name of readdirSync(folder)) {
      const text = readFileSync(new URL(name, folder), 'utf8');
      expect([name, written(text)]).toEqual([name, text]);
      /* Written anew, it is what the model does. */
      expect(differencesIn(written(stripped(text)))).toEqual([]);
    }
  });

  test('puts no second state behind an operation that has one, and none behind one that has a result', () => {
    const text = lines(
      '{"seq":1,"pool":2}',
      MMAP,
      '{"note":"between"}',
      '{"pool":[2,2,1,0]}',
      told(WRITE),
      '{"end":1}',
    );
    expect(written(text)).toBe(text.replace(MMAP, told(MMAP)).replace('{"end":1}', '{"end":1,"pool":[2,2,0,0]}'));
  });

  test('with `replace` puts results and states in the place of those that differ, and nothing else', () => {
    const text = lines(
      '{"seq":1,"pool":2}',
      MMAP.replace(/\}$/, ',"result":"ENOMEM"}'),
      '{"pool":[2,1,1,0]}',
      '{"op":"read","result":"OK","value":3,"proc":0,"slot":0,"page":0}',
      '{"pool":[2,1,0,0],"pages":[]}',
      '{"end":1,"pool":[2,1,0,0]}',
    );
    expect(written(text, true)).toBe(
      lines(
        '{"seq":1,"pool":2}',
        told(MMAP),
        '{"pool":[2,2,1,0]}',
        '{"op":"read","result":"OK","value":0,"proc":0,"slot":0,"page":0}',
        '{"pool":[2,1,0,0],"pages":[[0,0,0,0,1,1]]}',
        '{"end":1,"pool":[2,2,0,0]}',
      ),
    );
  });

  test('with `replace` runs the model on, where the kernel is said to have refused', () => {
    const fork = '{"op":"fork","proc":0,"child":1,"result":"ENOMEM"}';
    const text = lines('{"seq":1,"pool":2}', MMAP, WRITE, fork, '{"pool":[2,1,0,0],"pages":[]}', '{"end":1}');
    expect(written(text, true)).toContain('"pages":[[0,0,0,0,2,0],[1,0,0,0,2,0]]');
  });

  test('replaces a state that is said to be the same', () => {
    const header = '{"seq":1,"unit":"4K","pool":2,"files":[1]}';
    const fill = '{"op":"fill","file":0,"hugepage":0,"tag":1,"result":"OK"}';
    const state = (pool: string): string => `{"pool":${pool},"usage":[[0,0]]}`;
    const text = lines(
      header,
      fill,
      state('[2,2,0,0]'),
      fill.replace('"tag":1', '"tag":2'),
      '{"same":true}',
      '{"end":1}',
    );
    expect(written(text, true)).toBe(
      text.replace('[2,2,0,0]', '[2,1,0,0]').replace('{"same":true}', '{"pool":[2,1,0,0]}'),
    );
  });

  test('refuses an operation that cannot be run, or that never ends', () => {
    const end = '{"end":1}';
    expect(refused(lines('{"seq":1,"pool":2}', '{"op":"put_page"}', end))).toBe(
      'w.jsonl:2: op: expected an operation that can be run, got "no pages in list 0"',
    );
    const fork = '{"op":"fork","proc":0,"child":1}';
    const full = lines(
      '{"seq":1,"pool":2}',
      fork,
      '{"op":"fork","proc":0,"thread":1,"child":2}',
      '{"op":"wait","proc":0,"thread":1}',
      end,
    );
    expect(refused(full)).toContain(
      'w.jsonl:4: op: expected an operation that can be run, got "thread 1 waits for nothing"',
    );
    const hang = lines('{"seq":1,"pool":2}', `${MMAP.slice(0, -1)},"result":"E9999"}`, end);
    expect(refused(hang, true)).toContain('w.jsonl:2: hang: expected an operation that never ends, got "OK"');
  });
});

describe('what belongs to another scenario is not written, but a RangeError:', () => {
  const READ = '{"op":"read","proc":0,"slot":0,"page":0}';
  const TEXT = lines('{"seq":1,"pool":2}', MMAP, '{"pool":[2,2,1,0]}', READ, '{"end":1}');
  const observed = (text: string, options: ReplayOptions = { observe: true }): [Scenario, Played[]] => {
    const scenario = parseScenario('mine.jsonl', text);
    return [
      scenario,
      scenario.sequences.map((of) => ({ sequence: of, lines: [...replaySequence(of, undefined, options)] })),
    ];
  };

  test.each<[string, string, string]>([
    ['an operation that is another one', TEXT.replace(READ, WRITE), `line 4: ${READ} next, got line 4: ${WRITE}`],
    [
      'an operation that stands somewhere else',
      `\n${TEXT}`,
      'line 1: {"seq":1,"pool":2} next, got line 2: {"seq":1,"pool":2}',
    ],
    [
      'a state that is another one',
      TEXT.replace('[2,2,1,0]', '[2,2,0,0]'),
      'line 3: {"pool":[2,2,1,0]} next, got line 3: {"pool":[2,2,0,0]}',
    ],
    [
      'a state that is not there',
      TEXT.replace('{"pool":[2,2,1,0]}', ''),
      `line 3: {"pool":[2,2,1,0]} next, got line 4: ${READ}`,
    ],
    ['a sequence more', `${TEXT}{"seq":2,"pool":1}\n{"end":2}`, 'no more lines, got line 6: {"seq":2,"pool":1}'],
    [
      'a sequence less',
      lines('{"note":""}'),
      'nothing refused, got mine.jsonl:1: seq: expected a sequence, got the end of the file',
    ],
    ['a line that is no JSON', `${TEXT}x`, 'nothing refused, got mine.jsonl:6: line: expected a JSON object, got x'],
  ])('%s in the text', (_, other, words) => {
    const [scenario, played] = observed(TEXT);
    expect(() => withAnswers(scenario, other, played)).toThrow(
      new RangeError(
        `text: expected the text that "mine.jsonl" was parsed from, with ${words}: give what parseScenario was given, or parse this one`,
      ),
    );
  });

  test('but notes, which no answer is put into, may differ', () => {
    const [scenario, played] = observed(`${TEXT}{"note":"a"}`);
    expect(withAnswers(scenario, `${TEXT}{"note":"b"}\n\n`, played).text).toContain('"note":"b"');
  });

  test('lines of another sequence, and the sequence of another scenario', () => {
    const [scenario, [played]] = observed(TEXT);
    const [other, [others]] = observed(TEXT.replace(READ, WRITE));
    expect(() => withAnswers(scenario, TEXT, [others!])).toThrow(
      new RangeError('played[0].sequence: expected one of scenario.sequences, got sequence 1 of "mine.jsonl"'),
    );
    expect(other.sequences).toHaveLength(1);
    expect(() => withAnswers(scenario, TEXT, [played!, { ...played!, lines: others!.lines }])).toThrow(
      new RangeError(
        `played[1].lines[1]: expected line 4: ${READ}, got line 4: ${WRITE}: give the lines that replaySequence gave of this sequence`,
      ),
    );
  });

  test('and lines without states are a TypeError, which says how to have them', () => {
    const [scenario, played] = observed(TEXT, {});
    expect(() => withAnswers(scenario, TEXT, played)).toThrow(
      new TypeError('played[0].lines[0].state: expected a state, got none: replay with { observe: true }'),
    );
    expect(() => withAnswers(scenario, TEXT, [{}] as never)).toThrow(
      /^played\[0\]: expected \{ sequence, lines \}, got/,
    );
  });
});

/** A scenario without what the model says. */
function stripped(text: string): string {
  const fresh = text.split('\n').flatMap((line) => {
    if (line === '') return [line];
    const { result: _, ...object } = JSON.parse(line) as Record<string, unknown>;
    if (
      object.op === undefined &&
      (object.pool || object.usage || object.same || object.pages) &&
      object.seq === undefined
    ) {
      return object.end === undefined ? [] : [JSON.stringify({ end: object.end })];
    }
    for (const found of ['si_code', 'got', 'done', 'fnv1a', 'incore', 'mapped', 'copied', 'event', 'where'])
      delete object[found];
    if (object.op === 'read' || object.op === 'wait') delete object.value;
    if (object.op === 'uffd_read') delete object.flags;
    return [JSON.stringify(object)];
  });
  return fresh.join('\n');
}
