/*
 * The processor that a sweep is made for.
 */

/** Levels of its tables: 4 or 5. */
export let levels: u32 = 4;
/** MAXPHYADDR, to the sweep that varies bit 36 and bit 51. */
export let width: u32 = 46;
/** Whether it has protection keys for user pages, to the same sweep. */
export let hasKeys: bool = false;

export function setProcessor(tableLevels: u32, maxPhysicalAddress: u32, protectionKeys: bool): void {
  levels = tableLevels;
  width = maxPhysicalAddress;
  hasKeys = protectionKeys;
}
