/**
 * What huge pages are called: by their place in a file of the scenario, also when they have left it; others by a number.
 */
import type { Folio } from '../../linux/pool/folio.ts';
import type { PageCache } from '../../linux/pool/page-cache.ts';
import { ONCE, type Place } from './place.ts';

/** Names of the huge pages of a stage, from one moment to the next. */
export class PageNames {
  readonly #files: ReadonlyMap<PageCache | undefined, number>;
  /** How many of `page` a huge page has. */
  readonly #unit: number;
  readonly #numbers = new Map<Folio, number>();
  /** The pages in use that are, or were, a file's. */
  #named = new Map<Folio, Place>();

  /** @param files the page caches of the scenario's files, by number */
  constructor(files: readonly PageCache[], unit: number) {
    this.#files = new Map(files.map((cache, number) => [cache, number]));
    this.#unit = unit;
  }

  /** Goes on to another moment. @param folios the huge pages that are in use then */
  renew(folios: readonly Folio[]): void {
    const before = this.#named;
    this.#named = new Map();
    for (const folio of folios) {
      const number = this.#files.get(folio.pageCache);
      if (number !== undefined) this.#named.set(folio, { owner: `file ${number}`, at: folio.index * this.#unit });
    }
    /* Whoever holds it, GUP or bad memory, holds what was the file's; unless it was free meanwhile, and is somebody's now. */
    const out = folios.filter((folio) => before.has(folio) && !folio.pageCache && !folio.anon);
    const isOnce = (folio: Folio): boolean => before.get(folio)!.owner.startsWith(ONCE);
    for (const folio of out) if (isOnce(folio)) this.#named.set(folio, before.get(folio)!);
    for (const folio of out) if (!isOnce(folio)) this.#named.set(folio, this.#onceThere(before.get(folio)!));
  }

  /** The place where a huge page begins. */
  placeOf(folio: Folio): Place {
    const named = this.#named.get(folio);
    if (named) return named;
    const number = this.#numbers.get(folio) ?? this.#numbers.size + 1;
    this.#numbers.set(folio, number);
    return { owner: folio.anon ? 'private' : 'shared', at: number * this.#unit };
  }

  /** A name for what was in a file, that no other page has: `once file 0`, `once file 0 (2)`. */
  #onceThere({ owner, at }: Place): Place {
    const taken = new Set([...this.#named.values()].filter((place) => place.at === at).map((place) => place.owner));
    let once = `${ONCE}${owner}`;
    for (let count = 2; taken.has(once); count++) once = `${ONCE}${owner} (${count})`;
    return { owner: once, at };
  }
}
