import { describe, expect, test } from 'vitest';
import type { TestModule } from 'vitest/node';
import LeftOut from './left-out.ts';

interface FakeTest {
  readonly fullName: string;
  readonly tags: readonly string[];
}

/** A file of tests that were all skipped. */
function fileOf(relativeModuleId: string, skipped: readonly FakeTest[]): TestModule {
  const children = { allTests: (state: string) => (state === 'skipped' ? skipped : []) };
  return { project: { name: 'node' }, relativeModuleId, children } as unknown as TestModule;
}

const sweep = { fullName: 'each of the states', tags: ['thorough'] };
const quick = { fullName: 'one in 61 of the states', tags: [] };
const broken = { fullName: 'what nobody ran', tags: [] };

/** The lines of what a run with these options says. */
function linesOf(modules: TestModule[], config: { tagsFilter?: string[]; testNamePattern?: RegExp }): string[] {
  const reporter = new LeftOut();
  reporter.onInit({ config: config as Parameters<LeftOut['onInit']>[0]['config'] });
  return reporter.textOf(modules).split('\n').slice(0, -1);
}

describe('at its end', () => {
  const files = [
    fileOf('test/a.test.ts', [sweep, sweep]),
    fileOf('test/b.test.ts', []),
    fileOf('test/c.test.ts', [sweep]),
  ];

  test('npm test lists what it left out, file by file', () => {
    expect(linesOf(files, { tagsFilter: ['!thorough'] })).toEqual([
      'Left out, as they take long: 3 tests',
      '     2  node     test/a.test.ts',
      '     1  node     test/c.test.ts',
      'npm run test:rest runs them, npm run test:all everything.',
    ]);
  });

  test('the rest says how many tests npm test runs', () => {
    expect(linesOf([fileOf('test/a.test.ts', [quick, quick])], { tagsFilter: ['thorough'] })).toEqual([
      'Left out: the 2 tests that npm test runs.',
    ]);
  });

  test.each([
    { config: { tagsFilter: ['!thorough'] }, tags: [] },
    { config: { tagsFilter: ['thorough'] }, tags: ['thorough'] },
    { config: {}, tags: [] },
  ])('a test that was skipped for another reason is named ($config)', ({ config, tags }) => {
    expect(linesOf([fileOf('test/a.test.ts', [{ ...broken, tags }])], config)).toEqual([
      'Skipped:',
      '  node     test/a.test.ts  what nobody ran',
    ]);
  });

  test('a run that left nothing out says nothing, nor one of tests with a certain name', () => {
    expect(linesOf([fileOf('test/b.test.ts', [])], { tagsFilter: ['!thorough'] })).toEqual([]);
    expect(linesOf(files, { testNamePattern: /sweep/ })).toEqual([]);
  });
});
