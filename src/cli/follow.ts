/**
 * `hugewalk map --follow`: what changes in a machine that runs, from one look to the next.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { AddressSpace, LoadOptions } from '../dump/address-space.ts';
import { isLive } from '../dump/live/place.ts';
import { writeDifferences } from './diff.ts';
import { Failure } from './failure.ts';
import type { MapOptions, Surroundings } from './map.ts';
import { letGo, titleOf } from './open.ts';

/** @throws Failure where `--follow` has nothing to follow */
export function checkFollow(paths: readonly string[], { follow, leaves }: MapOptions): void {
  if (follow === undefined) return;
  if (!paths.some(isLive)) throw new Failure('--follow: expected a machine that runs, such as qemu:/tmp/gdb.sock');
  if (leaves) throw new Failure('--follow: expected no --leaves with it: what has changed is shown as ranges');
}

/** Looks until it is interrupted (Ctrl-C), or the machine is gone. */
export async function follow(
  space: AddressSpace,
  load: LoadOptions,
  options: MapOptions,
  surroundings: Surroundings,
): Promise<void> {
  const { output, progress } = surroundings;
  const { follow: seconds = 1, json = false } = options;
  await output.flush();
  for (;;) {
    await pause(seconds * 1000);
    const { mmu: before, memory } = space;
    await space.refresh();
    await space.load(load);
    await letGo(space.dump);
    progress.clear();
    const head = `\n${new Date().toISOString().slice(11, 23)} ${titleOf(space)}\n`;
    await writeDifferences(before, space.mmu, { json, marks: false, head }, surroundings);
    memory.release();
  }
}
