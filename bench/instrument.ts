/**
 * Puts a counter before every access to linear memory in a source of the core:
 *
 *   load<u64>(slot, 8)   becomes   (countLoad(), load<u64>(slot, 8))
 *
 * What is counted is what the source says, so that no compiler's cleverness moves the numbers; one access of 16 bytes is
 * one, as is one of a single lane.
 */

/** The module that counts, next to those of the core. */
export const COUNTERS = `
export let memoryLoads: u64 = 0;
export let memoryStores: u64 = 0;
export function countLoad(): void { ++memoryLoads; }
export function countStore(): void { ++memoryStores; }
export function countBoth(): void { ++memoryLoads; ++memoryStores; }
`;

/** What index.ts of the core has to export besides. */
export const COUNTERS_EXPORT = 'export { memoryLoads, memoryStores } from "./counters";\n';

const IMPORT = 'import { countBoth, countLoad, countStore } from "./counters";\n';

/** A comment, in which nothing is a call; or a call that accesses memory, up to its parenthesis. */
const TOKEN =
  /\/\*[\s\S]*?\*\/|\/\/.*|(?<![\w.])(?<call>(?:v128\.|atomic\.)?(?:load|store)\w*|atomic\.(?:add|sub|and|or|xor|xchg|cmpxchg))(?:<\w+>)?\(/g;

/** The source with its counters; one without any access stays as it is. */
export function instrument(source: string): string {
  const counted = withCounters(source);
  return counted === source ? source : IMPORT + counted;
}

function withCounters(source: string): string {
  let counted = '';
  let done = 0;
  for (const { 0: token, index, groups } of source.matchAll(TOKEN)) {
    const call = groups?.call;
    /* What lies in the arguments of another access was done with it. */
    if (call === undefined || index < done) continue;
    const open = index + token.length;
    const end = closing(source, open);
    const access = `${token}${withCounters(source.slice(open, end))})`;
    counted += `${source.slice(done, index)}(${counterOf(call)}(), ${access})`;
    done = end + 1;
  }
  return counted + source.slice(done);
}

function counterOf(call: string): string {
  if (/^(v128\.|atomic\.)?load/.test(call)) return 'countLoad';
  return /^(v128\.|atomic\.)?store/.test(call) ? 'countStore' : 'countBoth';
}

/** Where the parenthesis is closed that was opened before `from`. */
function closing(source: string, from: number): number {
  let depth = 1;
  for (let at = from; at < source.length; at++) {
    if (source[at] === '(') depth++;
    else if (source[at] === ')' && --depth === 0) return at;
  }
  throw new Error(
    `expected the parenthesis closed that is open at: ${source.slice(Math.max(from - 20, 0), from + 20)}`,
  );
}
