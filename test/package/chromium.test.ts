/**
 * The installed package in a page: built by Vite, served by Vite's development server, and bundled by esbuild.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build as bundle } from 'esbuild';
import { type Browser, chromium } from 'playwright';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { CHROMIUM_ARGUMENTS, findChromium, NO_CHROMIUM } from '../support/browser.ts';
import { firstExample } from './snippets.ts';

const { app } = inject('installed');
const root = join(app, 'page');

/** Runs the first example, then walks an address with the cores of the package and with those fetched from a server. */
const PAGE = `
import './example.ts';
import { compileCore, FlatMemory, Mmu } from 'hugewalk';
import flat from 'hugewalk/core.wasm?url';
import sparse from 'hugewalk/core-sparse.wasm?url';

function walk(core) {
  const memory = new FlatMemory({ bytes: 1 << 20 });
  memory.writeEntry(0x1000n, 0x2007n);
  memory.writeEntry(0x2000n, 0x4000_0085n);
  const outcome = new Mmu(memory, { cr3: 0x1000n }, core).translate(0x1234n);
  return outcome.physicalAddress.toString(16);
}
const fetched = await compileCore({ flat: fetch(flat), sparse: fetch(sparse) });
document.title = walk() + ' ' + walk(fetched);
`;
const TITLE = '40001234 40001234';

let browser: Browser;

beforeAll(async () => {
  mkdirSync(root);
  writeFileSync(
    join(root, 'index.html'),
    '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
  );
  writeFileSync(join(root, 'page.js'), PAGE);
  writeFileSync(join(root, 'example.ts'), firstExample().text);

  const executablePath = findChromium();
  if (!executablePath) throw new Error(NO_CHROMIUM);
  browser = await chromium.launch({ executablePath, args: CHROMIUM_ARGUMENTS });
});

afterAll(() => browser?.close());

test('built by Vite', async () => {
  const { build, preview } = await import('vite');
  await build({ root, logLevel: 'error', build: { target: 'es2022' } });
  const server = await preview({ root, logLevel: 'error', preview: { port: 0 } });
  try {
    expect(await titleOf(server.resolvedUrls?.local[0])).toBe(TITLE);
  } finally {
    await server.close();
  }
});

test('served by Vite while developing', async () => {
  const { createServer } = await import('vite');
  const server = await createServer({ root, logLevel: 'error', server: { port: 0 } });
  try {
    await server.listen();
    expect(await titleOf(server.resolvedUrls?.local[0])).toBe(TITLE);
  } finally {
    await server.close();
  }
});

test('bundled by esbuild', async () => {
  const { outputFiles } = await bundle({
    stdin: { contents: `${firstExample().text}\ndocument.title = 'done';`, loader: 'ts', resolveDir: root },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
  });
  const script = outputFiles.map(({ text }) => text).join('');
  const page = `<!doctype html><script type="module">${script.replaceAll('</script', '<\\/script')}</script>`;
  expect(await titleOf(`data:text/html;base64,${Buffer.from(page).toString('base64')}`)).toBe('done');
});

/** The title that the page at `url` gives itself, unless an error comes first. */
async function titleOf(url = ''): Promise<string> {
  const page = await browser.newPage();
  try {
    const failure = new Promise<never>((_, reject) => {
      page.on('pageerror', reject);
      page.on('console', (message) => message.type() === 'error' && reject(new Error(message.text())));
    });
    const title = page
      .goto(url)
      .then(() => page.waitForFunction(() => document.title))
      .then((handle) => handle.jsonValue());
    return await Promise.race([title, failure]);
  } finally {
    await page.close();
  }
}
