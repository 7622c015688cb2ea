#!/usr/bin/env node
/**
 * The command `hugewalk`.
 */
import { describeFailure, EXIT } from './cli/failure.ts';
import { ReaderGone } from './cli/output.ts';
import { run } from './cli/program.ts';

try {
  await run(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ReaderGone)) {
    const { text, status } = describeFailure(error);
    process.stderr.write(text);
    process.exitCode = status;
  } else {
    process.exitCode = EXIT.done;
  }
}
