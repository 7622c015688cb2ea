/**
 * Makes random calls. What it does next depends on its random numbers and on what there is, and on nothing else: two drivers that are equal,
 * over machines that are equal, do the same.
 */
import type { Process } from '../../../src/linux/index.ts';
import { type Call, callsOf } from './calls.ts';
import { Dice, World } from './world.ts';

export class Driver extends World {
  /** What every call came to. */
  results: string[] = [];

  /** Makes `count` calls, with other dice. */
  play(seed: number, count: number): void {
    this.dice = new Dice(seed);
    for (let call = 0; call < count; call++) this.call();
  }

  /** Paths that are begun, and not gone on with: whatever they hold, they hold. */
  abandon(): void {
    for (const { path, task } of [this.work(), this.work()]) {
      task.preemptible = true;
      for (let turn = this.dice.below(30); turn > 0; turn--) {
        const step = this.#told('abandoned', () => path.next());
        if (step === undefined || step.done || !step.value.on.isFreeFor(task, step.value.mode)) break;
      }
    }
  }

  call(): void {
    const [weight, name, work] = this.#choose();
    if (weight > 0) this.#told(name, work);
  }

  #told<T>(name: string, work: () => T): T | undefined {
    try {
      const value = work();
      this.results.push(`${name} ${shown(value)}`);
      return value;
    } catch (error) {
      this.results.push(`${name} ${error}`);
      return undefined;
    }
  }

  #choose(): Call {
    const calls = callsOf(this);
    let left = this.dice.below(calls.reduce((sum, [weight]) => sum + weight, 0));
    for (const call of calls) {
      left -= call[0];
      if (left < 0) return call;
    }
    return calls[0]!;
  }
}

/** A value in words: what it is, and not which object. */
function shown(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (ArrayBuffer.isView(value) && 'length' in value) return [...(value as Uint8Array)].join();
  if ('mm' in value) return (value as Process).name;
  if ('context' in value) return 'a userfaultfd';
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  return `{ ${Object.entries(value)
    .map(([name, of]) => `${name}: ${shown(of)}`)
    .join(', ')} }`;
}
