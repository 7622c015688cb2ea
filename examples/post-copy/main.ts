/**
 * Post-copy live migration of a guest on huge pages, with high-granularity mapping and without:
 *
 *   npm run example:post-copy
 *   npm run example:post-copy -- --help
 */
import { type NumberOptions, runProgram } from '../support/options.ts';
import { Random } from '../support/random.ts';
import { size } from '../support/text.ts';
import { migrate } from './migration.ts';
import type { Link } from './network.ts';
import { explanation, figures, histogram, PUBLISHED, type Trial } from './report.ts';
import { PIECE, Source } from './source.ts';

const [MIB2, GIB] = [2 ** 21, 2 ** 30];

/** Microseconds. */
const THINK_TIME = 250;

const OPTIONS: NumberOptions<'guest-size' | 'bandwidth' | 'latency' | 'vcpus' | 'seed'> = {
  'guest-size': {
    about: "the guest's memory; of a 1 GiB page that it has a part of, only that is sent",
    standard: '1GiB',
    kind: 'bytes',
    least: MIB2,
    most: 8 * GIB,
    unit: MIB2,
  },
  bandwidth: { about: 'of the link, Gbit/s', standard: '10', kind: 'number', least: 0.1, most: 1000 },
  latency: { about: 'of the link, one way, microseconds', standard: '25', kind: 'number', least: 0, most: 100_000 },
  vcpus: { about: 'threads of the guest', standard: '48', kind: 'whole number', least: 1, most: 256 },
  seed: { about: 'of everything that is random', standard: '1', kind: 'whole number', least: 0, most: 2 ** 32 - 1 },
};

/** How the destination can map its memory. */
const WAYS = [
  {
    name: '1 GiB pages, HGM',
    hugePageSize: GIB,
    hgm: true,
    unit: PIECE,
    published: '< 100 µs, 250 µs',
  },
  { name: '2 MiB pages', hugePageSize: MIB2, hgm: false, unit: MIB2, published: '> 10 ms' },
  { name: '1 GiB pages', hugePageSize: GIB, hgm: false, unit: GIB, published: '~ 1 s' },
];

runProgram(
  'post-copy',
  'post-copy live migration of a guest on huge pages, with HGM and without.',
  OPTIONS,
  ({ 'guest-size': bytes, bandwidth, latency, vcpus, seed }) => {
    const link: Link = { latency, bandwidth };
    console.log(introduction(bytes, link, vcpus));
    const source = new Source(bytes, new Random(seed));
    const trials: Trial[] = WAYS.map(({ name, unit, published, hugePageSize, hgm }) => ({
      name,
      unit: Math.min(unit, bytes),
      published,
      outcome: migrate(source, { hugePageSize, hgm, link, vcpus, thinkTime: THINK_TIME, seed }),
    }));
    console.log(`${figures(trials, link)}\n\n${histogram(trials)}\n\n${PUBLISHED}\n\n${explanation(link, bytes)}`);
    const wrong = trials.find(({ outcome }) => outcome.wrong > 0);
    if (wrong) throw new Error(`${wrong.name}: expected the guest's memory as it was at the source, found other bytes`);
  },
);

function introduction(bytes: number, { bandwidth, latency }: Link, vcpus: number): string {
  return [
    `A guest of ${size(bytes)} and ${vcpus} vCPUs moves over a link of ${bandwidth} Gbit/s and ${latency} µs one way. It runs on the destination`,
    `from the start; each vCPU touches a page anywhere every ${THINK_TIME} µs or so, and waits for what is not there yet.\n`,
  ].join('\n');
}
