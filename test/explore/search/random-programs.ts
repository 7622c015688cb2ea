/**
 * Random small programs over cells and locks.
 */
import type { Cells, Task } from './cells.ts';

type Operation =
  | {
      readonly kind: 'read' | 'write' | 'add' | 'copy' | 'await' | 'branch';
      readonly cell: string;
      readonly other: string;
    }
  | {
      readonly kind: 'section' | 'try';
      readonly lock: string;
      readonly write: boolean;
      readonly inner: readonly Operation[];
    };

/** @param random a number below `n` */
export type Random = (n: number) => number;

export interface Mix {
  readonly tasks: number;
  readonly operations: number;
  /** Whether tasks may wait for cells, and try locks. */
  readonly waits: boolean;
}

const CELLS = ['x', 'y', 'z'];
const LOCKS = ['L', 'M'];

function operation(random: Random, { waits }: Mix, depth: number): Operation {
  const cell = CELLS[random(CELLS.length)]!;
  const other = CELLS[random(CELLS.length)]!;
  const roll = random(10);
  if (roll < 4 && depth < 2) {
    const inner = Array.from({ length: 1 + random(2) }, () =>
      operation(random, { tasks: 0, operations: 0, waits }, depth + 1),
    );
    const kind = waits && random(4) === 0 ? 'try' : 'section';
    return { kind, lock: LOCKS[random(LOCKS.length)]!, write: random(3) > 0, inner };
  }
  const kinds = ['read', 'write', 'add', 'copy', 'branch', 'read', 'write'] as const;
  if (waits && roll === 9) return { kind: 'await', cell, other };
  return { kind: kinds[random(kinds.length)]!, cell, other };
}

function* perform(
  cells: Cells,
  task: number,
  held: readonly string[],
  operations: readonly Operation[],
): ReturnType<Task> {
  for (const one of operations) {
    switch (one.kind) {
      case 'read':
        yield* cells.read(one.cell);
        break;
      case 'write':
        yield* cells.write(one.cell, task + 1);
        break;
      case 'add':
        yield* cells.add(one.cell, 1);
        break;
      case 'copy':
        yield* cells.write(one.other, (yield* cells.read(one.cell)) + 10);
        break;
      case 'branch':
        if ((yield* cells.read(one.cell)) > 0) yield* cells.write(one.other, 5);
        else yield* cells.read(one.other);
        break;
      case 'await':
        yield* cells.await(one.cell);
        break;
      default: {
        const { lock, write, inner } = one;
        if (held.includes(lock)) {
          yield* perform(cells, task, held, inner);
          break;
        }
        const alone = one.kind === 'try' || write;
        if (one.kind === 'try') {
          if (!(yield* cells.tryLock(lock))) break;
        } else yield* cells.lock(lock, write);
        cells.touch(`guarded by ${lock}`, alone ? task + 1 : 0);
        yield* perform(cells, task, [...held, lock], inner);
        cells.unlock(lock, alone);
      }
    }
  }
}

/** A program; `text` tells it in words. */
export function randomProgram(random: Random, mix: Mix): { readonly bodies: Task[]; readonly text: string } {
  const tasks = Array.from({ length: mix.tasks }, () =>
    Array.from({ length: 1 + random(mix.operations) }, () => operation(random, mix, 0)),
  );
  return {
    bodies: tasks.map((operations) => (cells, task) => perform(cells, task, [], operations)),
    text: JSON.stringify(tasks),
  };
}
