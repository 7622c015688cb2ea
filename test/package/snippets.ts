/**
 * The code in the documentation: fenced blocks of Markdown files, and examples in doc comments.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './project.ts';

/** A piece of code and where it stands. */
export interface Snippet {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** The blocks of a Markdown file in one language. */
export function blocksOf(file: string, language: 'ts' | 'sh'): Snippet[] {
  return fenced(readFileSync(join(ROOT, file), 'utf8'), language).map((block) => ({ file, ...block }));
}

/** The examples of all doc comments in a folder. */
export function examplesOf(folder: string): Snippet[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .flatMap((name) => {
      const text = readFileSync(join(ROOT, folder, name), 'utf8').replace(/^ *\* ?/gm, '');
      return fenced(text, 'ts').map((block) => ({ file: join(folder, name), ...block }));
    });
}

function fenced(text: string, language: string): { line: number; text: string }[] {
  const blocks = text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'));
  return [...blocks].map(({ index, 1: code = '' }) => ({ line: text.slice(0, index).split('\n').length, text: code }));
}

/** The first example of README.md: what a newcomer copies. */
export function firstExample(): Snippet {
  const [first] = blocksOf('README.md', 'ts');
  if (!first) throw new Error('README.md has no ```ts block');
  return first;
}
