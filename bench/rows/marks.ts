/**
 * The same writes over one memory, beside the native walker: `probe` as a batch that changes nothing, `access` as one that
 * sets A and D. The image has them set already, as images in use have. With `anew` all are cleared before each pass of
 * either side, which is not measured.
 */
import { Access, type FlatMemory, Mmu } from '../../src/index.ts';
import { type Benchmark, type Effort, type Measured, type Plan, sizeName } from '../benchmark.ts';
import { flatMemoryOf, type Image, type Shape } from '../images.ts';
import { checksumOf, type Job } from '../job.ts';
import { addressCount, addressesOf, type Pattern } from '../patterns.ts';
import type { Side } from '../rounds.ts';
import { timed } from '../timed.ts';

/** The access that sets both A and D. */
export const MARKING_ACCESS: number = Access.user | Access.write;

export function marksRow(shape: Shape, tableBytes: number, pattern: Pattern, anew: boolean): Plan {
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const addresses = addressesOf(image, pattern, addressCount(image));
    const { sides, passes, checksum } = markSides(image, addresses, anew, bench.effort);
    const { registers, bytes: memory } = image;
    const marking = anew ? 'mark-anew' : 'mark';
    const job: Job = { registers, access: MARKING_ACCESS, marking, memory, addresses, passes };
    return { image, figures: await bench.compareWithNative(sides, job, checksum) };
  };
  return { name: `marks/${shape}/${sizeName(tableBytes)}/${pattern}${anew ? '/anew' : ''}`, measure };
}

/** What the sides have in common. */
interface MarkSides {
  readonly passes: number;
  /** Checksum of outcomes and memory. */
  readonly checksum: number;
  readonly sides: readonly Side[];
}

function markSides(image: Image, addresses: BigUint64Array, anew: boolean, { walks }: Effort): MarkSides {
  const memory = flatMemoryOf(image);
  const mmu = new Mmu(memory, image.registers);
  const { length } = addresses;
  const batch = mmu.batch(length);
  batch.addresses.set(addresses);
  const probe = (): void => batch.run(length, MARKING_ACCESS);
  const access = (): void => batch.access(length, MARKING_ACCESS);
  const prepare = anew ? () => clearMarks(memory) : undefined;

  prepare?.();
  probe();
  const probed = checksumOf(batch.outcomes);
  access();
  if (checksumOf(batch.outcomes) !== probed) throw new Error('expected the same outcomes of probes and of accesses');
  const passes = Math.ceil(walks / length);
  return {
    passes,
    checksum: checksumOf(batch.outcomes, memory.view()),
    sides: [
      { name: 'probe', repeat: timed(length, passes, probe, prepare) },
      { name: 'access', repeat: timed(length, passes, access, prepare) },
    ],
  };
}

const NEITHER_A_NOR_D = ~0x60;

/** Clears A and D wherever an entry may have them. */
function clearMarks(memory: FlatMemory): void {
  const { buffer, byteOffset, byteLength } = memory.view();
  const halves = new Uint32Array(buffer, byteOffset, byteLength / 4);
  for (let i = 0; i < halves.length; i += 2) halves[i]! &= NEITHER_A_NOR_D;
}
