/**
 * A piece on its way to another thread or machine. Objects have other numbers there, but the same names.
 */
import { type Accesses, kindOf, objectOf, packed } from './access.ts';
import type { Piece } from './piece.ts';
import type { Sleep } from './sleep.ts';
import type { WakeupNode } from './wakeup-tree.ts';

/** Numbers for names. */
export interface Names {
  nameOf(object: number): string;
  objectNamed(name: string): number;
}

/** A piece whose objects are numbered by their place in a list of names. */
export interface NamedPiece {
  readonly names: readonly string[];
  readonly piece: Piece;
}

export function named(piece: Piece, names: Names): NamedPiece {
  const list: string[] = [];
  const numbers = new Map<number, number>();
  const numbered = renumbered(piece, (object) => {
    let number = numbers.get(object);
    if (number === undefined) {
      number = list.push(names.nameOf(object)) - 1;
      numbers.set(object, number);
    }
    return number;
  });
  return { names: list, piece: numbered };
}

export function unnamed({ names: list, piece }: NamedPiece, names: Names): Piece {
  const objects = list.map((name) => names.objectNamed(name));
  return renumbered(piece, (number) => objects[number]!);
}

/** Accesses by the names of one, as accesses by those of another. */
export function translated(accesses: Accesses, from: Names, to: Names): Accesses {
  return accesses.map((access) => packed(to.objectNamed(from.nameOf(objectOf(access))), kindOf(access)));
}

/** For somebody who runs nothing, and compares only. */
export class NameTable implements Names {
  readonly #names: string[] = [];
  readonly #objects = new Map<string, number>();

  nameOf(object: number): string {
    return this.#names[object]!;
  }

  objectNamed(name: string): number {
    let object = this.#objects.get(name);
    if (object === undefined) {
      object = this.#names.push(name) - 1;
      this.#objects.set(name, object);
    }
    return object;
  }
}

function renumbered(piece: Piece, numberOf: (object: number) => number): Piece {
  if (!('states' in piece)) return piece;
  const accessesOf = (accesses: Accesses): Accesses =>
    accesses.map((access) => packed(numberOf(objectOf(access)), kindOf(access)));
  const sleepOf = (sleep: Sleep): Sleep => sleep.map((accesses) => accesses && accessesOf(accesses));
  const treeOf = (tree: readonly WakeupNode[]): WakeupNode[] =>
    tree.map(({ task, accesses, children }) => ({ task, accesses: accessesOf(accesses), children: treeOf(children) }));
  const states = piece.states.map((state) => ({
    ...state,
    accesses: accessesOf(state.accesses),
    sleep: sleepOf(state.sleep),
    pending: treeOf(state.pending),
  }));
  return { states, above: piece.above, ...(piece.follows && { follows: treeOf(piece.follows) }) };
}
