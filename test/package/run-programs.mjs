/*
 * Imports the programs that are named, one after the other, and writes to the file that is named first what became of each that failed, as
 * JSON: {path: error}. One process for all of them takes a tenth of the time of one for each.
 */
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [, , report, ...programs] = process.argv;
const failures = Object.fromEntries(programs.map((path) => [path, 'was not reached, or has not ended']));
let current;
const failed = (error) => {
  failures[current] = String(error?.stack ?? error);
};
/* Also where a program takes the process with it. */
process.on('exit', () => writeFileSync(report, JSON.stringify(failures)));
process.on('unhandledRejection', failed);
process.on('uncaughtException', failed);

for (const path of programs) {
  current = path;
  try {
    await import(pathToFileURL(path).href);
    /* What it has left to run, or to be rejected. */
    await new Promise((resolve) => setTimeout(resolve));
    if (failures[path] === 'was not reached, or has not ended') delete failures[path];
    if (process.exitCode) failed(`set the exit code ${process.exitCode}`);
  } catch (error) {
    failed(error);
  }
  process.exitCode = 0;
}
