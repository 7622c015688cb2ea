/*
 * Writes what docs/abi.md lists of the core: every function with its types in WebAssembly, every constant with its value. What they mean is
 * the comment above them in assembly/; what memory a function touches stands in TOUCHES.
 *
 *   node scripts/abi.mjs           writes docs/abi.md anew
 *   node scripts/abi.mjs --check   says whether it is as it should be: status 1 if not
 *
 * Both read build/flat.wasm's constants from src/core/generated/layout.ts: npm run build first.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import ts from 'typescript';
import { constantsOfCore, declarations, wasmType } from './core-surface.mjs';

const root = new URL('..', import.meta.url);
const read = (path) => readFileSync(new URL(path, root), 'utf8');

/** What memory a function reads and writes, besides its arguments. */
const TOUCHES = {
  addFrame: 'writes the directory',
  dropTlb: '',
  fillPage: 'reads tables; with ACCESS_MARK sets A and D',
  gupCount: 'reads tables',
  gupPages: 'reads tables; writes `pages`, `records`',
  invalidateAll: 'writes the TLB',
  invalidatePage: 'writes the TLB',
  invalidatePcid: 'writes the TLB',
  invalidatePcidPage: 'writes the TLB',
  leafAt: 'reads tables',
  leafModify: 'writes tables',
  leafRuns: 'reads tables; writes `records`',
  leafWrite: 'writes a table',
  makeTlb: 'writes the TLB at `at`, `tlbBytes` bytes',
  moveDirectory: 'writes the directory',
  physicalAddress: 'reads tables',
  ruleOf: '',
  scan: 'reads tables; writes records from `at` on',
  scanCursor: '',
  scanIsFull: '',
  selectTlb: 'writes the header of the TLB that was selected; reads that of the other',
  setFlatMemory: '',
  setRegisters: '',
  tableAt: 'reads the directory of a sparse memory',
  tlbBytes: '',
  tlbLookups: '',
  tlbMisses: '',
  tlbTranslate: 'reads and writes the TLB; reads tables, sets A and D',
  tlbTranslateMany: 'reads `addresses`, writes `outcomes`; reads and writes the TLB; reads tables, sets A and D',
  translate: 'reads tables; with ACCESS_MARK sets A and D',
  translateMany: 'reads `addresses`, writes `outcomes`; reads tables, with ACCESS_MARK sets A and D; uses `cache`',
  walkLoads: 'reads tables; with ACCESS_MARK sets A and D; writes LOADS_BYTES bytes at `at`',
};

const hex = (value) => (value < 10n ? String(value) : `0x${value.toString(16)}`);

function functions(all) {
  const rows = [];
  for (const [name, { file, node, words }] of all) {
    if (!ts.isFunctionDeclaration(node)) continue;
    if (!(name in TOUCHES))
      throw new Error(`scripts/abi.mjs: expected what memory ${name} touches (TOUCHES), found nothing`);
    const parameters = node.parameters
      .map((one) => `${one.name.getText()}: ${wasmType(one.type.getText())}`)
      .join(', ');
    const result = wasmType(node.type.getText());
    rows.push(
      `| \`${name}(${parameters})${result && ` → ${result}`}\` | ${words} | ${TOUCHES[name]} | [${file}](../assembly/${file}) |`,
    );
  }
  for (const name of Object.keys(TOUCHES))
    if (!all.has(name)) throw new Error(`scripts/abi.mjs: ${name} is no function of the core`);
  return ['| function | what it does | memory | source |', '| --- | --- | --- | --- |', ...rows.sort()].join('\n');
}

function constants() {
  const rows = constantsOfCore().map(
    ({ name, value, type, words }) => `| \`${name}\` | ${wasmType(type)} | \`${hex(value)}\` | ${words} |`,
  );
  return ['| constant | type | value | what it is |', '| --- | --- | --- | --- |', ...rows.sort()].join('\n');
}

const path = 'docs/abi.md';
const all = declarations();
let text = read(path);
for (const [part, content] of Object.entries({ functions: functions(all), constants: constants() })) {
  const pattern = new RegExp(`(<!-- ${part} -->\n)[\\s\\S]*?(\n<!-- end of ${part} -->)`);
  if (!pattern.test(text)) throw new Error(`${path}: expected <!-- ${part} --> and <!-- end of ${part} -->`);
  text = text.replace(pattern, (_, before, after) => `${before}\n${content}\n${after}`);
}
if (process.argv[2] === '--check') {
  if (text === read(path)) process.exit(0);
  console.error(`${path}: expected what assembly/ says of the core, found something else: run node scripts/abi.mjs`);
  process.exit(1);
}
writeFileSync(new URL(path, root), text);
