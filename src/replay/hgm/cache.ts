/**
 * The huge pages of files, as states list them.
 */
import type { Folio } from '../../linux/pool/folio.ts';
import type { CacheEntry, MapcountRun } from '../line/states.ts';
import type { HgmStage } from './stage.ts';

/** The page cache of every file, in order. */
export function cacheOf({ files, setting }: HgmStage): CacheEntry[] {
  const each = setting.hgm.version === 'v2';
  return files.flatMap(({ inode }, file) =>
    inode.pageCache.range(0, Number.MAX_SAFE_INTEGER).map((folio): CacheEntry => {
      const { index, mapcount, refcount } = folio;
      return each ? [file, index, mapcount, refcount, mapcountsOf(folio)] : [file, index, mapcount, refcount];
    }),
  );
}

function mapcountsOf(folio: Folio): MapcountRun[] {
  const runs: MapcountRun[] = [];
  let first = 0;
  let mapcount = folio.pageMapcount(0);
  for (let page = 1; page <= folio.pages; page++) {
    const next = page < folio.pages ? folio.pageMapcount(page) : undefined;
    if (next === mapcount) continue;
    runs.push([first, page - first, mapcount]);
    first = page;
    if (next !== undefined) mapcount = next;
  }
  return runs;
}
