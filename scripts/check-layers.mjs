/*
 * Checks the rules of DESIGN.md that no linter knows, over assembly/, src/ and examples/ of this project or of the one given:
 *
 *   node scripts/check-layers.mjs [ROOT]
 *
 *   - a layer imports only itself and what stands above it in LAYERS, types included
 *   - a room, a folder of a layer, imports only itself and what stands above it in the layer's ROOMS, types included
 *   - a package or Node module is imported only where PACKAGES allows it
 *   - what src/index.ts reaches at run time stays clear of node: modules, so that it runs in browsers
 *   - the core has no decorators: plain TypeScript grammar, which the formatter can read
 *   - examples import the package by its name, each other, and Node's modules
 *   - the tables in DESIGN.md say the same as LAYERS and ROOMS
 *
 * Prints an offender a line as file:line, and exits with 1 when there are any.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** From the ground up: a folder (everything in it) or a single file. */
const LAYERS = [
  'assembly/',
  'src/reference/',
  'src/core/',
  'src/mmu/',
  'src/linux/',
  'src/replay/',
  'src/explore/',
  'src/dump/',
  'src/index.ts',
  'src/node.ts',
  'src/cli/',
  'src/cli.ts',
];

/** The rooms of a layer, from the ground up; files beside them come last. */
const ROOMS = {
  'src/linux/': [
    'base/',
    'pool/',
    'mm/',
    'page-tables/',
    'hugetlb/',
    'fault/',
    'userfaultfd/',
    'gup/',
    'migration/',
    'memory-failure/',
    'syscalls/',
    'machine/',
  ],
  'src/replay/': ['line/', 'stage/', 'sequence/', 'operations/', 'hugetlb/', 'hgm/', 'observe/'],
  'src/explore/': ['search/', 'kernel/', 'scenario/', 'show/'],
};

/** Who may import what is not in this project; a path that ends in / stands for a folder. */
const PACKAGES = [
  { package: '@assemblyscript/loader', by: ['src/core/instantiate.ts'] },
  { package: 'fflate', by: ['src/dump/formats/kdump/codecs/zlib.ts'] },
  { package: 'hysnappy', by: ['src/dump/formats/avml/snappy.ts', 'src/dump/formats/kdump/codecs/snappy.ts'] },
  { package: 'zstddec', by: ['src/dump/formats/kdump/codecs/zstd.ts'] },
  { package: 'commander', by: ['src/cli/', 'src/cli.ts'] },
  { package: 'picocolors', by: ['src/cli/', 'src/cli.ts'] },
  { package: 'node:', by: ['src/dump/', 'src/node.ts', 'src/cli/', 'src/cli.ts'] },
];

/** The entry that browsers load. */
const BROWSER_ENTRY = 'src/index.ts';

const covers = (pattern, path) => (pattern.endsWith('/') ? path.startsWith(pattern) : path === pattern);
const layerOf = (path) => LAYERS.findIndex((layer) => covers(layer, path));

/** The place of a file among the rooms of a layer; -1 for a folder that is not among them. */
function roomOf(layer, path) {
  const rooms = ROOMS[layer];
  const inside = path.slice(layer.length);
  return inside.includes('/') ? rooms.findIndex((room) => inside.startsWith(room)) : rooms.length;
}

const root = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..'));
const offences = [];
const report = (file, line, message) => offences.push(`${file}:${line}: ${message}`);

const files = new Map();
for (const folder of ['assembly', 'src']) {
  if (!existsSync(join(root, folder))) continue;
  for (const name of readdirSync(join(root, folder), { recursive: true })) {
    const path = posix.join(folder, name.replaceAll('\\', '/'));
    if (path.endsWith('.ts')) files.set(path, read(path));
  }
}

for (const [file, { imports, decorators }] of files) {
  const layer = LAYERS[layerOf(file)];
  if (!layer) report(file, 1, 'belongs to no layer');
  else if (ROOMS[layer] && roomOf(layer, file) < 0) report(file, 1, `belongs to no room of ${layer}`);
  for (const imported of imports) {
    const message = imported.path ? wrongLayer(file, imported.path) : wrongPackage(file, imported.specifier);
    if (message) report(file, imported.line, message);
  }
  if (file.startsWith('assembly/')) {
    for (const line of decorators) report(file, line, 'a decorator: the core is plain TypeScript grammar');
  }
}
checkExamples();
checkBrowserEntry();
checkDesign();

for (const offence of offences.sort()) console.error(offence);
if (offences.length > 0) process.exit(1);

