/**
 * What is measured.
 *
 *   walk/SHAPE/TABLES/PATTERN      batches over flat memory, beside the native walker
 *   tlb/SHAPE/random               hits in a TLB, in batches, beside the native walker's walks; 32 KiB of tables
 *   call/SHAPE/TABLES/PATTERN      one address a call from JavaScript, each way there is
 *   marks/SHAPE/TABLES/PATTERN     writes that set A and D, which are set already, beside probes and the native walker
 *   marks/.../anew                 the same, but A and D have to be set
 *   sparse/SHAPE/TABLES/PATTERN    batches over sparse memory, beside flat memory
 *   workers/SHAPE/TABLES/PATTERN   batches over one shared memory by two workers at a time, beside one
 *   list/SHAPE/TABLES              every leaf: as blocks of records, as one object a leaf
 *   list/DUMP                      the same for the address space of a real Linux process
 *   v86/4k/random                  one address a call, beside the page walker of the emulator v86, where it is installed
 */
import type { Plan } from './benchmark.ts';
import { SHAPES } from './images.ts';
import { PATTERNS } from './patterns.ts';
import { callRow } from './rows/call.ts';
import { dumpRow, listRow } from './rows/list.ts';
import { marksRow } from './rows/marks.ts';
import { tlbRow } from './rows/tlb.ts';
import { v86Rows } from './rows/v86.ts';
import { sparseRow, walkRow } from './rows/walk.ts';
import { workersRow } from './rows/workers.ts';

/** 32 KiB, 512 KiB, 8 MiB, 128 MiB: about a first-level cache, a second-level one, a share of a third, none. */
const SIZES = [2 ** 15, 2 ** 19, 2 ** 23, 2 ** 27] as const;
const [SMALL, , LARGE, HUGE] = SIZES;
const DUMP = 'linux-6.1-4level';

/** The rows, in an order that builds each image once where it can. */
export function planRows(quick: boolean): Plan[] {
  const sizes = quick ? [SMALL, LARGE] : SIZES;
  return [
    ...walkRows(quick, sizes),
    ...SHAPES.map((shape) => tlbRow(shape, SMALL)),
    callRow('4k', SMALL, 'random'),
    ...(quick ? [] : [callRow('mixed', SMALL, 'random'), callRow('4k', LARGE, 'random')]),
    ...marksRows(quick, sizes),
    ...sizes.map((size) => sparseRow('4k', size, 'random')),
    ...(quick ? [SMALL] : sizes).map((size) => sparseRow('mixed', size, 'random')),
    ...(quick ? [] : [workersRow('4k', SMALL, 'random'), workersRow('mixed', LARGE, 'random')]),
    workersRow('4k', LARGE, 'random'),
    listRow('4k', LARGE),
    ...(quick ? [] : [listRow('2m', LARGE)]),
    listRow('mixed', LARGE),
    dumpRow(DUMP),
    ...(quick ? [] : v86Rows(SMALL)),
  ];
}

function walkRows(quick: boolean, sizes: readonly number[]): Plan[] {
  const plans: Plan[] = [];
  for (const shape of SHAPES) {
    for (const size of sizes) {
      for (const pattern of PATTERNS) {
        if (quick && (pattern === 'line' || (shape === '2m' && size === LARGE))) continue;
        plans.push(walkRow(shape, size, pattern));
      }
    }
  }
  return plans;
}

function marksRows(quick: boolean, sizes: readonly number[]): Plan[] {
  return [
    ...sizes.map((size) => marksRow('4k', size, 'random', false)),
    ...(quick ? [] : [marksRow('4k', HUGE, 'random', true), marksRow('4k', LARGE, 'page', true)]),
    marksRow('4k', LARGE, 'random', true),
  ];
}
