/**
 * Lines of aligned columns.
 *
 * @param align a letter a column: `l` or `r`
 * @param widthOf how many columns of the screen a cell takes
 */
export function alignColumns(
  rows: readonly (readonly string[])[],
  align: string,
  gap: string = '  ',
  widthOf: (cell: string) => number = ({ length }) => length,
): string[] {
  const widths = [...align].map((_, i) => rows.reduce((widest, row) => Math.max(widest, widthOf(row[i] ?? '')), 0));
  return rows.map((row) =>
    row
      .map((cell, i) => {
        const padding = ' '.repeat(Math.max(0, widths[i]! - widthOf(cell)));
        return align[i] === 'r' ? padding + cell : cell + padding;
      })
      .join(gap)
      .trimEnd(),
  );
}
