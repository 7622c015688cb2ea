/**
 * Keys that an object of a JSON text has twice: JSON.parse takes the last one, and says nothing.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPENING = 0x7b;
const CLOSING = 0x7d;
const SPACE = 0x20;

/**
 * The first key that stands again in its own object, be that the outermost one or inside another.
 *
 * @param json what JSON.parse has accepted: nothing of that is checked again
 * @param parsed what it gave
 */
export function repeatedKey(json: string, parsed: object): string | undefined {
  /* So it is of most lines, and told four times as fast: as many keys in the text as in the object leave none for a second place. */
  return keysIn(json) === Object.keys(parsed).length ? undefined : firstRepeated(json);
}

/** How many keys all objects of a text have. */
function keysIn(json: string): number {
  let count = 0;
  for (let at = json.indexOf('"'); at >= 0; ) {
    const end = endOfString(json, at);
    if (isKey(json, end)) count++;
    at = json.indexOf('"', end + 1);
  }
  return count;
}

function firstRepeated(json: string): string | undefined {
  /* The keys of the objects around a place; lists around it change nothing. */
  const outer: Set<string>[] = [];
  let keys = new Set<string>();
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i);
    if (code === OPENING) {
      outer.push(keys);
      keys = new Set();
    } else if (code === CLOSING) keys = outer.pop()!;
    else if (code === QUOTE) {
      const end = endOfString(json, i);
      if (isKey(json, end)) {
        const key = keyOf(json, i, end);
        if (keys.has(key)) return key;
        keys.add(key);
      }
      i = end;
    }
  }
  return undefined;
}

/** The quote that ends the string which begins at another one: no escape has it. */
function endOfString(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (isEscaped(json, end)) end = json.indexOf('"', end + 1);
  return end;
}

/** Whether an odd number of backslashes stands before a character: an even one is escaped backslashes. */
function isEscaped(json: string, at: number): boolean {
  let before = at;
  while (json.charCodeAt(before - 1) === BACKSLASH) before--;
  return (at - before) % 2 === 1;
}

/** Whether a colon comes next behind a string: then it is a key, and no value. */
function isKey(json: string, end: number): boolean {
  let next = end + 1;
  /* All white space of JSON is at most a blank, and nothing else outside strings is. */
  while (json.charCodeAt(next) <= SPACE) next++;
  return json.charCodeAt(next) === COLON;
}

/** A key without its quotes; one letter has several spellings. */
function keyOf(json: string, start: number, end: number): string {
  const key = json.slice(start + 1, end);
  return key.includes('\\') ? (JSON.parse(`"${key}"`) as string) : key;
}
