/*
 * Shows hugewalk at work: what a real Linux process has mapped, a few walks, a huge page in pieces, and how fast this machine walks. Everything
 * is a command that you can type yourself; it stands above its output.
 *
 *   npm start
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import picocolors from 'picocolors';

const root = fileURLToPath(new URL('..', import.meta.url));
const dump = 'example:';
const { bold, cyan, dim } = picocolors;

if (!existsSync(new URL('../dist/cli.js', import.meta.url))) {
  console.error('dist/cli.js: expected the built program, found nothing; npm start builds it first');
  process.exit(1);
}

/* What the last two sections run is compiled meanwhile. `npm run types` checks it. */
const example = compiled('examples');
const benchmark = compiled('bench');

section(
  'What is mapped',
  'A memory dump of Linux 6.1, taken while a small program held pages of every size; its page tables are read from the dump.',
);
hugewalk('map', dump);

section(
  'A page of 4 KiB',
  'Four levels: every table entry on the way narrows what is allowed, the last one says where the page is.',
);
hugewalk('walk', dump, '0x200000003abc', '--user');

section('A page of 2 MiB', 'The walk ends a level earlier: PS is set in the page directory entry (PDE).');
hugewalk('walk', dump, '0x300000212345', '--user', '--access', 'w');

section('A page of 1 GiB', 'And here two levels earlier, in the page-directory-pointer table entry (PDPTE).');
hugewalk('walk', dump, '0x500012345678', '--user', '--access', 'w');

section(
  'A page fault',
  'A user program writes to the text of the kernel. The processor walks all the way to the page, and refuses.',
);
hugewalk('walk', dump, '0xffffffff81000000', '--user', '--access', 'w');

section(
  'One page of 1 GiB, mapped three ways',
  'Linux with high-granularity mapping (HGM): the same page as one leaf, as leaves of 2 MiB, and with pieces of 4 KiB.',
  'get_user_pages finds the same 262,144 frames each time, and has more leaves to visit.',
);
await example;
command('node', 'build/examples/one-page.js');

section(
  'How fast',
  'Walks a second on this machine, in batches and one address a call, beside a plain walk in C, which is compiled and run in',
  'turn with ours where there is a C compiler.',
);
await benchmark;
command('node', 'build/bench/bench/run.js', '--quick', '--filter', '4k/32KiB', '--no-targets');

const more = ['map', 'walk'].map((name) => `node dist/cli.js ${name} --help`);
console.log(
  `\n${dim([`More: ${more.join(', ')}`, 'npm run example:post-copy, npm run example:memory-errors, npm run bench'].join(',\n      '))}`,
);

function section(title, ...words) {
  console.log(`\n${bold(`== ${title} ==`)}\n${words.join('\n')}\n`);
}

function hugewalk(...words) {
  command('node', 'dist/cli.js', ...words);
}

/** Compiles a folder into build/, without checks of its types. */
function compiled(folder) {
  const compiler = spawn(process.execPath, ['node_modules/typescript/bin/tsc', '-p', folder, '--noCheck'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return new Promise((resolve) => {
    compiler.on('exit', (status) => {
      if (status === 0) return resolve();
      console.error(`${folder}: the compiler ended with status ${status}`);
      process.exit(1);
    });
  });
}

/** Shows a command and runs it; a walk that ends in a fault has succeeded as a command. */
function command(name, ...words) {
  console.log(`${cyan(`$ ${[name, ...words].join(' ')}`)}\n`);
  const { status, error } = spawnSync(name === 'node' ? process.execPath : name, words, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (error || status !== 0) {
    console.error(error?.message ?? `ended with status ${status}`);
    process.exit(1);
  }
}
