import { describe, expect, test } from 'vitest';
import { measureInTurn } from '../../bench/rounds.ts';

describe('measureInTurn', () => {
  test('lets the sides take turns', async () => {
    let order = '';
    const side = (name: string) => ({
      name,
      repeat: () => {
        order += name;
        return 1;
      },
    });
    await measureInTurn([side('a'), side('b'), side('c')], 5);
    expect(order).toBe('abc'.repeat(7));
  });

  test('waits for a side that takes its time', async () => {
    let busy = false;
    const repeat = async () => {
      expect(busy).toBe(false);
      busy = true;
      await new Promise((resolve) => setTimeout(resolve, 2));
      busy = false;
      return 1;
    };
    await measureInTurn(
      [
        { name: 'a', repeat },
        { name: 'b', repeat },
      ],
      3,
    );
  });

  test('tells median, fastest and slowest of the repetitions that count', async () => {
    const times = [1000, 1000, 5, 1, 2, 9, 3];
    const result = await measureInTurn([{ name: 'a', repeat: () => times.shift()! }], 5);
    expect(result.get('a')).toEqual({ median: 3, min: 1, max: 9, repetitions: 5 });
  });

  test('fails when a side fails', async () => {
    const sides = [
      { name: 'a', repeat: () => 1 },
      { name: 'b', repeat: () => Promise.reject(new Error('b is broken')) },
    ];
    await expect(measureInTurn(sides, 3)).rejects.toThrow('b is broken');
  });
});
