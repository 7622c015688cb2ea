/*
 * Loops over addresses in linear memory, for bench/embed.ts: what a call costs that does not go through JavaScript.
 */
import { reach } from "../../../examples/wasm/assembly/emulator";

export { changed, inlinedHits, place } from "../../../examples/wasm/assembly/emulator";

@external("core", "translate")
declare function translate(va: u64, access: u32): u64;
@external("core", "tlbTranslate")
declare function tlbTranslate(va: u64, access: u32): u64;

export function walks(addresses: usize, count: u32): u64 {
  let sum: u64 = 0;
  for (let i: u32 = 0; i < count; ++i) sum += translate(load<u64>(addresses + ((<usize>i) << 3)), 0);
  return sum;
}

export function lookups(addresses: usize, count: u32): u64 {
  let sum: u64 = 0;
  for (let i: u32 = 0; i < count; ++i) sum += tlbTranslate(load<u64>(addresses + ((<usize>i) << 3)), 0);
  return sum;
}

export function inlined(addresses: usize, count: u32): u64 {
  let sum: u64 = 0;
  for (let i: u32 = 0; i < count; ++i) sum += reach(load<u64>(addresses + ((<usize>i) << 3)), false);
  return sum;
}
