/**
 * What post-copy migration prints: a table, and a histogram of how long page faults waited.
 */
import { bar, count, size, table, time } from '../support/text.ts';
import type { Outcome } from './migration.ts';
import { fetchTime, type Link } from './network.ts';

/** A way to map the destination's memory, and what came of it. */
export interface Trial {
  readonly name: string;
  /** What is fetched at once, in bytes. */
  readonly unit: number;
  /** The median wait that was published for the like. */
  readonly published: string;
  readonly outcome: Outcome;
}

/** The part of the waits, 0 to 1, that the wait returned is the end of. Microseconds. */
export function quantile(waits: readonly number[], part: number): number {
  return waits[Math.min(waits.length - 1, Math.floor(waits.length * part))] ?? 0;
}

/** A line for each figure, a column for each trial. */
export function figures(trials: readonly Trial[], link: Link): string {
  const row = (name: string, cell: (trial: Trial) => string): string[] => [name, ...trials.map(cell)];
  const waited = ({ outcome }: Trial): number => outcome.waits.reduce((sum, wait) => sum + wait, 0);
  return table([
    row('', ({ name }) => name),
    row('one fetch, link idle', ({ unit }) => time(fetchTime(link, unit))),
    row('a fault waits: median', ({ outcome }) => time(quantile(outcome.waits, 0.5))),
    row('  99 of 100 less than', ({ outcome }) => time(quantile(outcome.waits, 0.99))),
    row('  the longest', ({ outcome }) => time(quantile(outcome.waits, 1))),
    row('published median', ({ published }) => published),
    row('touches of the guest', ({ outcome }) => count(outcome.touches)),
    row('  that had to wait', ({ outcome }) => count(outcome.waits.length)),
    row('time spent waiting, all vCPUs', (trial) => time(waited(trial))),
    row('userfaultfd messages', ({ outcome }) => count(outcome.messages)),
    row('fetched on request', ({ outcome }) => `${count(outcome.requested)} of ${count(outcome.units)}`),
    row('page-table leaves, all arrived', ({ outcome }) => count(outcome.leavesBefore)),
    row('  after MADV_COLLAPSE', ({ outcome }) => count(outcome.leaves)),
    row('all arrived after', ({ outcome }) => time(outcome.complete)),
    row('4 KiB pages that differ', ({ outcome }) => count(outcome.wrong)),
  ]);
}

const STEPS = [1, 2, 5];
const WIDTH = 20;

/** How many faults waited how long: a row for each step of time, a column of bars for each trial. */
export function histogram(trials: readonly Trial[]): string {
  const all = trials.flatMap(({ outcome }) => outcome.waits);
  const from = stepBelow(all.reduce((least, wait) => Math.min(least, wait), Number.POSITIVE_INFINITY));
  const to = all.reduce((most, wait) => Math.max(most, wait), 0);
  const rows: string[] = [
    `${'a fault waits'.padEnd(18)}${trials.map(({ name }) => name.padEnd(WIDTH + 2)).join('')}`.trimEnd(),
  ];
  for (let index = from; boundary(index) <= to; index++) {
    const [least, most] = [boundary(index), boundary(index + 1)];
    const bars = trials.map(({ outcome: { waits } }) => {
      const inside = waits.filter((wait) => wait >= least && wait < most).length;
      return bar(inside, waits.length, WIDTH).padEnd(WIDTH + 2);
    });
    rows.push(`${`${time(least)} - ${time(most)}`.padEnd(18)}${bars.join('')}`.trimEnd());
  }
  return rows.join('\n');
}

/** 1, 2, 5, 10, 20, 50 µs and so on. */
function boundary(index: number): number {
  return STEPS[index % STEPS.length]! * 10 ** Math.floor(index / STEPS.length);
}

function stepBelow(value: number): number {
  let index = 0;
  while (Number.isFinite(value) && boundary(index + 1) <= value) index++;
  return index;
}

/** Where the published figures are from. */
export const PUBLISHED = [
  'Published: Google, a guest of 48 vCPUs, pieces of 4 KiB against pages of 2 MiB; QEMU, pages of 1 GiB, from about 1 s to about 250 µs',
  'with HGM.',
].join('\n');

/** What the figures are made of. */
export function explanation({ latency, bandwidth }: Link, guestBytes: number): string {
  return [
    `The time is simulated. "One fetch" follows from the link alone: twice ${latency} µs, and the bytes at ${bandwidth} Gbit/s. Running the`,
    'kernel and the guest takes no time. What the model of the kernel adds is who waits, and for whom: a fault wakes when all of its',
    'unit has arrived, a request waits for what is on the link already, and for the requests of other vCPUs. Faults, messages,',
    `leaves and the guest's ${size(guestBytes)}, compared byte for byte at the end, are the kernel's: page tables, walks and locks are real ones.`,
  ].join('\n');
}
