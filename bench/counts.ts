/**
 * Prints what does not depend on the machine: how many accesses to memory a walk makes, how many bytes the cores have.
 *
 *   npm run bench:counts
 */
import { COUNTED_WALKS, coreBytes, countAll, WAYS } from './counting.ts';
import { SHAPES } from './images.ts';

if (process.argv.length > 2) {
  console.error(`bench:counts: expected no arguments, got ${process.argv[2]}`);
  process.exit(2);
}
const counts = await countAll();
console.log(`Accesses to memory a walk, of ${COUNTED_WALKS} walks in random order: loads, stores. In a batch they include the
address and the outcome; a TLB's are hits.

way     ${SHAPES.map((shape) => shape.padStart(18)).join('')}`);
for (const way of WAYS) {
  const cells = SHAPES.map((shape) => {
    const [loads, stores] = ['loads', 'stores'].map((what) => counts[`${way}/${shape}/${what}`]! / COUNTED_WALKS);
    return `${loads!.toFixed(3)}, ${stores!.toFixed(3)}`.padStart(18);
  });
  console.log(`${way.padEnd(8)}${cells.join('')}`);
}
console.log();
for (const [core, bytes] of Object.entries(coreBytes()))
  console.log(`${core.padEnd(8)}${`${bytes}`.padStart(8)} bytes`);
