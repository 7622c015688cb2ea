/** What can be told of the times that a row has measured. */
import type { Figures } from './benchmark.ts';

/** Millions a second, from milliseconds for one. */
export function perMicrosecond(milliseconds: number): number {
  return 1e-3 / milliseconds;
}

/** Millions a second; undefined where the figure was not measured. */
export function speedOf(figures: Figures, figure: string): number | undefined {
  const of = figures.get(figure);
  return of && perMicrosecond(of.median);
}

/** How many times as fast as another figure a figure is; undefined where one of them was not measured. */
export function ratioOf(figures: Figures, figure: string, yardstick: string): number | undefined {
  const [of, to] = [figures.get(figure), figures.get(yardstick)];
  return of && to && to.median / of.median;
}

/** Which figure of a row is compared with which others; the first of them is the main one. */
export const COMPARED: Readonly<Record<string, readonly string[]>> = {
  batch: ['native', 'v86-walk', 'v86-hit'],
  number: ['v86-walk', 'v86-hit'],
  hits: ['native'],
  access: ['probe', 'native'],
  sparse: ['flat'],
  two: ['one', 'two-apart'],
  mappings: ['blocks'],
};

/** Four digits that count: more would pretend. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
