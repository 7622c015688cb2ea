/**
 * The command line: commands, options, help. A command's code is loaded when it is run.
 */
import { Command, CommanderError, Option } from 'commander';
import type { DiffCliOptions } from './diff.ts';
import { EXAMPLE } from './dump-files.ts';
import type { ExploreCliOptions } from './explore.ts';
import type { MergeOptions } from './explore-merge.ts';
import { Failure } from './failure.ts';
import { parseSize } from './filter.ts';
import {
  EXAMPLES,
  EXPLANATION,
  EXPLORE_EXPLANATION,
  MAP_EXPLANATION,
  REPLAY_EXPLANATION,
  WALK_EXPLANATION,
} from './help.ts';
import type { MapOptions, Surroundings } from './map.ts';
import {
  isAddress,
  parseAccess,
  parseAddress,
  parseCount,
  parseCpu,
  parseHex,
  parseHex32,
  parseLength,
  parseRanges,
  parseSeconds,
  parseShard,
  parseWithin,
} from './options.ts';
import { Output } from './output.ts';
import { Progress } from './progress.ts';
import type { ReadOptions } from './read.ts';
import type { ReplayOptions } from './replay.ts';
import type { ReverseOptions } from './reverse.ts';
import type { RootsOptions } from './roots.ts';
import { createPaint } from './text.ts';
import { version } from './version.ts';
import type { WalkOptions } from './walk.ts';

/** Columns of what is no terminal. */
const WIDTH = 100;

