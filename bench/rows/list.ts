/**
 * Every leaf of an address space: `blocks` of records in a buffer, `mappings`, one object each.
 */
import { join } from 'node:path';
import { AddressSpace } from '../../src/dump/address-space.ts';
import { openDumpFile } from '../../src/dump/open-dump-file.ts';
import { Mmu } from '../../src/index.ts';
import { type Benchmark, type Effort, type Measured, type Plan, sizeName } from '../benchmark.ts';
import { flatMemoryOf, type Shape } from '../images.ts';
import { projectRoot } from '../native.ts';
import type { Side } from '../rounds.ts';
import { timed } from '../timed.ts';

export function listRow(shape: Shape, tableBytes: number): Plan {
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const mmu = new Mmu(flatMemoryOf(image), image.registers);
    return { image, figures: await bench.compare(listSides(mmu, image.leaves.count, bench.effort)) };
  };
  return { name: `list/${shape}/${sizeName(tableBytes)}`, measure };
}

/** The same for the address space of a real process. */
export function dumpRow(dumpName: string): Plan {
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const dump = await openDumpFile(join(projectRoot(), `test/fixtures/${dumpName}.elf.gz`));
    try {
      const space = await AddressSpace.open(dump);
      await space.load();
      const leaves = [...space.mmu.mappings()].length;
      return { figures: await bench.compare(listSides(space.mmu, leaves, bench.effort)) };
    } finally {
      await dump.close();
    }
  };
  return { name: `list/${dumpName}`, measure };
}

/** @throws Error when a list has another length than `total` */
function listSides(mmu: Mmu, total: number, { walks }: Effort): Side[] {
  const check = (leaves: number): void => {
    if (leaves !== total) throw new Error(`expected a list of ${total} leaves, got ${leaves}`);
  };
  const blocks = (): void => {
    let leaves = 0;
    for (const { count } of mmu.scanBlocks()) leaves += count;
    check(leaves);
  };
  const mappings = (): void => {
    let leaves = 0;
    for (const { kind } of mmu.mappings()) if (kind === 'leaf') leaves++;
    check(leaves);
  };
  const passes = Math.ceil(walks / 8 / total);
  return [
    { name: 'blocks', repeat: timed(total, passes, blocks) },
    { name: 'mappings', repeat: timed(total, passes, mappings) },
  ];
}