/** The imports of a file, with their lines, and the lines of its decorators. */
function read(file) {
  const text = readFileSync(join(root, file), 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const lineOf = (node) => source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
  const imports = [];
  const decorators = [];
  const visit = (node) => {
    const specifier = specifierOf(node);
    if (specifier !== undefined) {
      const path = specifier.startsWith('.') ? resolveImport(file, specifier) : undefined;
      imports.push({ specifier, path, line: lineOf(node), erased: isErased(node) });
    }
    if (ts.isDecorator(node)) decorators.push(lineOf(node));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { imports, decorators };
}

/** What a node imports, if it is an import of any form. */
function specifierOf(node) {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier?.text;
  if (ts.isImportTypeNode(node)) return node.argument.literal.text;
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments;
    return argument && ts.isStringLiteralLike(argument) ? argument.text : undefined;
  }
  return undefined;
}

/** True for an import that the compiler drops: of types alone. */
function isErased(node) {
  if (ts.isImportTypeNode(node)) return true;
  if (ts.isImportDeclaration(node)) return node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
  return ts.isExportDeclaration(node) && node.isTypeOnly;
}

/** The file a relative import means; AssemblyScript leaves the extension out. */
function resolveImport(file, specifier) {
  const path = posix.join(posix.dirname(file), specifier);
  return path.endsWith('.ts') ? path : `${path}.ts`;
}

function wrongLayer(file, imported) {
  if (imported.startsWith('assembly/') && !file.startsWith('assembly/')) return `imports ${imported}, another language`;
  const to = layerOf(imported);
  if (to >= 0 && to === layerOf(file)) return wrongRoom(LAYERS[to], file, imported);
  if (to >= 0 && to < layerOf(file)) return undefined;
  return to < 0
    ? `imports ${imported}, which is in no layer`
    : `imports ${imported}, which is not above ${LAYERS[layerOf(file)]}`;
}

function wrongRoom(layer, file, imported) {
  if (!ROOMS[layer] || roomOf(layer, imported) <= roomOf(layer, file)) return undefined;
  return `imports ${imported}, which is not above ${ROOMS[layer][roomOf(layer, file)]} among the rooms of ${layer}`;
}

function wrongPackage(file, specifier) {
  const rule = PACKAGES.find(({ package: name }) =>
    name.endsWith(':') ? specifier.startsWith(name) : specifier === name || specifier.startsWith(`${name}/`),
  );
  if (rule?.by.some((pattern) => covers(pattern, file))) return undefined;
  return rule ? `imports ${specifier}, which is for ${rule.by.join(', ')}` : `imports ${specifier}, which no layer may`;
}

/** Examples show what a user can do: they have what a user has. */
function checkExamples() {
  if (!existsSync(join(root, 'examples'))) return;
  for (const name of readdirSync(join(root, 'examples'), { recursive: true })) {
    const file = posix.join('examples', name.replaceAll('\\', '/'));
    if (!file.endsWith('.ts')) continue;
    for (const { specifier, path, line } of read(file).imports) {
      const permitted = path ? path.startsWith('examples/') : /^(node:|hugewalk(\/|$))/.test(specifier);
      if (!permitted) report(file, line, `imports ${specifier}, which is not of the package's surface`);
    }
  }
}

/** Follows the imports of the browser's entry that remain at run time, and remembers the way. */
function checkBrowserEntry() {
  const ways = new Map([[BROWSER_ENTRY, [BROWSER_ENTRY]]]);
  for (const [file, way] of ways) {
    for (const { specifier, path, line, erased } of files.get(file)?.imports ?? []) {
      if (erased) continue;
      if (specifier.startsWith('node:'))
        report(file, line, `imports ${specifier}, and browsers get here: ${way.join(' > ')}`);
      else if (path && !ways.has(path)) ways.set(path, [...way, path]);
    }
  }
}

/** The rows of DESIGN.md's tables name the folders of LAYERS, and the rooms of each layer, in order, and all of them. */
function checkDesign() {
  if (!existsSync(join(root, 'DESIGN.md'))) return;
  const rows = [];
  for (const [index, text] of readFileSync(join(root, 'DESIGN.md'), 'utf8').split('\n').entries()) {
    const folder = /^\| `([^`]+\/)` \|/.exec(text)?.[1];
    if (folder) rows.push({ folder, line: index + 1 });
  }
  const isLayer = ({ folder }) => folder.startsWith('src/') || folder === 'assembly/';
  const folders = LAYERS.filter((layer) => layer.endsWith('/'));
  checkTable('layers', rows.filter(isLayer), folders);
  const others = rows.filter((row) => !isLayer(row));
  checkTable('rooms', others, Object.values(ROOMS).flat());
}

function checkTable(what, rows, folders) {
  for (const [index, { folder, line }] of rows.entries()) {
    if (folder !== folders[index]) return report('DESIGN.md', line, `${folder} is not the next of the ${what}`);
  }
  const missing = folders.slice(rows.length);
  if (missing.length > 0) report('DESIGN.md', 1, `the table of ${what} lacks ${missing.join(', ')}`);
}
