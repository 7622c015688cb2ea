/**
 * What `--help` says beside the commands and options.
 */
export const EXAMPLES = `
Examples, with the dump of a Linux process that is in the package; example: stands for it:
  hugewalk map --example
  hugewalk map example: --from 0xffff800000000000
  hugewalk map example: --leaves --json
  hugewalk walk example: 0x401000 --access rwx --user
  hugewalk reverse example: 0x3944123

What a real kernel did with huge pages, and what the model of it does; with files of the repository:
  hugewalk replay test/recordings/hugetlb-2M-A.jsonl.gz
  hugewalk replay docs/scenarios/copy-on-write.jsonl --run
  hugewalk replay docs/scenarios/copy-on-write.jsonl --trace

Which order of what several tasks do breaks something:
  hugewalk explore docs/explore/fork-and-migration.jsonl
`;

export const EXPLANATION = `
DUMP is a dump of physical memory, plain or gzipped: an ELF64 core (QEMU's dump-guest-memory,
/proc/vmcore, makedumpfile -E, VirtualBox, Xen), a kdump-compressed file (makedumpfile, QEMU;
of one that is split, name all parts), a LiME or AVML file, a VMware .vmem with its
.vmss or .vmsn (name both), a crash dump of a 64-bit Windows (MEMORY.DMP, full or with a bitmap),
or a raw image (.raw, .mem, .vmem, .img, .bin, .dd, or --format raw).
In its place, qemu:SOCKET or qemu:HOST:PORT is a machine that runs, over QEMU's GDB stub (-gdb),
gdb:HOST:PORT over another that reads physical memory as that does. It is stopped while it is read,
and goes on unless it was stopped before; docs/osdev.md has more.
The root table is --cr3, else CR3 of the dump's CPU, else the one that VMCOREINFO of Linux or the
header of Windows names, else the best that hugewalk roots finds; the first line says which, the
second what was assumed. What a dump lacks is warned of on standard error, a line each; --strict
makes that an error. - is standard input: a file, or a pipe, which is copied into a temporary file
first. TRACE is a file of operations on huge pages: see hugewalk replay --help.

A raw image is memory from physical 0 on. Where the file leaves a hole out, --ranges says what
lies in it, ends inclusive as in /proc/iomem, one range after the other or each at its OFFSET:
  --ranges 0x0-0x7ffffff,0x100000000-0x14fffffff

Addresses and registers are hexadecimal: 0x401000, 0xffff_8880_0000_0000, or as kernels and
/proc/PID/maps print them, 7ffebb05d000, if that cannot be mistaken for a decimal number.

Exit status:
  0   done; that an access faults, or that tables are broken, is an answer
  1   the output is not complete: it was stopped (see --all) or could not be written; or
      replay has found differences
  2   a file, an argument or an option is wrong
  70  a defect of hugewalk
  130 interrupted (Ctrl-C) while a machine that runs was looked at
`;

export const MAP_EXPLANATION = `
The picture has a row for each part of the address space that holds something. A cell shows
which page size covers most of it:

  ░ 4 KiB   ▒ 2 MiB   █ 1 GiB   · nothing   ≡ a table that was met before   × leads nowhere

A range is contiguous in linear addresses and has one page size and one set of rights; its
physical address is given where that is contiguous too. Rights are those over all levels:
r w x, for user or only for kernel (supervisor) mode; ? is a right that only a part has.
A table that is met again at the same level is shown, but not listed again. A half of the
address space takes 40 lines at most: ranges that are alike are gathered over the holes between
them, and small ones joined with their neighbours; --all gives each a line.

With --leaves --json, a line is
  {"va":"0x400000","pa":"0x3944000","size":4096,"present":true,"write":false,"user":true,
   "execute":false,"accessed":true,"dirty":false,"global":false,"pwt":false,"pcd":false,
   "rights":{"write":false,"user":true,"execute":false}}
(on one line): the bits of the leaf's own entry, and the rights over all levels, in ascending
order of va as an unsigned number. With --json alone, a line is a run of leaves that are
contiguous in linear and physical memory, with the same size, bits and rights, and has "bytes"
after "size".

With --os, entries that are not present and not empty are lines, too (in a table that is met again,
once):
  {"va":"0x3000","size":4096,"present":false,
   "os":{"kind":"transition","words":"in transition: ...","pa":"0x5000"}}
Kinds: prot-none, swap, migration, hwpoison, device, marker; transition, prototype, page-file,
demand-zero. A run has "bytes", and no words.
`;

