/**
 * Recovery from memory errors of 4 KiB in a guest on 1 GiB pages, with high-granularity mapping and without:
 *
 *   npm run example:memory-errors
 *   npm run example:memory-errors -- --help
 */
import { type NumberOptions, runProgram } from '../support/options.ts';
import { count, size } from '../support/text.ts';
import { GIB, PIECE } from './guest.ts';
import { losses } from './report.ts';
import { type Side, tryErrors } from './trial.ts';

const OPTIONS: NumberOptions<'guest-size' | 'errors' | 'seed'> = {
  'guest-size': {
    about: "the guest's memory",
    standard: '4GiB',
    kind: 'bytes',
    least: GIB,
    most: 16 * GIB,
    unit: GIB,
  },
  errors: { about: 'pieces of 4 KiB that turn bad', standard: '8', kind: 'whole number', least: 1, most: 1000 },
  seed: { about: 'of the places', standard: '1', kind: 'whole number', least: 0, most: 2 ** 32 - 1 },
};

runProgram(
  'memory-errors',
  'recovery from memory errors of 4 KiB in a guest on 1 GiB pages, with HGM and without.',
  OPTIONS,
  ({ 'guest-size': bytes, errors, seed }) => {
    console.log(
      `A guest of ${size(bytes)} on pages of 1 GiB; pieces of 4 KiB turn bad, one after the other, and the guest touches each.\n`,
    );
    const { steps, hgm, whole } = tryErrors(bytes, errors, seed);
    console.log(losses(steps, bytes));
    console.log('\n█ 1 GiB leaf  ▒ 2 MiB  ░ 4 KiB  × lost: all or something of it, a row a page, a cell 16 MiB');
    console.log(`\nwith HGM: ${wordsFor(hgm)}\n\n${hgm.picture}`);
    console.log(`\nwithout: ${wordsFor(whole)}\n\n${whole.picture}`);
    for (const { wrong } of [hgm, whole]) {
      if (wrong > 0) throw new Error(`expected what the guest has written, found ${wrong} pieces with other bytes`);
    }
  },
);

function wordsFor({ failures, loss, unreadable }: Side): string {
  const told = failures.map((failure) => failure.told);
  const known = failures.filter(({ result }) => result === 'EHWPOISON').length;
  const already = known > 0 ? `; ${known} of the errors hit what was lost already` : '';
  const rest = loss.leaves > 0 ? `the rest is as it was, in ${count(loss.leaves)} leaves` : 'nothing is left';
  return [
    `SIGBUS, ${size(Math.max(...told))} lost, at each touch${already}.`,
    `All read: ${count(unreadable)} pieces, ${size(unreadable * PIECE)}, are gone; ${rest}.`,
  ].join('\n');
}
