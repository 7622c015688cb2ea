/**
 * Flushes of TLBs, and waiting for those who walk without locks. arch/x86/mm/tlb.c of Linux 6.1: flush_tlb_mm_range, native_flush_tlb_multi;
 * mm/mmu_gather.c: tlb_remove_table_sync_one.
 *
 *   who flushes          every processor that runs in the address space
 *   ───────────          ──────────────────────────────────────────────
 *   sends an interrupt
 *   waits ............   ends its instruction, and GUP-fast if that is under way
 *                        drops its translations
 *   goes on
 *
 * Under a hypervisor that is asked to flush (a hypercall), nobody waits for GUP-fast: the guest's processor is not interrupted.
 */
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { watch } from '../base/watch.ts';
import type { Mm } from './mm.ts';

/** `flush_tlb_mm_range`: when it is over, no processor uses a translation of the address space that was changed before. */
export function* flushTlb(task: Task, mm: Mm): Path<void> {
  if (!watch) return;
  for (const processor of watch.processors) {
    if (!processor.runs(mm)) continue;
    if (processor !== task.processor) {
      yield* preemptionPoint(task, processor);
      if (mm.machine.flushes === 'interrupt') yield* processor.gupFast.wait();
      yield* processor.instruction.wait();
    }
    processor.drop(mm);
  }
}

/** Whether some processor may have translations of an address space. */
export function mayBeCached(mm: Mm): boolean {
  return watch?.processors.some((processor) => processor.runs(mm)) ?? false;
}

/** `tlb_remove_table_sync_one`: waits for whoever walks page tables with interrupts off, of whatever address space. */
export function* syncWithWalkers(task: Task): Path<void> {
  if (!watch) return;
  for (const processor of watch.processors) {
    if (processor === task.processor) continue;
    yield* preemptionPoint(task, processor.gupFast);
    yield* processor.gupFast.wait();
  }
}
