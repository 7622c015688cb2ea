import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { CHROMIUM_ARGUMENTS, findChromium, NO_CHROMIUM } from './test/support/browser.ts';

/*
 * Projects:
 *
 *   node           the walk, in this process's Node
 *   node-linux     the kernel model and the search
 *   node-dump      dumps
 *   node-commands  what starts processes: the command line, the native walker, a cluster
 *   node-long      what runs for seconds, each file in a process of its own
 *   browser        the conformance suites again, in Chromium
 *   package        the package as its users get it: packed, installed, bundled, and its documentation run
 *
 * The files of a project share processes, but for node-long and package, and none is shared by two projects: one that has run a thousand other
 * tests is large, and starts another process ten times slower, and its engine's guesses no longer fit.
 *
 * Without a Chromium the browser's part is left out, which is said, and under CI fails.
 */
const browserSuites = 'test/support/browser/*.test.ts';
const noBrowser = 'test/support/browser-missing.test.ts';
const packageSuites = 'test/package/**/*.test.ts';
const packageBrowserSuites = 'test/package/chromium.test.ts';

/* What is shorter is not worth the second that loading takes. */
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

const linuxSuites = 'test/{linux,explore,replay,examples}/**/*.test.ts';
const dumpSuites = 'test/dump/**/*.test.ts';
const commandSuites = 'test/{cli,bench,cluster}/**/*.test.ts';

const executablePath = findChromium();
if (!executablePath) console.error(NO_CHROMIUM);

const shared = {
  testTimeout: 120_000,
  hookTimeout: 120_000,
  /* test/support/thorough.ts */
  tags: [{ name: 'thorough', description: 'takes long: npm test leaves it out, npm run test:rest runs it' }],
};

/** A project whose files share processes. No file leaves anything behind for the next: spies are restored. */
function together(name: string, include: string[], exclude: string[] = []) {
  return { ...shared, name, isolate: false, include, exclude };
}

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
        resolve: {
          alias: [
            { find: /^hugewalk$/, replacement: fileURLToPath(new URL('src/index.ts', import.meta.url)) },
            { find: /^hugewalk\/linux$/, replacement: fileURLToPath(new URL('src/linux/index.ts', import.meta.url)) },
          ],
        },
        test: together('node-linux', [linuxSuites], longSuites),
      },
      { test: together('node-dump', [dumpSuites]) },
      { test: together('node-commands', [commandSuites]) },
      {
        test: together(
          'node',
          ['test/**/*.test.ts'],
          [browserSuites, noBrowser, packageSuites, linuxSuites, dumpSuites, commandSuites, ...longSuites],
        ),
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
                'test/dump/{listings,kdump/real,kdump/codecs,kdump/page-bitmap}.test.ts',
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
