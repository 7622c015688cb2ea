/**
 * follow_page. mm/hugetlb.c of Linux 6.1: follow_huge_pmd_pte, follow_huge_pud.
 */
import { expect, test } from 'vitest';
import { PTE_UFFD_WP_MARKER } from '../../../src/linux/base/pte.ts';
import { FOLL_DUMP, FOLL_GET, FOLL_PIN, FOLL_WRITE, PROT_NONE, PROT_READ } from '../../../src/linux/index.ts';
import { folioOf, fork, GIB, HUGE, leafOf, PAGE, scene, splitLeaf } from './support.ts';

test('nothing is faulted in', () => {
  const { machine, process, at } = scene();
  expect(process.followPage(at, FOLL_GET | FOLL_WRITE)).toBeUndefined();
  expect(process.followPage(at, FOLL_DUMP)).toBeUndefined();
  expect(process.followPage(at + HUGE, 0)).toBeUndefined();
  expect(machine.hstate().freeHugePages).toBe(1);
});

test('the frame within the page; no reference unless it is asked for', () => {
  for (const hugePageSize of [HUGE, GIB]) {
    const { process, at } = scene({ hugePageSize, touched: true });
    const folio = folioOf(process, at);
    expect(process.followPage(at + 9 * PAGE + 5, 0)).toBe(folio.pfn + 9);
    expect(folio.getcount).toBe(0);
    expect(process.followPage(at + 9 * PAGE, FOLL_GET)).toBe(folio.pfn + 9);
    expect([folio.getcount, folio.refcount]).toEqual([1, 2]);
    process.putPages([folio.pfn + 9]);
  }
});

test('FOLL_PIN is not supported: nothing, with a page or without', () => {
  const { process, at } = scene({ touched: true });
  expect(process.followPage(at, FOLL_PIN)).toBeUndefined();
  expect(process.followPage(at, FOLL_PIN | FOLL_GET)).toBeUndefined();
  expect(folioOf(process, at).refcount).toBe(1);
});

test('rights are not looked at: read-only, shared with a child, PROT_NONE', () => {
  const { process, at } = scene({ pool: 2, touched: true, prot: PROT_READ });
  const { pfn } = folioOf(process, at);
  expect(process.followPage(at, FOLL_WRITE)).toBe(pfn);
  expect(fork(process).followPage(at, FOLL_WRITE)).toBe(pfn);
  process.mprotect(at, HUGE, PROT_NONE);
  expect(process.followPage(at, FOLL_WRITE)).toBe(pfn);
});

test('a marker is no page', () => {
  const { machine, process, at } = scene({ count: 2, shared: true });
  process.write(at + HUGE, 1);
  machine.tables.write(leafOf(process, at).ptep, PTE_UFFD_WP_MARKER);
  expect(process.followPage(at, 0)).toBeUndefined();
});

test('an overflow of the reference count: nothing', () => {
  const { process, at } = scene({ touched: true });
  const folio = folioOf(process, at);
  folio.refcount += 2 ** 31;
  folio.getcount += 2 ** 31;
  expect(process.followPage(at, FOLL_GET)).toBeUndefined();
  expect(process.followPage(at, 0)).toBe(folio.pfn);
});

test('in a huge page of smaller leaves the offset is that within the leaf, not within the huge page', () => {
  const { process, at } = scene({ hugePageSize: GIB, shared: true, touched: true });
  const { pfn } = folioOf(process, at);
  splitLeaf(process, at);
  splitLeaf(process, at + 5 * HUGE);
  /* The other way, the leaf's place in the huge page would count twice. */
  for (const address of [7 * HUGE + 3 * PAGE, 5 * HUGE + 3 * PAGE, 5 * HUGE]) {
    expect(process.followPage(at + address, 0)).toBe(pfn + address / PAGE);
  }
});
