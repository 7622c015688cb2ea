/**
 * Pages compressed by Zstandard (RFC 8878).
 */
import { ZSTDDecoder } from 'zstddec';
import { PAGE } from './page.ts';

/** The decoder is WebAssembly, which is compiled first. */
export async function loadZstd(): Promise<(compressed: Uint8Array) => Uint8Array> {
  const decoder = new ZSTDDecoder();
  await decoder.init();
  /* It makes room for so many bytes whatever the frame says, and gives none of a frame that is damaged or longer. */
  return (compressed) => decoder.decode(compressed, PAGE);
}
