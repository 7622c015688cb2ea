/**
 * The real kdump-compressed files in test/fixtures/dumps, by the boot of the machine that they are of: see its README.
 */

/** A moment of a machine, and the files that hold its memory. */
export interface Boot {
  readonly name: string;
  /** The ELF core of the same moment. */
  readonly core: string;
  /** Whether the files have QEMU's notes. */
  readonly cpus: number;
  /** What QEMU listed, a file a processor. */
  readonly listings: readonly string[];
  readonly registers: readonly string[];
  /** Each a dump, of one file or several. */
  readonly dumps: readonly (readonly string[])[];
}

const MAKEDUMPFILE = ['lzo', 'snappy', 'zlib', 'zlib.flat', 'zstd'].map((codec) => `makedumpfile-${codec}`);
const QEMU = ['qemu.kdump-zlib', 'qemu.kdump-zlib.flat'];
const EXCLUDED = ['lzo', 'snappy', 'zlib', 'zstd'].map((codec) => `makedumpfile-d31-${codec}`);

export const BOOTS: readonly Boot[] = [
  boot('a', [...QEMU, ...MAKEDUMPFILE, ...EXCLUDED]),
  {
    ...boot('b', [...QEMU, ...MAKEDUMPFILE, 'makedumpfile-split1of3 makedumpfile-split2of3 makedumpfile-split3of3']),
    cpus: 2,
    listings: ['b.info-tlb.cpu0.txt.gz', 'b.info-tlb.cpu1.txt.gz'],
    registers: ['b.registers.cpu0.txt', 'b.registers.cpu1.txt'],
  },
  boot('c', QEMU),
  {
    ...boot('d', [...EXCLUDED, 'makedumpfile-d31-split2of2 makedumpfile-d31-split1of2']),
    core: 'd.stripped.vmcore.gz',
    cpus: 0,
    listings: ['d.pre.info-tlb.txt.gz'],
    registers: ['d.pre.registers.txt'],
  },
  boot('e', ['qemu.kdump-raw-zlib', 'qemu.kdump-raw-zlib.flat']),
];

function boot(name: string, dumps: readonly string[]): Boot {
  return {
    name,
    core: `${name}.qemu.elf.gz`,
    cpus: 1,
    listings: [`${name}.info-tlb.txt.gz`],
    registers: [`${name}.registers.txt`],
    dumps: dumps.map((files) => files.split(' ').map((file) => `${name}.${file}.gz`)),
  };
}

/** From the project's root. */
export function fixturePath(file: string): string {
  return `test/fixtures/dumps/${file}`;
}
