/**
 * Which name somebody may have meant who wrote another.
 */

/** So many letters may be wrong, left out, or too many. */
const MOST_EDITS = 2;

/** Those of `names` that are nearest to what was written, if any is near enough; capitals do not count. */
export function nearest(written: string, names: readonly string[]): string[] {
  const edits = names.map((name) => editsBetween(written.toLowerCase(), name.toLowerCase()));
  const least = Math.min(...edits);
  const enough = Math.min(MOST_EDITS, Math.floor(written.length / 3));
  const beginning = names.filter((name) => written.length > 2 && name.toLowerCase().startsWith(written.toLowerCase()));
  return least <= enough ? names.filter((_, i) => edits[i] === least) : beginning;
}

/** The Levenshtein distance: letters to put in, take out or replace, to make one text of the other. */
function editsBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = above[j - 1]! + (one[i - 1] === other[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, above[j]! + 1, row[j - 1]! + 1));
    }
  }
  return row[other.length]!;
}
