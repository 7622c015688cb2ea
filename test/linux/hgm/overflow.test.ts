/**
 * References of a page that is mapped in pieces are as many as there are leaves: 8,192 mappings of a 1 GiB page by 4 KiB are 2^31, more than an
 * `int` counts. Nobody gets one then. The HGM series, v2, patch 35: hugetlb_try_find_lock_folio, copy_hugetlb_page_range.
 */
import { describe, expect, test } from 'vitest';
import {
  FOLL_GET,
  UFFD_FEATURE_EVENT_FORK,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
} from '../../../src/linux/index.ts';
import { continuePages, folioOf, hgmScene, KIB4, ok, PAGES_1G, shape } from './support.ts';

const MOST = 2 ** 31 - 1;

describe('a page that has all the references that can be counted', () => {
  test('1 GiB by 4 KiB is 2^18 references a mapping, and 2^31 for 2^13 mappings', () => {
    expect(PAGES_1G * 2 ** 13).toBe(MOST + 1);
  });

  test('cannot be continued: EFAULT; nor faulted in: SIGBUS; and has no reference more', () => {
    const scene = hgmScene({ checks: false });
    continuePages(scene, 0, 1);
    const folio = folioOf(scene.machine, 0);
    folio.refcount = MOST;
    expect(scene.uffd.continue(scene.at + KIB4, KIB4).done).toBe('EFAULT');
    ok(scene.uffd.unregister(scene.at, scene.length));
    expect(scene.process.read(scene.at + KIB4)).toBe('SIGBUS');
    expect(scene.process.write(scene.at + KIB4, 1)).toBe('SIGBUS');
    expect([folio.refcount, folio.leaves, folio.lock.isHeld]).toEqual([MOST, 1, false]);
    expect(shape(scene)).toEqual([[0, 1, 1]]);
    /* One less is enough. */
    folio.refcount = MOST - 1;
    expect(scene.process.read(scene.at + KIB4)).not.toBe('SIGBUS');
    expect(folio.refcount).toBe(MOST);
  });

  test('is not grabbed by GUP', () => {
    const scene = hgmScene({ checks: false });
    continuePages(scene, 0, 1);
    folioOf(scene.machine, 0).refcount = MOST + 1;
    expect(scene.process.getUserPages(scene.at, 1, FOLL_GET, [])).toBe('ENOMEM');
  });

  test.each([
    { name: 'one leaf too many', room: 2, leaves: 3 },
    { name: 'none left', room: 0, leaves: 1 },
  ])('a fork that would copy its leaves fails, $name, and gives back what it took', ({ room, leaves }) => {
    const mode = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;
    const scene = hgmScene({ mode, features: UFFD_FEATURE_EVENT_FORK, checks: false });
    const { machine, process, uffd } = scene;
    continuePages(scene, 0, leaves);
    const folio = folioOf(machine, 0);
    folio.refcount = MOST + 1 - room;
    /* Alone up to where it waits for its event to be read: then the core counts whole runs of leaves. */
    const path = process.thread().fork();
    let step = path.next();
    if (!step.done) {
      uffd.read();
      step = path.next();
    }
    const child = step.value;
    expect(child).toBe('ENOMEM');
    expect([folio.refcount, folio.leaves]).toEqual([MOST + 1 - room, leaves]);
    expect(machine.processes.size).toBe(1);
  });
});
