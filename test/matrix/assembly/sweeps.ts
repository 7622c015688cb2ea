/*
 * The sweeps by number, in the order in which the host names them. Each has
 *
 *   LENGTH        bits of a combination        FREE   how many of the lowest are free (choice.ts)
 *   legal(c)      whether the combination whose free bits are 0 is one
 *   registers(c)  fills the record's registers and access, and ordinary entries; they do not depend on free bits
 *   entries(c)    fills in what the combination says of the entries, and whether the access is made twice
 */
import * as classic from "./classic";
import * as global from "./global";
import * as keys from "./keys";
import * as large from "./large";
import * as lass from "./lass";
import * as shadow from "./shadow";
import * as supervisor from "./supervisor";
import * as upper from "./upper";
import * as width from "./width";

export const CLASSIC: u32 = 0;
export const LARGE: u32 = 1;
export const UPPER: u32 = 2;
export const SUPERVISOR: u32 = 3;
export const KEYS: u32 = 4;
export const SHADOW: u32 = 5;
export const GLOBAL: u32 = 6;
export const LASS: u32 = 7;
export const WIDTHS: u32 = 8;

/** Bits of a combination. */
export function lengthOf(sweep: u32): u32 {
  switch (sweep) {
    case CLASSIC:
      return classic.LENGTH;
    case LARGE:
      return large.LENGTH;
    case UPPER:
      return upper.LENGTH;
    case SUPERVISOR:
      return supervisor.LENGTH;
    case KEYS:
      return keys.LENGTH;
    case SHADOW:
      return shadow.LENGTH;
    case GLOBAL:
      return global.LENGTH;
    case LASS:
      return lass.LENGTH;
    default:
      return width.LENGTH;
  }
}

/** How many of them are free. */
export function freeOf(sweep: u32): u32 {
  switch (sweep) {
    case CLASSIC:
      return classic.FREE;
    case LARGE:
      return large.FREE;
    case UPPER:
      return upper.FREE;
    case SUPERVISOR:
      return supervisor.FREE;
    case KEYS:
      return keys.FREE;
    case SHADOW:
      return shadow.FREE;
    case GLOBAL:
      return global.FREE;
    case LASS:
      return lass.FREE;
    default:
      return width.FREE;
  }
}

export function legal(sweep: u32, c: u32): bool {
  switch (sweep) {
    case CLASSIC:
      return classic.legal(c);
    case LARGE:
      return large.legal(c);
    case UPPER:
      return upper.legal(c);
    case SUPERVISOR:
      return supervisor.legal(c);
    case KEYS:
      return keys.legal(c);
    case SHADOW:
      return shadow.legal(c);
    case GLOBAL:
      return global.legal(c);
    case LASS:
      return lass.legal(c);
    default:
      return width.legal(c);
  }
}

export function registers(sweep: u32, c: u32): void {
  switch (sweep) {
    case CLASSIC:
      return classic.registers(c);
    case LARGE:
      return large.registers(c);
    case UPPER:
      return upper.registers(c);
    case SUPERVISOR:
      return supervisor.registers(c);
    case KEYS:
      return keys.registers(c);
    case SHADOW:
      return shadow.registers(c);
    case GLOBAL:
      return global.registers(c);
    case LASS:
      return lass.registers(c);
    default:
      return width.registers(c);
  }
}

export function entries(sweep: u32, c: u32): void {
  switch (sweep) {
    case CLASSIC:
      return classic.entries(c);
    case LARGE:
      return large.entries(c);
    case UPPER:
      return upper.entries(c);
    case SUPERVISOR:
      return supervisor.entries(c);
    case KEYS:
      return keys.entries(c);
    case SHADOW:
      return shadow.entries(c);
    case GLOBAL:
      return global.entries(c);
    case LASS:
      return lass.entries(c);
    default:
      return width.entries(c);
  }
}
