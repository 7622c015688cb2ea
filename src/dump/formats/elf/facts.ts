/**
 * What the notes of a core say of the machine.
 */
import type { CpuState } from '../../cpu-state.ts';
import { Tally, type Warnings } from '../../warnings.ts';
import type { Note } from './notes.ts';
import { qemuCpu } from './qemu-note.ts';
import { virtualBoxCpu, wrongVirtualBox } from './virtualbox-note.ts';

/** NT_PRSTATUS: the registers of a thread, or of a processor that has crashed. */
const PRSTATUS = 1;

/** What is known of the machine. */
export interface Facts {
  readonly cpus: readonly CpuState[];
  readonly vmcoreinfo: string | undefined;
  /** Whether the notes may be those of a process's core: a thread's registers, and nothing that only a machine has. */
  readonly ofProcess: boolean;
}

/** Gathers what notes say; those that cannot be used are warned of. */
export function gatherFacts(notes: readonly Note[], warnings: Pick<Warnings, 'add'>): Facts {
  const cpus: CpuState[] = [];
  const faults = new Tally();
  let vmcoreinfo: string | undefined;
  let count = 0;
  const core = notes.find(({ name }) => name === 'VBCORE');
  const wrong = core && wrongVirtualBox(core.description);
  if (wrong) warnings.add(`VirtualBox note: ${wrong}: its CPUs are left out`);
  for (const { name, description } of notes) {
    if (name === 'QEMU' || (name === 'VBCPU' && !wrong)) {
      const cpu = name === 'QEMU' ? qemuCpu(description) : virtualBoxCpu(description);
      if (typeof cpu === 'string') faults.add(`${name} note of CPU ${count}: ${cpu}: the CPU is left out`);
      else cpus.push(cpu);
      count++;
    } else if (name === 'VMCOREINFO') {
      vmcoreinfo ??= textOf(description);
    }
  }
  faults.tell(warnings);
  const ofMachine = notes.some(({ name }) => ['QEMU', 'VMCOREINFO', 'VBCORE', 'VBCPU', 'Xen'].includes(name));
  const hasThread = notes.some(({ name, type }) => name === 'CORE' && type === PRSTATUS);
  return { cpus, vmcoreinfo, ofProcess: hasThread && !ofMachine };
}

function textOf(description: DataView): string {
  const bytes = new Uint8Array(description.buffer, description.byteOffset, description.byteLength);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(new Uint8Array(end < 0 ? bytes : bytes.subarray(0, end)));
}
