/**
 * A key that stands twice in an object of a line: JSON.parse would take the last one, and say nothing.
 */
import { describe, expect, test } from 'vitest';
import { repeatedKey } from '../../src/replay/line/repeated-key.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import { HGM_RECORDINGS, refusal, textOf } from './support.ts';

/** The first key that stands twice in a text, which is JSON. */
function repeatedIn(json: string): string | undefined {
  return repeatedKey(json, JSON.parse(json) as object);
}

describe('a key that stands twice', () => {
  test.each([
    ['{"a":1,"a":1}', 'a'],
    ['{"a":1,"b":2,"c":3,"b":4}', 'b'],
    ['{"":1,"":2}', ''],
    ['{"__proto__":1,"__proto__":2}', '__proto__'],
    ['{ "a" : 1 ,\t"a"\r\n:\t2 }', 'a'],
    /* Inside an object, a list, both; and behind them. */
    ['{"a":{"b":1,"b":2}}', 'b'],
    ['{"a":[0,[{"b":1},{"c":1,"c":2}]]}', 'c'],
    ['{"a":{"b":{"c":[]}},"d":[{"b":1}],"a":1}', 'a'],
    /* As strings that end in backslashes, or have quotes and braces. */
    ['{"a":"\\\\","a":1}', 'a'],
    ['{"a":"\\"","a":1}', 'a'],
    ['{"a":"\\\\\\"}{","b":0,"b":1}', 'b'],
    ['{"a\\"":1,"a\\"":2}', 'a"'],
    ['{"\\\\":1,"\\\\":2}', '\\'],
    /* In another spelling. */
    ['{"op":1,"\\u006fp":2}', 'op'],
    ['{"/":1,"\\/":2}', '/'],
  ])('of %s is %j', (json, key) => {
    expect(repeatedIn(json)).toBe(key);
  });

  test.each([
    '{}',
    '{"a":"a","b":"a"}',
    '{"a":["a","a"],"b":["a","b"]}',
    /* Each object has its own. */
    '{"a":{"a":{"a":1}},"b":{"a":1}}',
    '{"a":[{"a":1},{"a":1}]}',
    /* What looks like a key, inside a string. */
    '{"a":"{\\"b\\":1,\\"b\\":2}","b":0}',
    '{"a":",\\"a\\":","b":"\\\\"}',
    '{"a":"}","b":"{","c":"\\\\\\\\"}',
    '{"a":1,"A":2,"a ":3,"\\u0061\\u0061":4}',
  ])('is not in %s', (json) => {
    expect(repeatedIn(json)).toBeUndefined();
  });

  test('is found wherever it is put into the lines of a recording, and nowhere else', () => {
    const lines = textOf(HGM_RECORDINGS['v2, directed']).split('\n').filter(Boolean);
    expect(lines.filter((line) => repeatedIn(line) !== undefined)).toEqual([]);
    for (const line of lines) {
      const keys = Object.keys(JSON.parse(line) as object);
      for (const key of keys) expect(repeatedIn(line.replace(/\}$/, `,"${key}":0}`))).toBe(key);
    }
  });
});

describe('a scenario with a key that stands twice is refused', () => {
  const header = '{"seq":1,"unit":"4K","pool":1,"files":[1]}';
  const end = '{"end":1}';
  const twice = 'expected this key once in its object: take out all of them but the one that is meant, got it twice';

  test.each([
    ['in an operation', [header, '{"op":"fork","proc":0,"child":1,"proc":0}', end], `2: proc: ${twice}`],
    [
      'with another value',
      [header, '{"op":"fork","proc":0,"child":1,"result":"OK","result":"ENOMEM"}', end],
      `2: result: ${twice}`,
    ],
    ['in a header', ['{"seq":1,"pool":1,"pool":2}', end], `1: pool: ${twice}`],
    ['in a note', ['{"note":"a","note":"b"}', header, end], `1: note: ${twice}`],
    ['inside', [header, '{"pagemap":{"page":0,"page":1,"entries":[]}}', end], `2: page: ${twice}`],
    ['that has a line break', [header, '{"a\\nb":1,"a\\nb":1}', end], `2: a\\u000ab: ${twice}`],
  ])('%s', (_, lines, message) => {
    expect(refusal(lines.join('\n'))).toBe(message);
  });

  test('but not for what stands in its notes', () => {
    const note = JSON.stringify({ note: '{"op":1,"op":2}' });
    expect(parseScenario('note.jsonl', [note, header, end].join('\n')).sequences).toHaveLength(1);
  });
});
