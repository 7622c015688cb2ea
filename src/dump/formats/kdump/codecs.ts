/**
 * How pages are compressed, each by itself: the flags of its descriptor say so. makedumpfile, diskdump_mod.h.
 * The code of each is loaded when a page needs it.
 */

/** Makes a page of 4096 bytes of what it was compressed to; undefined or an exception where that is damaged. */
export type Decompress = (compressed: Uint8Array) => Uint8Array | undefined;

/** What a page is compressed with. */
export interface Codec {
  readonly name: string;
  load(): Promise<Decompress>;
}

/** Of a descriptor's flags, those that say how the page is compressed; none is set where it is stored as it is. */
export const CODEC_FLAGS = 0x27;

/** By those flags. */
export const CODECS: ReadonlyMap<number, Codec> = new Map([
  [0x1, { name: 'zlib', load: async () => (await import('./codecs/zlib.ts')).loadZlib() }],
  [0x2, { name: 'lzo', load: async () => (await import('./codecs/lzo.ts')).decompressLzo }],
  [0x4, { name: 'snappy', load: async () => (await import('./codecs/snappy.ts')).decompressSnappy }],
  [0x20, { name: 'zstd', load: async () => (await import('./codecs/zstd.ts')).loadZstd() }],
]);
