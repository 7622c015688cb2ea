/**
 * The README's picture is what the command prints today.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test('the picture in the README is the output of the command above it', () => {
  const readme = readFileSync('README.md', 'utf8');
  const [, command, picture] = /```console\n\$ npx hugewalk (.*)\n([\s\S]*?)\n```/.exec(readme)!;
  const output = execFileSync(process.execPath, ['dist/cli.js', ...command!.split(' ')], { encoding: 'utf8' });
  expect(output.slice(0, picture!.length)).toBe(picture);
});
