/**
 * How a command ends when it does not end well: one line on stderr, and an exit status that says whose fault it is.
 */
import { DumpError } from '../dump/dump-error.ts';
import { printable } from './text.ts';

/** Exit statuses. A fault, a hole or a broken table is an answer: it ends with `done`. */
export const EXIT = {
  done: 0,
  /** The output is not complete: it was stopped, or could not be written. */
  incomplete: 1,
  /** The model does something else than the scenario says. */
  differences: 1,
  /** A file, an argument or an option is wrong. */
  badInput: 2,
  /** Ctrl-C, as shells have it, where it is not how a command ends. */
  interrupted: 130,
  /** A defect of hugewalk: EX_SOFTWARE of sysexits.h. */
  defect: 70,
} as const;

/** An end that was foreseen; the message is one line, and names what it is about. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly status: number;

  constructor(message: string, status: number = EXIT.badInput) {
    super(message);
    this.status = status;
  }
}

/** The arguments of the library that a user gives as options. */
const OPTION = /^(cpu|cr0|cr3|cr4|efer|from|to|format|ranges\S*): /;

/** What to print on stderr, and the exit status. */
export function describeFailure(error: unknown): { readonly text: string; readonly status: number } {
  if (error instanceof Failure) return { text: line(error.message), status: error.status };
  if (error instanceof DumpError) return { text: line(error.message), status: EXIT.badInput };
  if (error instanceof RangeError && OPTION.test(error.message)) {
    return { text: line(`--${error.message}`), status: EXIT.badInput };
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { text: `${line('a defect of hugewalk, please report it:')}${stack}\n`, status: EXIT.defect };
}

/** A message as a line of this program's. */
export function line(message: string): string {
  return `hugewalk: ${printable(message)}\n`;
}
