/**
 * Which number a register has: the target description, XML that a stub gives. Registers are numbered in their order, unless
 * `regnum` says another; files that are included stand where they are.
 */

/** Registers of a target description, by name. */
export type RegisterNumbers = ReadonlyMap<string, number>;

const MOST_FILES = 16;

/**
 * @param file gives a file of the description, from `target.xml` on; undefined where there is none
 */
export async function registerNumbers(file: (name: string) => Promise<string | undefined>): Promise<RegisterNumbers> {
  const numbers = new Map<string, number>();
  let next = 0;
  let files = 0;
  const take = async (name: string): Promise<void> => {
    const text = ++files <= MOST_FILES ? await file(name) : undefined;
    if (text === undefined) return;
    for (const [tag, kind] of withoutComments(text).matchAll(/<(reg|xi:include)\s[^<>]*>/g)) {
      if (kind === 'xi:include') {
        const href = attribute(tag, 'href');
        if (href !== undefined) await take(href);
        continue;
      }
      const number = Number(attribute(tag, 'regnum') ?? next);
      const register = attribute(tag, 'name');
      if (register !== undefined && Number.isSafeInteger(number)) numbers.set(register, number);
      next = number + 1;
    }
  };
  await take('target.xml');
  return numbers;
}

function withoutComments(text: string): string {
  const [head, ...parts] = text.split('<!--');
  return [head, ...parts.map((part) => (part.includes('-->') ? part.slice(part.indexOf('-->') + 3) : ''))].join('');
}

function attribute(tag: string, name: string): string | undefined {
  return new RegExp(`\\s${name}\\s*=\\s*["']([^"']*)["']`).exec(tag)?.[1];
}
