/*
 * What drops cached translations from the TLB that is selected, and what it must leave alone. Intel SDM vol. 3A, section 4.10.4.1.
 *
 *                       pages of the context   global pages   tables of the context   other contexts
 *   INVLPG va           that of va             that of va     all                     -
 *   INVPCID 0 va        that of va             -              those on va's path      -
 *   INVPCID 1           all                    -              all                     -
 *   INVPCID 2           all                    all            all                     all
 *   INVPCID 3           all                    -              all                     all but global pages
 *   MOV CR3, bit 63 = 0 like INVPCID 1 of the new PCID; with bit 63 = 1 nothing
 *   MOV CR0, MOV CR4    see the host, which knows the old value: INVPCID 2, INVPCID 1 with global pages, or nothing
 */
import { pcid, rootShift } from "./cpu";
import { LEVEL1_SHIFT, LEVEL3_SHIFT } from "./entry";
import {
  arraysEnd,
  drop,
  forgetPage,
  noteEmpty,
  pageArrays,
  pageSlot,
  TLB_ENTRY_BYTES,
  TLB_GLOBAL,
  tableArrays,
  tableSlot,
  tagOf,
} from "./tlb";

/** INVLPG. */
export function invalidatePage(va: u64): void {
  forgetPage(va);
  dropTables(pcid);
}

/** INVPCID type 0: one address in one context. */
export function invalidatePcidPage(va: u64, context: u64): void {
  for (let shift = LEVEL1_SHIFT; shift <= LEVEL3_SHIFT; shift += 9) {
    const slot = pageSlot(va, shift, context);
    const isGlobal = (load<u64>(slot, 8) & TLB_GLOBAL) != 0;
    if (load<u64>(slot) == tagOf(va, shift, context) && !isGlobal) drop(slot);
  }
  for (let shift = LEVEL1_SHIFT + 9; shift <= rootShift; shift += 9) {
    const slot = tableSlot(va, shift, context);
    if (load<u64>(slot) == tagOf(va, shift, context)) drop(slot);
  }
}

/** INVPCID type 1, MOV to CR3: one context, its global pages excepted. MOV to CR4 drops all global pages with it. */
export function invalidatePcid(context: u64, keepGlobal: bool): void {
  for (let slot = pageArrays(); slot < tableArrays(); slot += TLB_ENTRY_BYTES) {
    const global = (load<u64>(slot, 8) & TLB_GLOBAL) != 0;
    const goes = global ? !keepGlobal : (load<u64>(slot) & 0xfff) == context;
    if (goes) drop(slot);
  }
  dropTables(context);
}

/** INVPCID types 2 (all contexts) and 3 (all contexts, global pages stay). */
export function invalidateAll(keepGlobal: bool): void {
  for (let slot = pageArrays(); slot < arraysEnd(); slot += TLB_ENTRY_BYTES) {
    const stays = keepGlobal && slot < tableArrays() && (load<u64>(slot, 8) & TLB_GLOBAL) != 0;
    if (!stays) drop(slot);
  }
  if (!keepGlobal) noteEmpty();
}

function dropTables(context: u64): void {
  for (let slot = tableArrays(); slot < arraysEnd(); slot += TLB_ENTRY_BYTES) {
    if ((load<u64>(slot) & 0xfff) == context) drop(slot);
  }
}
