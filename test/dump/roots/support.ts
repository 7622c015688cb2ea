/**
 * Dumps for the suites of the roots: real ones without what their files know of processors, and memory made by hand.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { bytesSource } from '../../../src/dump/byte-source.ts';
import type { Dump } from '../../../src/dump/dump.ts';
import { openDump } from '../../../src/dump/open-dump.ts';

const path = (name: string): URL => new URL(`../../fixtures/dumps/${name}`, import.meta.url);

/** A register as QEMU's monitor printed it. */
export function register(file: string, name: string): bigint {
  const printed = readFileSync(path(file), 'utf8');
  return BigInt(`0x${new RegExp(`\\b${name}=([0-9a-f]+)`).exec(printed)![1]!}`);
}

/** What a dump has beside its memory. */
export type Changes = Partial<Pick<Dump, 'cpus'>> & { readonly vmcoreinfo?: string };

/** Memory from physical address 0 on, of which nothing else is known. */
export function memoryDump(bytes: Uint8Array, changes: Changes = {}): Dump {
  const dump: object = {
    name: 'memory',
    format: 'raw',
    segments: [{ physical: 0n, bytes: BigInt(bytes.length), offset: 0 }],
    cpus: [],
    warnings: [],
    readFrames: async (physical: readonly bigint[]) =>
      physical.map((at) =>
        at + 4096n <= BigInt(bytes.length) ? bytes.subarray(Number(at), Number(at) + 4096) : undefined,
      ),
    close: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
    ...changes,
  };
  return dump as Dump;
}

const images = new Map<string, Uint8Array>();

/** The raw image of a boot: memory as QEMU's pmemsave wrote it. */
export function rawImage(boot: 'a' | 'e'): Uint8Array {
  let image = images.get(boot);
  if (!image) {
    image = new Uint8Array(gunzipSync(readFileSync(path(`${boot}.raw.gz`))));
    images.set(boot, image);
  }
  return image;
}

/** A real dump. */
export function realDump(name: string): Promise<Dump> {
  return openDump(bytesSource(new Uint8Array(readFileSync(path(name))), name));
}

/** A dump with something else in the place of what it knows, or of its frames. */
export function changed(
  dump: Dump,
  changes: Changes,
  frameAt: (physical: bigint, frame: Uint8Array) => Uint8Array = (_, frame) => frame,
): Dump {
  return {
    ...memoryDump(new Uint8Array(0), changes),
    segments: dump.segments,
    readFrames: async (physical) => {
      const frames = await dump.readFrames(physical);
      return frames.map((frame, i) => frame && frameAt(physical[i]!, frame));
    },
  };
}

/** The frames whose upper 256 entries are those of the frame at `root`, but for A and D: found without the search. */
export function framesWithUpperHalfOf(image: Uint8Array, root: number): number[] {
  const words = new BigUint64Array(image.buffer, image.byteOffset, image.length / 8);
  const bare = (frame: number, index: number): bigint => words[frame / 8 + index]! & ~0x60n;
  const found: number[] = [];
  for (let frame = 0; frame < image.length; frame += 4096) {
    let index = 511;
    while (index >= 256 && bare(frame, index) === bare(root, index)) index--;
    if (index < 256) found.push(frame);
  }
  return found;
}