/** Does what the arguments say; throws a Failure for those that say nothing. */
export async function run(args: readonly string[]): Promise<void> {
  const program = createProgram();
  try {
    await program.parseAsync(args.length > 0 ? args : ['--help'], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw new Failure(oneLine(error.message));
  }
}

function createProgram(): Command {
  const program = new Command('hugewalk')
    .description('What is mapped where in a memory dump of an x86-64 machine, and what Linux does with huge pages.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .addHelpText('after', EXAMPLES + EXPLANATION);

  spaceOptions(
    program.command('map').argument('[DUMP...]', 'a dump of memory, plain or gzipped; all its files, if several'),
  )
    .description('show what is mapped: a picture and ranges, or every leaf')
    .option('--example', 'map the dump that is in the package: the same as example: for DUMP')
    .addOption(hexOption('--from', 'VA', 'first address'))
    .addOption(hexOption('--to', 'VA', 'last address'))
    .option('--leaves', 'a line a leaf')
    .option('--json', 'a line of JSON a run of leaves; with --leaves, a leaf')
    .option('--all', 'every range on a line of its own; with --leaves or --json, no limit')
    .option('--writable', 'only what may be written, over all levels')
    .option('--executable', 'only what may be executed, over all levels')
    .option('--user', 'only what user mode may reach')
    .addOption(new Option('--size <SIZE>', 'only pages of 4K, 2M or 1G').argParser(parseSize))
    .addOption(
      new Option('--follow [SECONDS]', 'of a machine that runs: look again and again, and show what has changed')
        .argParser((text) => parseSeconds('--follow', text))
        .preset('1'),
    )
    .addOption(osOption('show entries that are not present, too: what they mean to linux or windows'))
    .addHelpText('after', MAP_EXPLANATION)
    .action(async (paths: string[], options: MapOptions & ColorOption & { readonly example?: boolean }) => {
      const { map } = await import('./map.ts');
      const all = options.example ? [...paths, EXAMPLE] : paths;
      if (all.length === 0) throw new Failure('map: expected a DUMP, got none: name one, or try --example');
      await within(options, (surroundings) => map(all, options, surroundings));
    });

  spaceOptions(program.command('walk').argument('<DUMP>', 'a dump of memory, plain or gzipped'))
    .argument('<VA...>', 'addresses, in hexadecimal, or cr2, rip, rsp; before them, the other files of a dump')
    .description('explain what becomes of an access to an address, level by level')
    .addOption(
      new Option('--access <rwx>', 'r read, w write, x fetch; several are walked each')
        .argParser(parseAccess)
        .default([0], 'r'),
    )
    .option('--user', 'access in user mode (default: supervisor)')
    .addOption(withinOption('--cpl', 0, 3, 'access at this privilege level: 3 is user mode'))
    .option('--json', 'a line of JSON a walk')
    .addOption(osOption('tell what an entry that is not present means to linux or windows'))
    .addHelpText('after', WALK_EXPLANATION)
    .action(async (path: string, rest: string[], options: WalkOptions & ColorOption) => {
      const first = rest.findIndex(isAddress);
      const others = rest.slice(0, Math.max(first, 0));
      const addresses = rest.slice(others.length).map((text) => parseAddress('VA', text));
      const { walk } = await import('./walk.ts');
      await within(options, (surroundings) => walk([path, ...others], addresses, options, surroundings));
    });

  addQuestions(program);
  colorOptions(program.command('replay').argument('<TRACE...>', 'recordings or scenarios, plain or gzipped'))
    .description('run operations on huge pages on a model of Linux, and show where it differs from a recording')
    .option('--trace', "the model's record of every operation, not only of those that differ")
    .option('--run', 'a line an operation: its result, and what it changed')
    .option('--write', 'put results and states into TRACE where it tells none; nothing, if something differs')
    .option('--force', 'with --write: also in the place of what differs')
    .addHelpText('after', REPLAY_EXPLANATION)
    .action(async (paths: string[], options: ReplayOptions & ColorOption) => {
      const { replay } = await import('./replay.ts');
      process.exitCode = await within(options, (surroundings) => replay(paths, options, surroundings));
    });

  addExplore(program);
  return program;
}

/** What may be asked of a dump, beside what is mapped. */
function addQuestions(program: Command): void {
  colorOptions(
    dumpOptions(program.command('roots').argument('<DUMP...>', 'a dump of memory; all its files, if several')),
  )
    .description('search the memory of a dump for root tables, with evidence')
    .addOption(cBitOption())
    .option('--json', 'a line of JSON a root')
    .action(async (paths: string[], options: RootsOptions & ColorOption) => {
      const { roots } = await import('./roots.ts');
      await within(options, (surroundings) => roots(paths, options, surroundings));
    });
  spaceOptions(
    program
      .command('read')
      .argument('<DUMP>', 'a dump; all its files, if several')
      .argument('<VA>', 'first address, in hexadecimal'),
  )
    .argument('<LENGTH...>', 'bytes, in decimal, or in hexadecimal with 0x')
    .usage('[options] <DUMP...> <VA> <LENGTH>')
    .description('show the bytes at linear addresses')
    .option('--raw', 'the bytes themselves, and nothing else')
    .action(async (path: string, second: string, rest: string[], options: ReadOptions & ColorOption) => {
      const words = [path, second, ...rest];
      const [address, bytes] = [parseHex('VA', words.at(-2)!), parseLength(words.at(-1)!)];
      const { read } = await import('./read.ts');
      await within(options, (surroundings) => read(words.slice(0, -2), address, bytes, options, surroundings));
    });
  spaceOptions(
    program
      .command('reverse')
      .argument('<DUMP>', 'a dump; all its files, if several')
      .argument('<PA...>', 'a physical address'),
  )
    .usage('[options] <DUMP...> <PA>')
    .description('show who maps a physical address, over the roots of all processors')
    .option('--roots', 'over all roots that a search finds in memory, too')
    .option('--json', 'a line of JSON a mapping')
    .action(async (path: string, rest: string[], options: ReverseOptions & ColorOption) => {
      const physical = parseHex('PA', rest.at(-1)!);
      const { reverse } = await import('./reverse.ts');
      await within(options, (surroundings) => reverse([path, ...rest.slice(0, -1)], physical, options, surroundings));
    });
  spaceOptions(
    program
      .command('diff')
      .argument('<DUMP>', 'the one')
      .argument(
        '<DUMP...>',
        'the other, or the same; of dumps of several files, all of the one, then as many of the other',
      ),
  )
    .usage('[options] <DUMP...> <DUMP...>')
    .description('show what differs between two address spaces')
    .addOption(hexOption('--to-cr3', 'HEX', 'root table in the second dump, where it is another'))
    .option('--marks', 'A and D count, too, which processors set as they go')
    .option('--json', 'a line of JSON a range that differs')
    .action(async (first: string, rest: string[], options: DiffCliOptions & ColorOption) => {
      const paths = [first, ...rest];
      const half = paths.length / 2;
      if (!Number.isInteger(half)) {
        throw new Failure(`diff: expected as many files of the one dump as of the other, got ${paths.length} in all`);
      }
      const { diff } = await import('./diff.ts');
      const both = [paths.slice(0, half), paths.slice(half)] as const;
      process.exitCode = await within(options, (surroundings) => diff(both, options, surroundings));
    });
}

function addExplore(program: Command): void {
  const command = colorOptions(
    program.command('explore').argument('<SCENARIO...>', 'scenarios with tasks, plain or gzipped'),
  )
    .description('run every interleaving that matters of what several tasks do, and show the one that breaks something')
    .addOption(countOption('--preemptions', 'most preemptions of an interleaving (default: any number)'))
    .addOption(countOption('--seconds', 'most seconds for a sequence (default: until nothing is left)'))
    .addOption(countOption('--workers', 'threads that search the interleavings (default: none but this one)'))
    .addOption(countOption('--random', 'so many executions by chance, for what is too large to be searched'))
    .addOption(countOption('--seed', 'with --random: another seed, other executions (default: 1)'))
    .option('--trace', 'everything that the model recorded in what was found')
    .option('--save <FILE>', 'write the first finding as a scenario, with the schedule that shows it again')
    .option('--svg <FILE>', 'draw the first finding as a time line')
    .addOption(new Option('--shard <K/N>', 'search one of N parts of the interleavings').argParser(parseShard))
    .option('--out <FILE>', 'with --shard: where to write what was done')
    .option('--known <FILE...>', 'with --shard: what shards wrote before, which is not searched again')
    .option('--json', 'a line of JSON a sequence')
    .addHelpText('after', EXPLORE_EXPLANATION)
    .action(async (paths: string[], options: ExploreCliOptions & ColorOption) => {
      const { exploreFiles } = await import('./explore.ts');
      process.exitCode = await within(options, (surroundings) => exploreFiles(paths, options, surroundings));
    });
  colorOptions(command.command('merge').argument('<FILE...>', 'what explore --shard wrote'))
    .description('tell what the shards of a search have found together, and which are missing')
    .option('--missing', 'only the numbers of the shards that are to be run (again)')
    .option('--json', 'a line of JSON a sequence')
    /* Options that explore has, too, are taken for its own. */
    .action(async (paths: string[], _: MergeOptions, merge: Command) => {
      const options: MergeOptions & ColorOption = merge.optsWithGlobals();
      const { mergeShards } = await import('./explore-merge.ts');
      process.exitCode = await within(options, (surroundings) => mergeShards(paths, options, surroundings));
    });
}

interface ColorOption {
  readonly color?: boolean;
}

function spaceOptions(command: Command): Command {
  command
    .addOption(hexOption('--cr3', 'HEX', "root table, instead of the dump's CR3"))
    .addOption(hexOption('--cr4', 'HEX', "instead of the dump's CR4 (0x20: 4 levels, 0x1020: 5)"))
    .addOption(
      new Option('--cpu <N>', "whose registers, of the dump's CPUs (default: the first that pages)").argParser(
        parseCpu,
      ),
    )
    .addOption(hexOption('--cr0', 'HEX', "instead of the dump's CR0 (0x80000001: without WP)"))
    .addOption(hexOption('--efer', 'HEX', 'EFER, which most dumps do not keep (0x500: without NXE)'))
    .addOption(
      new Option('--pkru <HEX>', 'PKRU, rights of protection keys, heeded with CR4.PKE').argParser((text) =>
        parseHex32('--pkru', text),
      ),
    )
    .addOption(withinOption('--maxphyaddr', 36, 52, 'bits of a physical address (default: 52)'))
    .addOption(new Option('--vendor <NAME>', 'whose processor (default: intel)').choices(['intel', 'amd']))
    .option('--no-1g', 'a processor without pages of 1 GiB')
    .addOption(cBitOption())
    .option('--la57', 'walk 5 levels, whatever CR4 the dump has');
  return colorOptions(dumpOptions(command));
}

function cBitOption(): Option {
  return withinOption('--c-bit', 32, 51, 'the bit of an entry that says that memory is encrypted (SEV)');
}

function withinOption(name: string, least: number, most: number, description: string): Option {
  return new Option(`${name} <N>`, description).argParser((text) => parseWithin(name, least, most, text));
}

function dumpOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--ranges <LIST>', 'of a raw image: the memory in it, START-END[@OFFSET],...').argParser(parseRanges),
    )
    .option(
      '--format <NAME>',
      "instead of what the file's content tells: raw, elf-core, kdump, lime, avml, vmware or windows",
    )
    .option('--keep-stopped', 'of a machine that runs: let it not go on afterwards')
    .option('--strict', 'fail where something is missing or broken, instead of a warning');
}

