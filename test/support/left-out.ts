/**
 * A reporter of Vitest: lists at the end of a run what the tag `thorough` (thorough.ts) left out of it, file by file, and what was skipped
 * for another reason. None of that is counted as passed.
 */
import type { Reporter, TestCase, TestModule, Vitest } from 'vitest/node';

/** The part of a run's configuration that decides what is left out. */
type Config = Pick<Vitest['config'], 'tagsFilter' | 'testNamePattern'>;

const BUT_THOROUGH = '!thorough';

export default class LeftOut implements Reporter {
  #filter: string | undefined;
  #isByName = false;

  onInit({ config }: { readonly config: Config }): void {
    this.#filter = config.tagsFilter?.join(' ');
    this.#isByName = config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const text = this.textOf(modules);
    if (text) console.log(text);
  }

  /** What there is to say of the tests of these files. */
  textOf(modules: readonly TestModule[]): string {
    /* Whoever asks for names knows that others are left out. */
    if (this.#isByName) return '';
    const left = new Map<string, number>();
    const skipped: string[] = [];
    for (const { project, relativeModuleId, children } of modules) {
      const file = `${project.name.padEnd(8)} ${relativeModuleId}`;
      for (const test of children.allTests('skipped')) {
        if (this.#isLeftOut(test)) left.set(file, (left.get(file) ?? 0) + 1);
        else skipped.push(`  ${file}  ${test.fullName}`);
      }
    }
    const all = [...left.values()].reduce((sum, count) => sum + count, 0);
    const lines: string[] = [];
    if (all > 0 && this.#filter === BUT_THOROUGH) {
      lines.push(`Left out, as they take long: ${all} tests`);
      for (const [file, count] of left) lines.push(`${String(count).padStart(6)}  ${file}`);
      lines.push('npm run test:rest runs them, npm run test:all everything.');
    } else if (all > 0) lines.push(`Left out: the ${all} tests that npm test runs.`);
    if (skipped.length > 0) lines.push('Skipped:', ...skipped);
    return lines.map((line) => `${line}\n`).join('');
  }

  /** Whether the filter keeps a test from running, which it does only with the whole of a tag. */
  #isLeftOut({ tags }: TestCase): boolean {
    return this.#filter !== undefined && tags.includes('thorough') === (this.#filter === BUT_THOROUGH);
  }
}
