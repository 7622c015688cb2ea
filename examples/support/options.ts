/** The options of an example: numbers, each with a default, and clear words for what is none. */
import { parseArgs } from 'node:util';

/** An option that is a number, or an amount of memory. */
export interface NumberOption {
  /** What it is, for --help. */
  readonly about: string;
  /** As one would type it. */
  readonly standard: string;
  readonly kind: 'number' | 'whole number' | 'bytes';
  readonly least: number;
  readonly most: number;
  /** Of bytes: what they have to be a multiple of. */
  readonly unit?: number;
}

/** The options by their names, without the dashes. */
export type NumberOptions<Name extends string> = Readonly<Record<Name, NumberOption>>;

/** A mistake in the options: one line. */
export class OptionError extends Error {}

/**
 * Reads the arguments of a program.
 *
 * @returns the numbers, or undefined where --help was asked for
 * @throws OptionError for arguments that are none of the options, or no such number
 */
export function readOptions<Name extends string>(
  args: readonly string[],
  options: NumberOptions<Name>,
): Record<Name, number> | undefined {
  const names = Object.keys(options) as Name[];
  const known = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  const values = parsed(args, { ...known, help: { type: 'boolean' as const } });
  if (values.help === true) return undefined;
  const numbers = names.map((name) => [name, read(name, options[name], values[name] ?? options[name].standard)]);
  return Object.fromEntries(numbers) as Record<Name, number>;
}

function parsed(
  args: readonly string[],
  options: Record<string, { type: 'string' | 'boolean' }>,
): Record<string, unknown> {
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    throw new OptionError((error as Error).message.split('\n')[0]);
  }
}

function read(name: string, option: NumberOption, given: unknown): number {
  const text = String(given);
  const value = option.kind === 'bytes' ? bytesOf(text) : /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  const { kind, least, most, unit = kind === 'number' ? undefined : 1 } = option;
  if (value >= least && value <= most && (unit === undefined || value % unit === 0)) return value;
  throw new OptionError(`--${name}: expected ${expectation(option)}, got ${JSON.stringify(text)}`);
}

function bytesOf(text: string): number {
  const [, digits, unit] = /^(\d+)(MiB|GiB)$/.exec(text) ?? [];
  return digits === undefined ? Number.NaN : Number(digits) * (unit === 'MiB' ? 2 ** 20 : 2 ** 30);
}

function expectation({ kind, least, most, unit }: NumberOption): string {
  if (kind !== 'bytes') return `a ${kind} from ${least} to ${most}`;
  const multiple = unit === undefined ? '' : `, a multiple of ${bytesText(unit)}`;
  return `bytes from ${bytesText(least)} to ${bytesText(most)}${multiple}`;
}

function bytesText(bytes: number): string {
  return bytes < 2 ** 30 ? `${bytes / 2 ** 20}MiB` : `${bytes / 2 ** 30}GiB`;
}

/** The text of --help. */
export function helpText<Name extends string>(usage: string, options: NumberOptions<Name>): string {
  const lines = Object.entries<NumberOption>(options).map(
    ([name, { about, standard }]) => `  ${`--${name}`.padEnd(14)} ${about} (default ${standard})`,
  );
  return `${usage}\n\n${lines.join('\n')}`;
}

/** Runs a program: exit status 2 and one line for a mistake in its options. */
export function runProgram<Name extends string>(
  name: string,
  about: string,
  options: NumberOptions<Name>,
  program: (values: Record<Name, number>) => void,
): void {
  try {
    const values = readOptions(process.argv.slice(2), options);
    if (values) program(values);
    else console.log(helpText(`${name}: ${about}`, options));
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    console.error(`${name}: ${error.message}`);
    process.exitCode = 2;
  }
}
