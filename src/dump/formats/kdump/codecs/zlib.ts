/**
 * Pages compressed by zlib (RFC 1950): with Node's own zlib where there is one, else with fflate, which does not check the
 * check sum.
 */
import { unzlibSync } from 'fflate/browser';
import { PAGE } from './page.ts';

type Inflate = (compressed: Uint8Array) => Uint8Array;
/** Node's way to a module of its own that no bundler for browsers follows. */
interface NodeProcess {
  getBuiltinModule?(name: 'node:zlib'): {
    inflateSync(compressed: Uint8Array, options: { chunkSize: number; maxOutputLength: number }): Uint8Array;
  };
}

/** A chunk of a page, as each result keeps its whole chunk in memory. */
const OPTIONS = { chunkSize: PAGE, maxOutputLength: PAGE };

/** The quickest that the platform has. */
export function loadZlib(): Inflate {
  const node = (globalThis as { process?: NodeProcess }).process?.getBuiltinModule?.('node:zlib');
  return node ? (compressed) => withoutBuffer(node.inflateSync(compressed, OPTIONS)) : inflateAnywhere;
}

/** A Buffer's `slice` copies nothing, which whoever has a Uint8Array does not expect. */
function withoutBuffer({ buffer, byteOffset, length }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}

/** What browsers get. */
export function inflateAnywhere(compressed: Uint8Array): Uint8Array {
  /* fflate leaves out what does not fit: a byte more than a page tells that there was more. */
  const page = unzlibSync(compressed, { out: new Uint8Array(PAGE + 1) });
  const { length } = compressed;
  const view = new DataView(compressed.buffer, compressed.byteOffset, length);
  if (length < 6 || view.getUint32(length - 4) !== adler32(page)) throw new RangeError('wrong check sum');
  return page;
}

/** RFC 1950, 2.2. A page is short enough for the sums to be exact without a division a byte. */
function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (const byte of bytes) {
    a += byte;
    b += a;
  }
  return (b % 65521) * 65536 + (a % 65521);
}
