/**
 * A program's access: the processor's walk, and the kernel's fault handler if that fails.
 * arch/x86/mm/fault.c of Linux 6.1: do_user_addr_fault, access_error; the walk is the core's.
 */
import { hex, InvariantError } from '../../core/errors.ts';
import { ACCESS_MARK, ERROR_PRESENT, FAILURE_CODE_MASK, OUTCOME_ADDRESS_MASK } from '../../core/generated/layout.ts';
import { Access } from '../../mmu/access.ts';
import type { Hang, Signal } from '../base/errno.ts';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_USER,
  FAULT_FLAG_WRITE,
} from '../base/fault-flags.ts';
import { protWords } from '../base/flag-words.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { forceSignal, SEGV_ACCERR, SEGV_MAPERR } from '../base/siginfo.ts';
import type { Path, Task } from '../base/task.ts';
import { errorCodeWords, resultWords } from '../base/trace-words.ts';
import { VM_ACCESS_FLAGS, VM_WRITE } from '../base/vm-flags.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbFault } from './fault.ts';
import { processorAccess } from './processor-walk.ts';

/** A program's data read: error code bits as the processor reports them. */
export const USER_READ: number = Access.user | ACCESS_MARK;
/** A program's data write. */
export const USER_WRITE: number = Access.user | Access.write | ACCESS_MARK;

/** The physical address of an access that the page tables permit, with A and D set as the processor does; else -1 - the error code. */
export function walkUser(mm: Mm, address: number, access: number): number {
  mm.machine.tables.noteWalk(mm.pgd, mm.topShift, address, (access & Access.write) !== 0);
  const word = mm.machine.runs(mm).translate(BigInt(address), access);
  return word >= 0n ? Number(word & OUTCOME_ADDRESS_MASK) : -1 - Number(word & FAILURE_CODE_MASK);
}

/**
 * Walks, faults, and walks again, until the access reaches memory or the process gets a signal.
 *
 * @param access USER_READ or USER_WRITE
 * @returns the physical address
 */
export function* userAccess(task: Task, mm: Mm, address: number, access: number): Path<number | Signal | Hang> {
  const { tables } = mm.machine;
  for (;;) {
    if (task.killed) return 'SIGKILL';
    const { processor } = task;
    const reached = processor
      ? yield* processorAccess(task, processor, mm, address, access)
      : walkUser(mm, address, access);
    if (reached >= 0) return reached;
    const { changes } = tables;
    const errorCode = -1 - reached;
    mm.machine.trace?.push({ kind: 'fault', task: task.name, address, errorCode });
    const result = yield* pageFault(task, mm, address, errorCode);
    if (result !== 'done') return result;
    /* The handler came back and changed no entry: the same fault follows, unless another task does something. */
    if (tables.changes === changes && !task.preemptible) {
      return refuse(task, 'HANG', 'the handler has changed no entry: the same fault follows for ever');
    }
  }
}

/** `do_user_addr_fault`. */
const pageFault = kernelFunction('do_user_addr_fault', userAddrFault, {
  args: (_mm, address, errorCode) => `addr=${hex(address)}, error_code=${errorCodeWords(errorCode)}`,
  result: (result) => (result === 'done' ? '' : result),
});

function* userAddrFault(task: Task, mm: Mm, address: number, errorCode: number): Path<'done' | Signal | Hang> {
  const write = (errorCode & Access.write) !== 0;
  let flags = FAULT_FLAG_USER | FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE | (write ? FAULT_FLAG_WRITE : 0);
  for (;;) {
    yield* mm.mmapLock.read(task);
    const vma = mm.vmaLookup(address);
    if (!vma || isAccessError(vma, errorCode)) {
      mm.mmapLock.unlock(task);
      task.siginfo = { signal: 'SIGSEGV', code: vma ? SEGV_ACCERR : SEGV_MAPERR, address };
      const why = vma ? `the mapping permits ${protWords(vma.flags & VM_ACCESS_FLAGS)}` : 'nothing is mapped there';
      return refuse(task, 'SIGSEGV', `${hex(address)}: ${why}`);
    }
    const fault = yield* hugetlbFault(task, vma, address, flags);
    if (fault === 'RETRY') {
      /* It has slept, without mmap_lock: everything may be another now. */
      if (task.killed) return refuse(task, 'SIGKILL', 'it came while the fault slept');
      flags |= FAULT_FLAG_TRIED;
      continue;
    }
    mm.mmapLock.unlock(task);
    /* The OOM killer would look for a victim; no table memory is a limit of the machine that its user has set. */
    if (fault === 'OOM') {
      throw new RangeError(
        `tables: expected room for another page table, got ${hex(mm.machine.memory.bytes)} bytes, all in use`,
      );
    }
    if (fault === 'done' || fault === 'HANG') return fault;
    return refuse(
      task,
      forceSignal(task, vma.hstate.shift, address, fault),
      `${resultWords(fault)} at ${hex(address)}`,
    );
  }
}

/** `access_error`: the VMA does not permit it, whatever the entry says. */
function isAccessError({ flags }: Vma, errorCode: number): boolean {
  if (errorCode & Access.fetch) throw new InvariantError('isAccessError: the model fetches no instructions');
  if (errorCode & Access.write) return (flags & VM_WRITE) === 0;
  /* A read of a present page that the processor refused, or any access to PROT_NONE. */
  return (errorCode & ERROR_PRESENT) !== 0 || (flags & VM_ACCESS_FLAGS) === 0;
}
