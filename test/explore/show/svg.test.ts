import { expect, test } from 'vitest';
import type { LaneLine } from '../../../src/explore/show/lanes.ts';
import { drawSvg } from '../../../src/explore/show/svg.ts';

const LINES: readonly LaneLine[] = [
  { task: 0, run: 1, text: 'hugetlb_fault', isFunction: true },
  {
    task: 0,
    run: undefined,
    text: 'takes <mutex> & "goes on" over a text that is too long for the lane in which it stands',
    isFunction: false,
  },
  { task: 1, run: 2, text: 'huge_pte_alloc', isFunction: true },
];
const svg = drawSvg('deadlock: a < b', ['p0 write', 'p0 read'], LINES);

/** The texts of the picture, with their places. */
const texts = [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<\/text>/g)].map(([, x, y, words]) => ({
  x: Number(x),
  y: Number(y),
  words,
}));
const placeOf = (words: string) => texts.find((text) => text.words === words)!;

test('a time line has each run in the lane of its task, below the one before', () => {
  expect(placeOf('hugetlb_fault').x).toBe(placeOf('p0 write').x);
  expect(placeOf('huge_pte_alloc').x).toBe(placeOf('p0 read').x);
  expect(placeOf('huge_pte_alloc').y).toBeGreaterThan(placeOf('hugetlb_fault').y);
  expect(placeOf('2').y).toBe(placeOf('huge_pte_alloc').y);
  expect(placeOf('hugetlb_fault').y).toBeGreaterThan(placeOf('p0 write').y + 17);
});

test('all its text is text, whatever it has in it, and within its lane', () => {
  const words = texts.map((text) => text.words).join(' ');
  expect(words).toContain('takes &lt;mutex&gt; &amp; &quot;goes on&quot;');
  expect(words).toContain('deadlock: a &lt; b');
  for (const { words } of texts) expect(words!.length).toBeLessThan(80);
  expect(svg.match(/<[^>]*<|&(?!(?:amp|lt|gt|quot);)/)).toBeNull();
});

test('it loads nothing, and follows the reader in light and dark', () => {
  expect(svg.replace('xmlns="http://www.w3.org/2000/svg"', '')).not.toMatch(/https?:|href|url\(|@import|<script/);
  expect(svg).toContain('@media (prefers-color-scheme: dark)');
});
