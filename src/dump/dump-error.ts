/** What stands for a character that would break a message's one line, or hide part of it. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;

/**
 * A dump that cannot be read: its file is damaged, truncated, of another format, or lacks what was asked of it.
 * The message is one line: the file's name, what was expected, what was found (numbers in hex).
 *
 * @example
 * ```text
 * guest.elf: program header 3: expected 0x5000 bytes at file offset 0x1000, found the end of the file at 0x1234
 * ```
 */
export class DumpError extends RangeError {
  override readonly name = 'DumpError';

  /**
   * @param dump the file's name
   * @param problem what was expected and what was found
   */
  constructor(dump: string, problem: string, options?: ErrorOptions) {
    const line = `${dump}: ${problem}`;
    super(
      line.replace(CONTROL, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`),
      options,
    );
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
