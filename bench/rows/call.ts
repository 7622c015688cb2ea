/**
 * One address a call from JavaScript, each way there is: `translate`, an object each; `word`, a bigint each; `number`, the
 * address in two halves and the physical one as a number. `many`, arrays that are copied, is what a loop of calls could be.
 *
 * The first three take a part of the addresses: they are that much slower.
 */
import { Mmu, type Outcome, physicalAddressOf } from '../../src/index.ts';
import { type Benchmark, type Effort, type Measured, type Plan, sizeName } from '../benchmark.ts';
import { BENCH_ACCESS, flatMemoryOf, type Shape } from '../images.ts';
import { addressCount, addressesOf, type Pattern } from '../patterns.ts';
import type { Side } from '../rounds.ts';
import { timed } from '../timed.ts';

export function callRow(shape: Shape, tableBytes: number, pattern: Pattern): Plan {
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const addresses = addressesOf(image, pattern, addressCount(image));
    const sides = callSides(new Mmu(flatMemoryOf(image), image.registers), addresses, bench.effort);
    return { image, figures: await bench.compare(sides) };
  };
  return { name: `call/${shape}/${sizeName(tableBytes)}/${pattern}`, measure };
}

function callSides(mmu: Mmu, addresses: BigUint64Array<ArrayBuffer>, { walks }: Effort): Side[] {
  const some = addresses.subarray(0, Math.ceil(walks / 8));
  const halves = new Uint32Array(some.buffer, some.byteOffset, some.length * 2);
  const passes = Math.ceil(walks / 8 / some.length);
  const outcomes = new BigUint64Array(addresses.length);
  checkAnswers(mmu, some, halves);
  /* Answers go somewhere: an object that nobody looks at need not be made. */
  const last: { outcome?: Outcome; word?: bigint; address?: number } = {};
  const translate = (): void => {
    for (const va of some) last.outcome = mmu.translate(va, BENCH_ACCESS);
  };
  const word = (): void => {
    for (const va of some) last.word = mmu.translateWord(va, BENCH_ACCESS);
  };
  const number = (): void => {
    for (let i = 0; i < halves.length; i += 2) {
      last.address = mmu.physicalAddress(halves[i + 1]!, halves[i]!, BENCH_ACCESS);
    }
  };
  const many = (): void => {
    mmu.translateMany(addresses, BENCH_ACCESS, outcomes);
  };
  return [
    { name: 'translate', repeat: timed(some.length, passes, translate) },
    { name: 'word', repeat: timed(some.length, passes, word) },
    { name: 'number', repeat: timed(some.length, passes, number) },
    { name: 'many', repeat: timed(addresses.length, Math.ceil(walks / addresses.length), many) },
  ];
}

/** @throws Error when the ways to ask do not agree */
function checkAnswers(mmu: Mmu, addresses: BigUint64Array, halves: Uint32Array): void {
  const words = mmu.translateMany(addresses, BENCH_ACCESS);
  for (const [i, va] of addresses.entries()) {
    const outcome = mmu.translate(va, BENCH_ACCESS);
    const wanted = outcome.kind === 'page' ? outcome.physicalAddress : -1n;
    const number = mmu.physicalAddress(halves[i * 2 + 1]!, halves[i * 2]!, BENCH_ACCESS);
    const word = mmu.translateWord(va, BENCH_ACCESS);
    if (word === words[i] && physicalAddressOf(word) === wanted && BigInt(number) === wanted) continue;
    throw new Error(`expected one physical address of 0x${va.toString(16)}: translate ${wanted}, number ${number}`);
  }
}
