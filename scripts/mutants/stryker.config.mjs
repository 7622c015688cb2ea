/*
 * Mutants of the host's part, src/mmu/ and src/reference/, against the conformance suites (see CONTRIBUTING.md).
 * Those of the core are made by run.mjs; the suites are configured as there, over sound cores.
 */
process.env.MUTANT_KINDS = 'flat';
process.env.MUTANT_PROPERTY_MS = '1000';
/* They count what they met in a given time, and would fail where instrumented code runs slowly. */
process.env.MUTANT_LEAVE_OUT = 'threads,tlb-model';

export default {
  mutate: ['src/mmu/**/*.ts', 'src/reference/**/*.ts'],
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'scripts/mutants/vitest.config.mjs', related: false },
  coverageAnalysis: 'perTest',
  incremental: true,
  incrementalFile: 'build/mutants/stryker-incremental.json',
  concurrency: 1,
  timeoutMS: 10_000,
  tempDirName: 'build/mutants/stryker',
  reporters: ['clear-text', 'json'],
  jsonReporter: { fileName: 'build/mutants/stryker.json' },
  thresholds: { high: 95, low: 90, break: 90 },
  /* Copied into the sandbox: what the suites read, and no more. */
  ignorePatterns: [
    '/*',
    '!/src',
    '!/test',
    '!/build',
    '/build/mutants',
    '!/scripts',
    '!/package.json',
    '!/tsconfig.json',
  ],
};
