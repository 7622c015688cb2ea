/**
 * The end of an address space, and others at work on it. mm/mmap.c of Linux 6.1: exit_mmap.
 */
import { describe, expect, test } from 'vitest';
import { UFFDIO_REGISTER_MODE_MISSING } from '../../../src/linux/index.ts';
import { atEveryStep, counts, MIB2, machineWith, mapPrivate, mapShared, work } from '../support.ts';

describe('a process that ends while another brings it a page', () => {
  test.each([
    ['private', mapPrivate],
    ['shared', mapShared],
  ] as const)('%s: the page was there before, and goes, or is never brought', (_kind, map) => {
    const seen = new Set<unknown>();
    atEveryStep(
      () => {
        const machine = machineWith({ pages: 2, checks: false });
        const [process, monitor] = [machine.createProcess(), machine.createProcess()];
        const at = map(process, 2);
        const uffd = process.userfaultfd();
        uffd.api();
        uffd.register(at, 2 * MIB2, UFFDIO_REGISTER_MODE_MISSING);
        const [dying, bringing] = [process.thread(), monitor.thread()];
        const fill = { kind: 'copy', mode: 0, bytes: new Uint8Array(MIB2) } as const;
        return {
          machine,
          works: [work(dying, dying.exit()), work(bringing, bringing.uffdFill(uffd, at, MIB2, fill))] as const,
        };
      },
      ({ machine }, [, filled]) => {
        seen.add((filled as { result: string }).result);
        machine.check();
        expect(counts(machine)).toEqual([2, 2, 0, 0]);
      },
    );
    expect(seen).toEqual(new Set(['OK', 'ESRCH']));
  });
});
