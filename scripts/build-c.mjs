/*
 * Makes build/c/hugewalk.c and hugewalk.h, the core as C11 without vectors: compiles the part of assembly/ that needs none, converts it
 * with wabt's wasm2c, and puts what that made of our functions into c/hugewalk.template.c; of wabt's own text nothing stays.
 *
 *   node scripts/build-c.mjs          npm run build:c
 *   node scripts/build-c.mjs --pack   and build/hugewalk-c-VERSION.tgz, which needs no Node
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constantsOfCore } from './core-surface.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'build/c');
const resolve = createRequire(import.meta.url).resolve;
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** The functions, by their file. */
const FUNCTIONS = {
  access: ['ruleOf'],
  cpu: ['setRegisters'],
  memory: ['setFlatMemory'],
  walk: ['translate'],
  loads: ['walkLoads'],
  fill: ['fillPage'],
  tlb: ['tlbBytes', 'makeTlb', 'selectTlb', 'dropTlb', 'tlbTranslate', 'tlbLookups', 'tlbMisses'],
  invalidate: ['invalidateAll', 'invalidatePage', 'invalidatePcid', 'invalidatePcidPage'],
};

/** The constants that a C programmer has a use for. */
const CONSTANTS =
  /^(ACCESS|ERROR|CR0|CR4|EFER|RFLAGS|FEATURE|OUTCOME|FAILURE|KIND|RULE|TLB|LOADS?)_|^(PRESENT|WRITABLE|USER|WRITE_THROUGH|CACHE_DISABLE|ACCESSED|DIRTY|PAGE_SIZE|GLOBAL|EXECUTE_DISABLE|PROTECTION_KEY_SHIFT|ADDRESS_MASK)$/;

mkdirSync(out, { recursive: true });
const { source, header } = convert();
const text = (name) => readFileSync(join(root, 'c', name), 'utf8').replaceAll('VERSION', version);
const [, beginning] = /^static void init_globals\(.*\{\n([\s\S]*?)^\}/m.exec(source) ?? [];
if (!beginning) throw new Error('wasm2c: expected init_globals, found none');
const initial = [...beginning.matchAll(/^ {2}instance->w2c_(g\d+) = (\w+);$/gm)].filter(
  ([, , value]) => !/^0u(ll)?$/.test(value),
);
/* The module's start function gives variables what is no constant of WebAssembly's. */
const [, started] = /wasm2c_core_instantiate\(.*\{[\s\S]*?\bw2c_core_(\w+)\(instance\);/.exec(source) ?? [];

write('hugewalk.h', text('hugewalk.template.h'), { CONSTANTS: macros(), STATE: state() });
write('hugewalk.c', text('hugewalk.template.c'), {
  FUNCTIONS: functions(),
  INITIAL: [
    ...initial.map(([, name, value]) => `\tcpu->state.${name} = ${value};`),
    ...(started ? [`\tcore_${started}(cpu);`] : []),
  ].join('\n'),
});
if (process.argv[2] === '--pack') pack();

/** What wasm2c makes of the core. */
function convert() {
  const [entry, wasm, c] = ['entry.ts', 'core.wasm', 'core.c'].map((name) => join(out, name));
  const exports = Object.entries(FUNCTIONS).map(
    ([file, names]) => `export { ${names.join(', ')} } from "../../assembly/${file}";\n`,
  );
  writeFileSync(entry, exports.join(''));
  const options =
    '--config none --runtime stub --importMemory -O3 --converge --noAssert --use SPARSE=0 --use SHARED=0 --outFile';
  node('assemblyscript/bin/asc.js', 'build/c/entry.ts', ...options.split(' '), wasm);
  node('wabt/bin/wasm2c', wasm, '-n', 'core', '-o', c);
  const made = { source: readFileSync(c, 'utf8'), header: readFileSync(c.replace(/c$/, 'h'), 'utf8') };
  for (const file of [entry, wasm, c, c.replace(/c$/, 'h')]) rmSync(file);
  return made;
}

function node(program, ...words) {
  execFileSync(process.execPath, [resolve(program), ...words], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Declarations, then definitions, of our functions. */
function functions() {
  const declared = source.match(/^static \w+ w2c_core_\w+\(w2c_core\*.*\);$/gm);
  const first = source.search(/^\w+ w2c_core_f0\(/m);
  if (!declared || first < 0)
    throw new Error('wasm2c: expected functions by the names of version 1.0.39, found others');
  const bodies = source.slice(first).replace(/^(?=\w+ w2c_core_\w+\()/gm, 'static ');
  const renamed = `${declared.join('\n')}\n\n${bodies}`
    .replace(/^ {2}FUNC_(PROLOGUE|EPILOGUE);\n/gm, '')
    .replace(/w2c_core_(\w+?)(_0)?\(/g, 'core_$1(')
    .replaceAll('w2c_core*', 'hugewalk *')
    .replaceAll('hugewalk * instance', 'hugewalk *cpu')
    .replaceAll('instance->w2c_env_memory', 'cpu->window')
    .replaceAll('instance->w2c_g', 'cpu->state.g')
    .replace(/\binstance\b/g, 'cpu')
    .replace(/\b(i\d\d_(?:load|store))_default32\b/g, '$1')
    /* One that needs no processor. */
    .replace(/^(static u32 core_tlbBytes\(.*\{\n)/m, '$1  (void)cpu;\n')
    .trimEnd();
  const strange = renamed.match(/w2c_\w+|wasm_rt\w*|WASM_RT\w*|TRAP\b/);
  if (strange) throw new Error(`wasm2c: expected nothing of its runtime among the functions, found ${strange[0]}`);
  return renamed;
}

/** The fields of a processor: the core's variables. */
function state() {
  const fields = [...header.matchAll(/^ {2}(u32|u64) w2c_(g\d+);$/gm)];
  if (fields.length === 0) throw new Error('wasm2c: expected fields w2c_g0 …, found none');
  return fields.map(([, type, name]) => `\t\t${type === 'u32' ? 'uint32_t' : 'uint64_t'} ${name};`).join('\n');
}

function macros() {
  return constantsOfCore()
    .filter(({ name }) => CONSTANTS.test(name))
    .map(({ name, value, type, words }) => {
      const suffix = type === 'u64' ? 'ULL' : 'U';
      const literal = value < 10n ? String(value) : `0x${value.toString(16)}`;
      return `${words ? `/* ${words} */\n` : ''}#define HUGEWALK_${name} ${literal}${suffix}`;
    })
    .join('\n');
}

function write(name, template, parts) {
  const filled = Object.entries(parts).reduce((whole, [part, content]) => {
    const place = `/* @${part}@ */`;
    if (!whole.includes(place)) throw new Error(`c/${name}: expected ${place}`);
    return whole.replace(place, () => content);
  }, template);
  writeFileSync(join(out, name), filled);
}

/** A tarball for those who have a C compiler and no Node. */
function pack() {
  const name = `hugewalk-c-${version}`;
  const folder = join(root, 'build', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const file of ['hugewalk.c', 'hugewalk.h']) cpSync(join(out, file), join(folder, file));
  for (const file of ['c/example.c', 'c/Makefile', 'LICENSE'])
    cpSync(join(root, file), join(folder, file.replace('c/', '')));
  cpSync(join(root, 'docs/c.md'), join(folder, 'README.md'));
  const owner = ['--owner=0', '--group=0', '--sort=name', '--mtime=2000-01-01'];
  execFileSync('tar', ['czf', join(root, 'build', `${name}.tgz`), ...owner, '-C', join(root, 'build'), name]);
  rmSync(folder, { recursive: true });
  console.log(`build/${name}.tgz`);
}
