/**
 * A trace in words: an event in a line, and a whole trace as ftrace's function_graph prints it.
 */

import { hex, wrongKind } from '../../core/errors.ts';
import { sizeName } from '../../reference/words.ts';
import { describeEntryChange } from './entry-words.ts';
import type { TraceEvent } from './trace.ts';

/**
 * An event in one line of words, with the thread whose doing it is.
 *
 * @example
 * ```ts
 * import { describeTraceEvent } from 'hugewalk/linux';
 * describeTraceEvent({ kind: 'page', task: 'process 0', what: 'allocated', pfn: 0x100000, bytes: 0x200000 });
 * // 'process 0: page allocated: 2 MiB at pfn 0x100000'
 * describeTraceEvent({
 *   kind: 'refused',
 *   task: 'process 0',
 *   name: '__mcopy_atomic_hugetlb',
 *   answer: 'EINVAL',
 *   why: 'dst_start 0x1000 is not aligned to 0x200000',
 * });
 * // 'process 0: __mcopy_atomic_hugetlb: EINVAL, dst_start 0x1000 is not aligned to 0x200000'
 * ```
 *
 * @throws TypeError for what is no event
 */
export function describeTraceEvent(event: TraceEvent): string {
  checkEvent('event', event);
  return `${event.task}: ${words(event)}`;
}

function checkEvent(name: string, event: TraceEvent): void {
  const given: Partial<TraceEvent> | null | undefined = event;
  if (typeof given?.kind !== 'string' || typeof given.task !== 'string')
    throw wrongKind(name, 'events of a trace', event);
}

/**
 * A whole trace, a line an event: functions with what they did between braces, indented; a function that did nothing worth a line in one line.
 * Where several threads took part, each line begins with who it is.
 *
 * @example
 * ```ts
 * import { describeTrace, MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ } from 'hugewalk/linux';
 * const machine = new Machine();
 * const process = machine.createProcess();
 * machine.trace = [];
 * process.mmap({ length: 2 << 20, prot: PROT_READ, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB });    // 'ENOMEM'
 * console.log(describeTrace(machine.trace).join('\n'));
 * // ksys_mmap_pgoff(addr=0x0, len=0x200000, prot=READ, flags=PRIVATE|ANONYMOUS|HUGETLB) {
 * //   vm_mmap_pgoff(addr=0x0, len=0x200000) {
 * //     takes mmap_lock of process 0
 * //     ...
 * //             hugetlb_acct_memory: ENOMEM, 1 pages beside 0 that are reserved, and 0 are free
 * //     ...
 * // } ksys_mmap_pgoff = -ENOMEM
 * ```
 *
 * @throws TypeError for what is no trace
 */
export function describeTrace(trace: readonly TraceEvent[]): string[] {
  if (!Array.isArray(trace)) throw wrongKind('trace', "an array of events, a machine's trace", trace);
  for (const event of trace) checkEvent('trace', event);
  const width = Math.max(0, ...new Set(trace.map(({ task }) => task.length)));
  const several = trace.some(({ task }) => task !== trace[0]!.task);
  const depths = new Map<string, number>();
  const lines: string[] = [];
  for (let at = 0; at < trace.length; at++) {
    const event = trace[at]!;
    const { kind, task } = event;
    const left = trace[at + 1];
    let depth = depths.get(task) ?? 0;
    let line: string;
    if (kind === 'enter' && left?.kind === 'leave' && left.task === task) {
      line = `${words(event)}${returned(left.result)}`;
      at++;
    } else {
      /* A trace may begin inside functions. */
      if (kind === 'leave') depth = Math.max(depth - 1, 0);
      depths.set(task, kind === 'enter' ? depth + 1 : depth);
      line = kind === 'enter' ? `${words(event)} {` : words(event);
    }
    lines.push(`${several ? `${task.padEnd(width)} | ` : ''}${'  '.repeat(depth)}${line}`);
  }
  return lines;
}

/** Whether an event says that something is another than before, and not only that somebody looked. */
export function isChange({ kind }: TraceEvent): boolean {
  return CHANGES.has(kind);
}