export const WALK_EXPLANATION = `
A line is an entry: its name and index, its physical address, its value, the bits that are
set (P present, W writable, U user, A accessed, D dirty, G global, PS large page, XD execute
disabled, PWT PCD PAT cacheability), the rights over all levels down to it, and what it does.
An error code's bits are P (the page was present), W (write), U (user mode), RSVD (a reserved
bit is set) and I (instruction fetch).
The last line names the memory type of a page (WB, UC...) as PAT gives it after a reset: dumps
do not keep IA32_PAT. "sets A" tells what the access would leave behind in the tables.
`;

export const REPLAY_EXPLANATION = `
TRACE has a line of JSON an operation: mmap, write, fork and others on hugetlb memory. Each may
be followed by a line with the state after it. Results, values and states are compared with
those of the model where they are told: in the recording of a kernel everywhere, in a scenario
that you write wherever you like. docs/replay.md has the format, and another one for
high-granularity mapping; this is a scenario:

  {"seq":1,"pool":2}
  {"op":"mmap","proc":0,"slot":0,"kind":"private_anon","hugepages":1,"prot":"rw"}
  {"op":"write","proc":0,"slot":0,"page":0,"at":5,"value":7,"result":"OK"}
  {"pool":[2,1,0,0],"pages":[[0,0,0,0,1,1]]}
  {"end":1}

The pool is total, free, reserved and surplus huge pages; a page is process, slot, page of the
slot, class (pages of one class are the same physical page; -1 is not present), mapcount, and
flags of pagemap (1 mapped exclusively, 2 userfaultfd write-protected, 32 file or shared).

With --run, a line is an operation, how it ended and what it has changed:
  3  p0 write s0 page 0 at 5 value 7  OK  free 2 -> 1; p0 s0 page 0: rw dirty private 1
(p0.1 is thread 1 of process 0, s0 slot 0, private 1 a huge page that is no file's). --write puts
results, what was found, and states into TRACE where operations have no result yet; notes and
blanks stay. Where TRACE tells something else than the model does, nothing is written; --force
writes that, too. Gzipped files and recordings are evidence, and never written.

A difference is shown as
  TRACE:LINE: the operation
    what differs: what the kernel did, what the model did
    model: its result
      its record: locks, faults, entries changed, tables and pages allocated and freed
Of a sequence the first differences are shown, others counted. The last line of the output is
  N sequences, M operations, D differences
and the exit status 0 only if there are none. Nothing is run unless every TRACE is well-formed.
`;

export const EXPLORE_EXPLANATION = `
SCENARIO is a scenario as replay has it, in which some operations have a "task": those of one
task are done one after the other, those of different tasks at the same time. What stands before
them makes the initial state; what stands behind is done when all tasks have ended. A result or a
value that is told is expected in every interleaving:

  {"seq":1,"pool":3}
  {"op":"mmap","proc":0,"slot":0,"kind":"private_anon","hugepages":1,"prot":"rw"}
  {"op":"write","proc":0,"slot":0,"page":0,"value":42}
  {"op":"fork","proc":0,"child":1,"task":0}
  {"op":"migrate","proc":0,"slot":0,"page":0,"task":1}
  {"op":"read","proc":1,"slot":0,"page":0,"value":42}
  {"end":1}

First come the interleavings with no, one and two preemptions; then all that matter, each once: those
that differ only in the order of steps that commute are one. What is found is shown as lanes: a task
a column, time goes down, a number where another task comes in. A line {"schedule":[[0,16],[1,6]]}
before the end of a sequence, as --save writes it, is followed instead: task 0 runs over 16 places
where another could come in, then task 1 over 6.

With --workers or --shard, passes of more than 500 executions are cut into pieces; what is found is
the same. What the shards wrote is put together by hugewalk explore merge, which names those that are
to be run again, with --known and all files. Ctrl-C tells what was covered, and ends with status 1; a
shard writes nothing then. docs/explore.md has more.

What a sequence is known to lead to is expected in it, by its kind and with the reason; nothing else may be found then, and
it must be:

  {"expect":"deadlock","why":"hugetlb_wp takes the fault mutex again with the page locked"}

The exit status is 0 if nothing was found but what is expected; 1 if something was, or what is
expected was not, or the search was broken off (Ctrl-C; merge: shards are missing); 2 for a file or
an option that is wrong.
`;
