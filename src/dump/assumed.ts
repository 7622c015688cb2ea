/**
 * What an answer depends on that nobody told: in words, and where it decides.
 */
import { Access } from '../mmu/access.ts';
import { nxe } from '../mmu/bits/efer.ts';
import { addressMask, executeDisable, global, pageSize, present, protectionKeyMask } from '../mmu/bits/entry.ts';
import type { Registers } from '../mmu/registers.ts';
import type { ExplainedStep, Explanation } from '../reference/explain.ts';
import type { RootOrigin } from './root-choice.ts';

/** What was assumed, a word each: `EFER.NXE=1`. */
export function assumedWords({ assumed }: RootOrigin, registers: Registers): string[] {
  const { cr0, efer, pkru, maxPhysicalAddress, vendor, page1G } = registers;
  const words: Partial<Record<keyof Registers, string>> = {
    cr0: `CR0=0x${cr0.toString(16)}`,
    cr4: 'CR4 without SMEP, SMAP and protection keys',
    efer: `EFER.NXE=${efer & nxe ? 1 : 0}`,
    pkru: `PKRU=0x${pkru.toString(16)}`,
    maxPhysicalAddress: `MAXPHYADDR ${maxPhysicalAddress}`,
    vendor: `a processor as ${vendor === 'amd' ? "AMD's" : "Intel's"}`,
    page1G: `1 GiB pages ${page1G ? 'known' : 'unknown'} to it`,
  };
  return assumed.flatMap((name) => words[name] ?? []);
}

/** Bits of a physical address that every machine of today may have in use: QEMU's default. One above them is rarely a true one. */
const USUAL_WIDTH = 40n;

/**
 * Where an assumption decides what becomes of a walk, a line each: an entry on the way has a bit that another processor reserves
 * (Intel SDM vol. 3A, 4.5.4 and table 4-15; AMD64 Architecture Programmer's Manual vol. 2, figure 5-21: bit 8 of a PML4E), or the page
 * is one that SMEP, SMAP or protection keys may close (SDM vol. 3A, 4.6).
 */
export function decidedByAssumption(explanation: Explanation, { assumed }: RootOrigin, registers: Registers): string[] {
  const unknown = new Set<keyof Registers>(assumed);
  const used = explanation.steps.filter(({ entry }) => entry & present);
  return [...byReservedBits(used, unknown, registers), ...byRights(explanation, used, unknown)];
}

function byReservedBits(
  used: readonly ExplainedStep[],
  unknown: ReadonlySet<keyof Registers>,
  registers: Registers,
): string[] {
  const named = (has: (step: ExplainedStep) => unknown): string | undefined =>
    used.find((step) => Boolean(has(step)))?.name;
  const lines: string[] = [];
  const xd = named(({ entry }) => entry & executeDisable);
  if (xd && unknown.has('efer') && registers.efer & nxe) {
    lines.push(`XD is set in the ${xd}, and EFER is not known: with NXE=0 every access would fault (--efer 0x500)`);
  }
  const g = named(({ entry, level }) => level >= 4 && entry & global);
  if (g && unknown.has('vendor')) {
    lines.push(
      `bit 8 is set in the ${g}, and the vendor is not known: on AMD's every access would fault (--vendor amd)`,
    );
  }
  const far = used.find(({ entry }) => (entry & addressMask) >> USUAL_WIDTH);
  if (far && unknown.has('maxPhysicalAddress')) {
    const width = (far.entry & addressMask).toString(2).length;
    lines.push(
      `bit ${width - 1} of the address is set in the ${far.name}, and MAXPHYADDR is not known: with less than ${width} every access would fault (--maxphyaddr 40); or it is a C-bit (--c-bit ${width - 1})`,
    );
  }
  const giant = named(({ entry, level }) => level === 3 && entry & pageSize);
  if (giant && unknown.has('page1G') && unknown.has('cr0')) {
    lines.push(`the ${giant} maps 1 GiB: a processor without such pages would fault (--no-1g)`);
  }
  return lines;
}

function byRights(
  { outcome, access }: Explanation,
  used: readonly ExplainedStep[],
  unknown: ReadonlySet<keyof Registers>,
): string[] {
  if (outcome.kind !== 'page' || !outcome.user) return [];
  const lines: string[] = [];
  if (unknown.has('cr4') && !(access & Access.user)) {
    const [name, cr4] = access & Access.fetch ? ['SMEP', '0x100020'] : ['SMAP', '0x200020'];
    lines.push(`the page is user mode's, and CR4 is not known: with ${name} the access would fault (--cr4 ${cr4})`);
  }
  const key = used.at(-1)!.entry & protectionKeyMask;
  if (key && unknown.has('pkru') && !(access & Access.fetch)) {
    lines.push('the page has a protection key, and PKRU is not known: it may close the page (--pkru)');
  }
  return lines;
}
