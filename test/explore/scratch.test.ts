import { test } from 'vitest';
import { FlatMemory } from '../../src/index.ts';
import { Driver } from '../../src/explore/search/driver.ts';
import { OptimalSearch } from '../../src/explore/search/optimal.ts';
import { BoundedSearch } from '../../src/explore/search/bounded.ts';
import { KernelProgram, type Scene } from '../../src/explore/kernel/kernel-program.ts';
import { Machine } from '../../src/linux/machine/machine.ts';
import * as L from '../../src/linux/index.ts';

const HUGE = 2 << 20;
function scene(hgm: L.HgmOptions): Scene {
  return {
    tasks: 2,
    stand() {
      const machine = new Machine({ pools: [{ hugePageSize: HUGE, pages: 4 }], tables: new FlatMemory({ bytes: 512 << 10 }), hgm });
      const process = machine.createProcess();
      const file = machine.memfdCreate({ hugePageSize: HUGE });
      file.ftruncate(HUGE);
      const at = process.mmap({ length: HUGE, prot: L.PROT_READ | L.PROT_WRITE, flags: L.MAP_SHARED, file }) as number;
      const uffd = process.userfaultfd();
      const api = uffd.api(0);
      const other = machine.createProcess();
      const at2 = other.mmap({ length: HUGE, prot: L.PROT_READ | L.PROT_WRITE, flags: L.MAP_SHARED, file }) as number;
      for (let p = 0; p < 512; p++) other.write(at2 + p * 4096, 1);
      const r = uffd.register(at, HUGE, L.UFFDIO_REGISTER_MODE_MINOR) as any;
      const sp = process.madvise(at, HUGE, L.MADV_SPLIT);
      for (let p = 0; p < 8; p++) uffd.continue(at + p * 4096, 4096);
      const [a, b] = [process.thread(), process.thread()];
      const pages: number[] = [];
      function* one() { yield* a.pinUserPages(at, 8, 1, pages) as any; }
      function* two() { yield* b.madvise(at, HUGE, L.MADV_COLLAPSE) as any; }
      return { machine, tasks: [{ task: a.task, path: one() as any }, { task: b.task, path: two() as any }], judge() { machine.check(); return undefined; } };
    },
  };
}
test('x', () => {
  for (const posted of [0, L.HGM_POSTED_GUP_DROPS_LOCK, L.HGM_POSTED_GUP_LEAKS_LOCK]) {
  const program = new KernelProgram(scene({ version: posted === L.HGM_POSTED_GUP_DROPS_LOCK ? 'rfc-v2' : posted ? 'v1' : 'v2', posted } as any));
  const search = new OptimalSearch(new Driver(program));
  const t = Date.now(); const found = new Map<string, number>();
  for (let n = 0; Date.now() - t < 8000; n++) { const e = search.next(); if (!e) break;
    const f = search.driver.finding; if (f) { const k = `${f.kind} ${f.what} ${f.task}`; if (!found.has(k)) { found.set(k, n); console.log(n, k); } } }
  console.log(posted, search.counts, search.driver.execution.steps.length, search.driver.recorder.busyPlaces, Date.now() - t, 'ms', found.size);
  }
}, 1e6);
