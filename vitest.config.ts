import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { CHROMIUM_ARGUMENTS, findChromium, NO_CHROMIUM } from './test/support/browser.ts';

/*
 * Four projects:
 *
 *   node      everything in this process's Node
 *   node-long what runs for seconds, each file in a process of its own
 *   browser   the conformance suites again, in Chromium
 *   package   the package as its users get it: packed, installed, bundled, and its documentation run
 *
 * Without a Chromium the browser's part is left out, which is said, and under CI fails.
 */
const browserSuites = 'test/support/browser/*.test.ts';
const noBrowser = 'test/support/browser-missing.test.ts';
const packageSuites = 'test/package/**/*.test.ts';
const packageBrowserSuites = 'test/package/chromium.test.ts';

/* What runs for seconds runs in a process of its own: in one that has run everything before, the engine's guesses no longer fit, and it takes
   two to four times as long. What is short is not worth the second that loading takes. */
const longSuites = [
  'test/replay/{replay,hgm-recordings,hgm-alterations}.test.ts',
  'test/linux/interleavings.test.ts',
  'test/linux/gup/properties.test.ts',
  'test/linux/migration/races.test.ts',
  'test/linux/userfaultfd/{unit-tests,blocking}.test.ts',
  'test/conformance/{properties,leaf}.test.ts',
  'test/explore/bugs.test.ts',
  /* It loads modules anew. */
  'test/explore/search/mutants.test.ts',
];

const executablePath = findChromium();
if (!executablePath) console.error(NO_CHROMIUM);

const shared = {
  testTimeout: 120_000,
  hookTimeout: 120_000,
  /* test/support/thorough.ts */
  tags: [{ name: 'thorough', description: 'takes long: npm test leaves it out, npm run test:rest runs it' }],
};

export default defineConfig({
  test: {
    /* One less is the default, which on two processors is half of them. */
    maxWorkers: availableParallelism(),
    projects: [
      {
        test: { ...shared, name: 'node-long', include: longSuites },
      },
      {
        // The examples import the package by its name.
        resolve: { alias: { 'hugewalk/linux': fileURLToPath(new URL('src/linux/index.ts', import.meta.url)) } },
        test: {
          ...shared,
          name: 'node',
          /* No file leaves anything behind for the next: spies are restored. */
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: [browserSuites, noBrowser, packageSuites, ...longSuites],
        },
      },
      {
        // SharedArrayBuffer needs a page that is isolated from other origins.
        server: {
          headers: { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
        },
        optimizeDeps: { include: ['@assemblyscript/loader', 'fast-check', 'fflate/browser', 'hysnappy', 'zstddec'] },
        test: executablePath
          ? {
              ...shared,
              name: 'browser',
              isolate: false,
              include: [
                'test/conformance/**/*.test.ts',
                'test/oracle/*.test.ts',
                'test/matrix/*.test.ts',
                'test/linux/{rules,gup}/{copy-on-write,no-page,reservations,fork,pmd-sharing,steps,scan,fast}.test.ts',
                'test/dump/kdump/{real,codecs,page-bitmap}.test.ts',
                'test/explore/{bugs,search/optimal,search/random}.test.ts',
                'test/support/files.test.ts',
                browserSuites,
              ],
              browser: {
                enabled: true,
                headless: true,
                screenshotFailures: false,
                instances: [{ browser: 'chromium' }],
                provider: playwright({ launchOptions: { executablePath, args: CHROMIUM_ARGUMENTS } }),
              },
            }
          : { ...shared, name: 'browser', include: process.env.CI ? [noBrowser] : [] },
      },
      {
        test: {
          ...shared,
          name: 'package',
          include: [packageSuites],
          exclude: executablePath ? [] : [packageBrowserSuites],
          globalSetup: 'test/package/setup.ts',
          testTimeout: 240_000,
        },
      },
    ],
  },
});
