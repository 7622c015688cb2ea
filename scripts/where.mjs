/*
 * Says which line of assembly/ a byte of a debug core was compiled from. A stack trace names the byte:
 *
 *   at assembly/walk/walk (wasm://wasm/1a2b3c4d:wasm-function[17]:0x4f2)
 *
 *   node scripts/where.mjs build/flat-debug.wasm 0x4f2
 */
import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';

const [core, offset] = process.argv.slice(2);
if (!core || !Number.isInteger(Number(offset))) {
  console.error('usage: node scripts/where.mjs CORE OFFSET, for instance build/flat-debug.wasm 0x4f2');
  process.exit(2);
}
// The map of a WebAssembly module has one line, whose columns are the module's bytes.
const map = new SourceMap(JSON.parse(readFileSync(`${core}.map`, 'utf8')));
const { originalSource, originalLine, originalColumn } = map.findEntry(0, Number(offset));
console.log(originalSource ? `${originalSource}:${originalLine + 1}:${originalColumn + 1}` : 'compiled from no source');
