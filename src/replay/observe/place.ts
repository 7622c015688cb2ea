/**
 * Places in memory, by names that a scenario's reader knows.
 */
import { hex } from '../../core/errors.ts';

/** A place in memory: in a file's page, or in a huge page that no file of the scenario has; or a frame, where the name stays and the memory moves. */
export interface Place {
  /** `file 0`, `once file 0` of a page that the file has no more, `private`, `shared`, `pfn`. */
  readonly owner: string;
  /** In the unit of `page`: a file's page; of `private` and `shared` the number of the huge page, and in it. Of `pfn` the frame's number. */
  readonly at: number;
}

/** Frames, whose numbers the trace has, too. */
export const PFN = 'pfn';

/** Before a file's name: of a page that the file has no more. */
export const ONCE = 'once ';

/** Whether a place is so many pages behind another one. */
export function follows(place: Place | undefined, pages: number, next: Place | undefined): boolean {
  if (!place || !next) return place === next;
  return place.owner === next.owner && place.at + pages === next.at;
}

/** `file 0 pages 5-7`, `private 1`, `private 1 pages 5-7` of its pieces, `pfn 0x100000`. @param unit pages of a huge page */
export function placeWords({ owner, at }: Place, pages: number, unit: number): string {
  if (owner === PFN) return `${owner} ${hex(at)}`;
  if (isOfFile(owner)) return `${owner} ${numbered('page', at, pages)}`;
  const number = Math.floor(at / unit);
  if (pages % unit === 0) return `${owner} ${through(number, pages / unit)}`;
  return `${owner} ${number} ${numbered('page', at % unit, pages)}`;
}

/** Huge pages, whatever the unit: `file 0 huge page 1`, `private 1-2`. */
export function hugePageWords({ owner, at }: Place, pages: number, unit: number): string {
  const [first, count] = [Math.floor(at / unit), pages / unit];
  const name = unit === 1 ? 'page' : 'huge page';
  return isOfFile(owner) ? `${owner} ${numbered(name, first, count)}` : `${owner} ${through(first, count)}`;
}

/** `page 5`, `pages 5-7`. */
export function numbered(name: string, first: number, count: number): string {
  return `${name}${count === 1 ? '' : 's'} ${through(first, count)}`;
}

function isOfFile(owner: string): boolean {
  return owner.startsWith('file ') || owner.startsWith(ONCE);
}

function through(first: number, count: number): string {
  return count === 1 ? `${first}` : `${first}-${first + count - 1}`;
}
