/*
 * What the core exports, read from its sources: functions and constants, each with the comment above it. For docs/abi.md and for C.
 *
 * Values are those of src/core/generated/layout.ts: npm run build:core first.
 */
import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';

const root = new URL('..', import.meta.url);
const read = (path) => readFileSync(new URL(path, root), 'utf8');

/** Types of WebAssembly: pointers, counts and flags are i32. */
const WASM = { u64: 'i64', i64: 'i64', f64: 'f64', void: '' };
export const wasmType = (type) => WASM[type] ?? 'i32';

export const values = new Map(
  [...read('src/core/generated/layout.ts').matchAll(/^export const (\w+): \w+ = (\w+?)n?;$/gm)].map(
    ([, name, value]) => [name, BigInt(value)],
  ),
);

/** The declarations that assembly/index.ts exports, by name. */
export function declarations() {
  const exported = new Set(
    ['index', 'scalar'].flatMap((file) =>
      [...read(`assembly/${file}.ts`).matchAll(/export \{([^}]*)\}/g)].flatMap(([, names]) => names.match(/\w+/g)),
    ),
  );
  const found = new Map();
  for (const file of readdirSync(new URL('assembly/', root)).filter((name) => /^[\w-]+\.ts$/.test(name))) {
    const source = ts.createSourceFile(file, read(`assembly/${file}`), ts.ScriptTarget.ES2022, true);
    for (const statement of source.statements) {
      const nodes = ts.isFunctionDeclaration(statement) ? [statement] : (statement.declarationList?.declarations ?? []);
      for (const node of nodes) {
        const name = node.name.getText();
        if (exported.has(name) && statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) {
          found.set(name, { file, node, words: wordsOf(statement) });
        }
      }
    }
  }
  for (const name of exported) if (!found.has(name)) throw new Error(`assembly/: expected ${name}, found none`);
  return found;
}

/** The comment above a declaration, in a line. */
function wordsOf(statement) {
  const [comment] = (ts.getJSDocCommentsAndTags(statement) ?? []).map((one) => one.getText());
  if (!comment) return '';
  return comment
    .replace(/^\/\*\*|\*\/$/g, '')
    .replace(/^\s*\* ?/gm, ' ')
    .replace(/\s+/g, ' ')
    .replaceAll('|', '\\|')
    .trim();
}

/** The constants, with value, type in AssemblyScript, and what they are. */
export function constantsOfCore() {
  return [...declarations()]
    .filter(([name]) => values.has(name))
    .map(([name, { node, words }]) => ({ name, value: values.get(name), type: node.type.getText(), words }));
}
