/**
 * Everything the documentation shows: compiled against the installed package and run.
 *
 * A `ts` block that imports nothing continues the block before it. A `sh` block is run in the project that has the
 * package installed (`npx hugewalk …`) or in this one, except what a test cannot run inside itself: of that, it is
 * checked that it exists and that CI runs it. The examples have tests of their own.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { THOROUGH } from '../support/thorough.ts';
import { MANIFEST, ROOT, run } from './project.ts';
import { blocksOf, examplesOf, type Snippet } from './snippets.ts';

const { app } = inject('installed');
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'docs/abi.md',
  'docs/c.md',
  'docs/roots.md',
  'docs/dumps.md',
  'docs/explore.md',
  'docs/hgm.md',
  'docs/linux.md',
  'docs/osdev.md',
  'docs/performance.md',
  'docs/replay.md',
];
const continuous = documents.map((file) => blocksOf(file, 'ts')).flatMap(continued);
const programs = [...continuous, ...examplesOf('src')].map((snippet) => ({
  ...snippet,
  path: join(app, 'programs', `${snippet.file.replace(/\W/g, '-')}-${snippet.line}.ts`),
}));
const compiled = compile();
let failures: Readonly<Record<string, string>>;

describe('ts', () => {
  beforeAll(async () => {
    const report = join(app, 'programs/failures.json');
    const paths = programs.map(({ path }) => path.replace(/ts$/, 'js'));
    await run(app, 'node', join(ROOT, 'test/package/run-programs.mjs'), report, ...paths).catch(() => undefined);
    failures = JSON.parse(readFileSync(report, 'utf8'));
  });

  test('is there', () => {
    expect(programs.length).toBeGreaterThan(0);
  });

  test.for(named(programs))('%s', ([, { path }]) => {
    expect(compiled.get(path)).toEqual([]);
    expect(failures[path.replace(/ts$/, 'js')]).toBeUndefined();
  });
});

test('docs/abi.md lists what the core exports, as assembly/ says it', async () => {
  await run(ROOT, 'node', 'scripts/abi.mjs', '--check');
});

describe('sh', () => {
  test('npx hugewalk is the command of the installed package', async () => {
    expect(await run(app, 'npx', 'hugewalk', '--version')).toBe(
      await run(app, 'node_modules/.bin/hugewalk', '--version'),
    );
  });

  for (const [place, { text }] of named(documents.flatMap((file) => blocksOf(file, 'sh')))) {
    test(place, /\b(?:npm start|vitest run)\b/.test(text) ? THOROUGH : {}, async () => {
      for (const line of text.replaceAll('\\\n', ' ').split('\n')) {
        const parts = line
          .replace(/(^|\s)#.*$/, '')
          .trim()
          .split(/\s+&&\s+/);
        for (const command of parts) if (command) await execute(command);
      }
    });
  }
});

/** Each with its place, as the name of its test. */
function named<S extends Snippet>(snippets: S[]): [string, S][] {
  return snippets.map((snippet) => [`${snippet.file}:${snippet.line}`, snippet]);
}

/** Prepends to each block that imports nothing the one that it continues. */
function continued(blocks: Snippet[]): Snippet[] {
  let before = '';
  return blocks.map((block) => {
    before = /^import\b/m.test(block.text) ? block.text : before + block.text;
    return { ...block, text: before };
  });
}

/** Writes all programs, compiles them, and returns what the compiler says of each. */
function compile(): Map<string, string[]> {
  mkdirSync(join(app, 'programs'));
  for (const { path, text } of programs) writeFileSync(path, `${text}export {};\n`);
  return diagnose(
    programs.map(({ path }) => path),
    { types: ['node'], typeRoots: [join(ROOT, 'node_modules/@types')] },
  );
}

function diagnose(paths: string[], options: ts.CompilerOptions): Map<string, string[]> {
  const program = ts.createProgram(paths, {
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    ...options,
  });
  const emitted = program.emit().diagnostics;
  const said = new Map<string, string[]>(paths.map((path) => [path, []]));
  for (const { file, start = 0, messageText } of [...ts.getPreEmitDiagnostics(program), ...emitted]) {
    const message = ts.flattenDiagnosticMessageText(messageText, '\n');
    const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
    const about = file && said.get(file.fileName);
    if (about) about.push(`line ${line}: ${message}`);
    else for (const all of said.values()) all.push(`${file?.fileName ?? ''}:${line}: ${message}`);
  }
  return said;
}

/** Runs a command, or checks it if it is one that leads back here or needs the world. */
async function execute(command: string): Promise<void> {
  const ci = readFileSync(join(ROOT, '.ci/run'), 'utf8');
  const [, script] = /^npm (?:run )?([\w:-]+)(?: --.*)?$/.exec(command) ?? [];

  if (/^(git clone|cd) /.test(command)) return;
  if (/^npm (install|i) hugewalk$/.test(command)) return;
  if (/^(sudo )?apt-get install /.test(command)) {
    for (const debian of command.replace(/.* install /, '').split(' ')) expect(ci).toContain(debian);
  } else if (command === 'npm ci' || command === 'npm test') {
    expect(ci).toMatch(new RegExp(`\\b${command}\\b`));
  } else if (command === 'npm start') {
    const [, demo] = /^npm run build && (.*)$/.exec(MANIFEST.scripts.start ?? '') ?? [];
    expect(demo, 'the start script').toBeDefined();
    await run(ROOT, 'bash', '-c', demo ?? '');
  } else if (script) {
    expect(Object.keys(MANIFEST.scripts)).toContain(script);
  } else {
    const here = /\bhugewalk\b/.test(command) ? app : ROOT;
    /* npx takes a second each time to find what is installed. */
    const found = command.replaceAll(/\bnpx hugewalk\b/g, 'node_modules/.bin/hugewalk');
    await run(here, 'bash', '-o', 'pipefail', '-c', found.replace(' --inspect-brk', ''));
  }
}
