/**
 * docs/hgm.md names every fault of the series that can be had back.
 */
import { expect, test } from 'vitest';
import * as hgm from '../../src/linux/base/hgm.ts';
import { readFixture } from '../support/files.ts';

test('each HGM_POSTED_ bit has a row', async () => {
  const text = new TextDecoder().decode(await readFixture('docs/hgm.md'));
  const bits = Object.entries(hgm).filter(
    ([name, value]) => name.startsWith('HGM_POSTED_') && Number.isInteger(Math.log2(Number(value))),
  );
  expect(bits.reduce((sum, [, bit]) => sum + Number(bit), 0)).toBe(hgm.HGM_POSTED_ALL);
  expect([...text.matchAll(/^\| `(HGM_POSTED_\w+)` \|/gm)].map(([, name]) => name).sort()).toEqual(
    bits.map(([name]) => name).sort(),
  );
});
