/** Text for people: numbers with units, tables, bars. */

/** Lines of aligned columns, the first one to the left. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A bar of at most `width` cells for a part of a whole; whatever is there at all shows. */
export function bar(part: number, whole: number, width: number, glyph = '█'): string {
  if (part === 0) return '';
  return glyph.repeat(Math.max(1, Math.round((part / whole) * width)));
}

/** A number with a comma between thousands. */
export function count(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Microseconds in a unit that suits them, in three digits: `53.3 µs`, `1.73 ms`, `0.859 s`. */
export function time(microseconds: number): string {
  const units = ['µs', 'ms', 's'];
  let unit = 0;
  let size = microseconds;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${Number(size.toPrecision(3))} ${units[unit]}`;
}

/** Bytes likewise: `4 KiB`, `1.5 GiB`. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let amount = bytes;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${Number(amount.toPrecision(amount >= 1000 ? 4 : 3))} ${units[unit]}`;
}