function colorOptions(command: Command): Command {
  return command
    .option('--color', 'use colours (default: on a terminal, unless NO_COLOR is set)')
    .option('--no-color', 'use none');
}

function osOption(description: string): Option {
  return new Option('--os <NAME>', description).choices(['linux', 'windows']);
}

function countOption(name: string, description: string): Option {
  return new Option(`${name} <N>`, description).argParser((text) => parseCount(name, text));
}

function hexOption(name: string, value: string, description: string): Option {
  return new Option(`${name} <${value}>`, description).argParser((text) => parseHex(name, text));
}

/** Runs a command in the surroundings of this process; nothing of its progress stays on the terminal. */
async function within<T>({ color }: ColorOption, command: (surroundings: Surroundings) => Promise<T>): Promise<T> {
  const { stdout, stderr, env } = process;
  const progress = new Progress(stderr);
  try {
    return await command({
      output: new Output(stdout),
      errors: stderr,
      progress,
      paint: createPaint(color, stdout.isTTY, env),
      width: stdout.columns || WIDTH,
    });
  } finally {
    progress.clear();
  }
}

/** Commander's message, which may have a second line with a suggestion, as one. */
function oneLine(message: string): string {
  return message.replace(/^error: /, '').replaceAll(/\s+/g, ' ');
}
