/**
 * Where a machine has memory: what QEMU's monitor answers to `info mtree -f`, the flat view of the address space "memory".
 *
 *   FlatView #1
 *    AS "memory", root: system
 *    Root memory region: system
 *     0000000000000000-00000000000bffff (prio 0, ram): pc.ram
 *     00000000000c0000-00000000000dffff (prio 1, rom): pc.rom
 *     00000000fee00000-00000000feefffff (prio 4096, i/o): apic-msi     no memory: reading a device may change it
 */
import type { PhysicalRange } from '../dump.ts';

const HIGHEST = (1n << 52n) - 1n;
const MEMORY = /^\s+([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, (?:ram|rom|romd|ramd|nv-ram)\)/;

/** Its memory, sorted, without overlap; undefined where the text does not tell. */
export function memoryMap(text: string): PhysicalRange[] | undefined {
  const views = text.split(/^FlatView #\d+\r?$/m);
  const view = views.find((one) => /^ AS "memory", /m.test(one));
  if (view === undefined) return undefined;
  const ranges: { physical: bigint; bytes: bigint }[] = [];
  for (const line of view.split('\n')) {
    const [, from, to] = MEMORY.exec(line) ?? [];
    if (from === undefined || to === undefined) continue;
    const [first, last] = [BigInt(`0x${from}`), BigInt(`0x${to}`)];
    if (last > HIGHEST || last < first) continue;
    const before = ranges.at(-1);
    const end = before ? before.physical + before.bytes : 0n;
    if (before && first < end) return undefined;
    if (before && first === end) before.bytes += last - first + 1n;
    else ranges.push({ physical: first, bytes: last - first + 1n });
  }
  return ranges.length > 0 ? ranges : undefined;
}