const CHANGES: ReadonlySet<TraceEvent['kind']> = new Set([
  'entry',
  'table',
  'page',
  'count',
  'mapcounts',
  'region',
  'message',
]);

/** An event without its task. */
function words(event: TraceEvent): string {
  switch (event.kind) {
    case 'enter':
      return `${event.name}(${event.args})`;
    case 'leave':
      return `} ${event.name}${returned(event.result)}`;
    case 'refused':
      return `${event.name}: ${event.answer}, ${event.why}`;
    case 'lock':
      return `takes ${event.lock}${event.mode === 'read' ? ' (read)' : ''}`;
    case 'unlock':
      return `releases ${event.lock}`;
    case 'sleep':
      return `sleeps: waits for ${event.what}`;
    case 'wake':
      return `goes on: waited for ${event.what}`;
    case 'dead end':
      return `goes no further, ${event.outcome}: ${event.where}`;
    case 'fault':
      return `page fault at ${hex(event.address)}, error code ${hex(event.errorCode)}: ${errorCodeWords(event.errorCode)}`;
    case 'entry':
      return `pte_t of ${event.process} at ${hex(event.address)}, level ${event.level}: ${describeEntryChange(event.before, event.after, event.level, event.levels)}`;
    case 'table':
      return `table ${hex(event.table)} of level ${event.level} ${event.what}: ${event.process} at ${hex(event.address)}`;
    case 'page':
      return `page ${event.what}: ${sizeName(event.bytes)} at pfn ${hex(event.pfn)}`;
    case 'count':
      return `${event.count} of ${event.of}: ${event.before} -> ${event.after}`;
    case 'mapcounts':
      return `_mapcount of 4 KiB pages ${event.first} to ${event.first + event.pages - 1} of pfn ${hex(event.pfn)}: ${signed(event.by)} each`;
    case 'region':
      return `${event.map}: huge pages ${indexes(event.from, event.to)} ${event.what}, ${event.changed} ${event.what === 'added' ? 'of them new' : 'of them were there'}`;
    case 'message':
      return `userfaultfd of ${event.process}: ${event.message} ${event.what}`;
  }
}

function indexes(from: number, to: number): string {
  return to === Number.POSITIVE_INFINITY ? `from ${from} on` : `[${from}, ${to})`;
}

function returned(result: string): string {
  return result === '' ? '' : ` = ${result}`;
}

function signed(value: number): string {
  return value < 0 ? `${value}` : `+${value}`;
}

/** `X86_PF_`: the bits of a page fault's error code by name, less the prefix. */
const ERROR_CODES = ['PROT', 'WRITE', 'USER', 'RSVD', 'INSTR', 'PK', 'SHSTK'];

/** An error code's bits by the kernel's names; PROT is the SDM's P: the page was there. */
export function errorCodeWords(errorCode: number): string {
  return bitNames(errorCode, ERROR_CODES);
}

/** Bits by their names, the lowest first. */
export function bitNames(bits: number, names: readonly (string | undefined)[]): string {
  const found = names.filter((name, bit) => name !== undefined && bits & (1 << bit));
  return found.length === 0 ? '0' : found.join('|');
}

/** Ends of a fault that have another name in the kernel, or none. */
const FAULTS: ReadonlySet<string> = new Set([
  'SIGBUS',
  'SIGSEGV',
  'OOM',
  'RETRY',
  'HWPOISON',
  'HWPOISON_LARGE',
  'FALLBACK',
]);

/**
 * What a kernel function returns, in its words: `-EINVAL`, `VM_FAULT_SIGBUS`, 0 for what is fine; a page by its frame number; addresses in hex.
 */
export function resultWords(result: unknown): string {
  if (result === undefined || result === null) return '';
  if (result === 'OK' || result === 'done') return '0';
  if (typeof result === 'string')
    return FAULTS.has(result) ? `VM_FAULT_${result}` : /^E[A-Z]/.test(result) ? `-${result}` : result;
  if (typeof result === 'number') return result >= 4096 ? hex(result) : `${result}`;
  if (typeof result === 'object' && 'pfn' in result && typeof result.pfn === 'number') return `pfn ${hex(result.pfn)}`;
  return typeof result === 'boolean' ? `${result}` : '';
}
