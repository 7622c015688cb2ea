/**
 * Whether the tables below a table are tables of their levels, down to pages. Of a table's pointers only some are followed
 * below the root, so that a root costs a few dozen tables whatever it maps.
 *
 * What tells the levels apart is what stands below: seen one level too high, a table of 2 MiB pages has reserved bits, and a
 * table of 4 KiB pages points to tables that are data. Seen one level too low everything fits, so five levels are tried before four;
 * but pages of 2 MiB that all begin at multiples of 1 GiB fit both.
 */
import { type AddressRule, ENTRIES, USER } from './entry-halves.ts';
import { isLeaf, lookAt, type Pointer, pointersOf } from './table-check.ts';
import type { TableReader } from './table-reader.ts';

/** What was found in a table and in those that were looked at below it. */
export interface Subtree {
  /** Tables that look like tables of their level. */
  readonly tables: number;
  /** Frames that do not. */
  readonly others: number;
  /** Whether a way leads down to a page. */
  readonly leaf: boolean;
  /** Whether a way leads down to a page on which every entry lets user mode pass. */
  readonly userLeaf: boolean;
  /** Whether a way leads down to a page of less than 1 GiB. */
  readonly smallLeaf: boolean;
}

export const NOTHING: Subtree = { tables: 0, others: 0, leaf: false, userLeaf: false, smallLeaf: false };
const OTHER: Subtree = { ...NOTHING, others: 1 };
/** Pointers that are followed in a table below the root. */
const FOLLOWED = 3;
/** Frames read at a time, and subtrees remembered. */
const BATCH = 2048;
const MOST_KNOWN = 2 ** 18;

/** Looks at subtrees, and remembers those that it has seen: the tables of a kernel are below every root. */
export class TreeChecker {
  readonly #tables: TableReader;
  readonly #rule: AddressRule;
  readonly #known = new Map<number, Subtree>();

  constructor(tables: TableReader, rule: AddressRule) {
    this.#tables = tables;
    this.#rule = rule;
  }

  /** The subtrees of tables of a level, in the order asked. */
  async check(frames: readonly number[], level: number): Promise<Subtree[]> {
    const results: Subtree[] = [];
    for (let at = 0; at < frames.length; at += BATCH) {
      results.push(...(await this.#checkBatch(frames.slice(at, at + BATCH), level)));
    }
    return results;
  }

  async #checkBatch(frames: readonly number[], level: number): Promise<Subtree[]> {
    const key = (frame: number): number => frame + level;
    const found = new Map<number, Subtree>();
    for (const frame of frames) {
      const known = this.#known.get(key(frame));
      if (known) found.set(frame, known);
    }
    const unknown = [...new Set(frames)].filter((frame) => !found.has(frame));
    const contents = await this.#tables.read(unknown);
    const followed = contents.map((words) => (words ? this.#pointersToFollow(words, level) : []));
    const below =
      level > 1
        ? await this.check(
            followed.flat().map(({ frame }) => frame),
            level - 1,
          )
        : [];
    if (this.#known.size > MOST_KNOWN) this.#known.clear();
    let next = 0;
    for (const [i, frame] of unknown.entries()) {
      const pointers = followed[i]!;
      const children = below.slice(next, next + pointers.length);
      next += pointers.length;
      const subtree = this.#subtreeOf(contents[i], level, pointers, children);
      this.#known.set(key(frame), subtree);
      found.set(frame, subtree);
    }
    return frames.map((frame) => found.get(frame)!);
  }

  /** Some pointers of a table, from its first to its last; none of what is no table. */
  #pointersToFollow(words: Int32Array, level: number): Pointer[] {
    if (level === 1 || lookAt(words, level, this.#rule) !== 'table') return [];
    const pointers = pointersOf(words, level, this.#rule);
    if (pointers.length <= FOLLOWED) return pointers;
    return [pointers[0]!, pointers[pointers.length >> 1]!, pointers.at(-1)!];
  }

  #subtreeOf(
    words: Int32Array | undefined,
    level: number,
    pointers: readonly Pointer[],
    children: readonly Subtree[],
  ): Subtree {
    const look = words && lookAt(words, level, this.#rule);
    if (!words || look === 'empty') return NOTHING;
    if (look === 'other') return OTHER;
    const own = leavesIn(words, level);
    return children.reduce((sum, child, i) => joined(sum, child, pointers[i]!.user), { tables: 1, others: 0, ...own });
  }
}

/** Two subtrees, the second below an entry, together. */
export function joined(sum: Subtree, child: Subtree, user: boolean): Subtree {
  return {
    tables: sum.tables + child.tables,
    others: sum.others + child.others,
    leaf: sum.leaf || child.leaf,
    userLeaf: sum.userLeaf || (user && child.userLeaf),
    smallLeaf: sum.smallLeaf || child.smallLeaf,
  };
}

function leavesIn(words: Int32Array, level: number): Pick<Subtree, 'leaf' | 'userLeaf' | 'smallLeaf'> {
  let leaf = false;
  let userLeaf = false;
  for (let index = 0; index < ENTRIES && !userLeaf; index++) {
    if (!isLeaf(words, index, level)) continue;
    leaf = true;
    userLeaf = (words[2 * index]! & USER) !== 0;
  }
  return { leaf, userLeaf, smallLeaf: leaf && level < 3 };
}
