/**
 * Calls of every kind, each with how often it is made among the others; 0 where there is nothing to make it on.
 */
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FOLL_LONGTERM,
  FOLL_WRITE,
  type HugetlbFile,
  interleave,
  MADV_COLLAPSE,
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_HWPOISON,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_SPLIT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  runAlone,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_MINOR_HUGETLBFS_HGM,
  UFFD_FEATURE_SIGBUS,
  type UserfaultFile,
} from '../../../src/linux/index.ts';
import { BASE, EVENTS, KIB4, MARKED, RW, SLOT, type World } from './world.ts';

const MOST_PROCESSES = 3;
const MOST_HANDLES = 4;

/** A call that can be made. */
export type Call = readonly [weight: number, name: string, work: () => unknown];

/** All that can be made now. */
export function callsOf(world: World): Call[] {
  return [mappingCalls, memoryCalls, fileCalls, userfaultCalls, otherCalls].flatMap((calls) => calls(world));
}

function mappingCalls(world: World): Call[] {
  const { dice, scene } = world;
  const type = (): number => dice.of([MAP_SHARED, MAP_PRIVATE]) | dice.of([0, 0, MAP_NORESERVE]);
  return [
    [
      8,
      'mmap',
      () => {
        const file = world.hands.files.length > 0 && dice.below(3) > 0 ? dice.of(world.hands.files) : undefined;
        const what = {
          address: world.address(),
          length: world.length(),
          prot: dice.of([RW, RW, RW, PROT_READ, PROT_NONE]),
        };
        const flags = type() | MAP_FIXED;
        if (file) return world.process().mmap({ ...what, flags, file, offset: dice.below(2) * scene.size });
        return world.process().mmap({ ...what, flags: flags | MAP_ANONYMOUS | MAP_HUGETLB | world.huge });
      },
    ],
    [2, 'munmap', () => world.process().munmap(world.address(), world.length())],
    [
      3,
      'mprotect',
      () => world.process().mprotect(world.address(), world.length(), dice.of([RW, RW, PROT_READ, PROT_NONE])),
    ],
    [
      2,
      'mremap',
      () => {
        const length = world.length();
        const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
        return world.process().mremap(world.address(), length, length, flags, world.address());
      },
    ],
    [
      8,
      'madvise',
      () => {
        const advices = [
          MADV_DONTNEED,
          MADV_REMOVE,
          MADV_DONTFORK,
          MADV_DOFORK,
          MADV_POPULATE_READ,
          MADV_POPULATE_WRITE,
        ];
        const advice = dice.of([
          ...advices,
          MADV_SPLIT,
          MADV_SPLIT,
          MADV_SPLIT,
          MADV_COLLAPSE,
          MADV_COLLAPSE,
          MADV_COLLAPSE,
        ]);
        return world.process().madvise(world.address(), world.length(), advice);
      },
    ],
  ];
}

function memoryCalls(world: World): Call[] {
  const { dice, hands, machine } = world;
  const pipe = Math.min(hands.pipes.length, 1);
  return [
    [12, 'read', () => world.process().read(world.small() + dice.below(3))],
    [12, 'write', () => world.process().write(world.small() + dice.below(3), dice.below(256))],
    [1, 'mincore', () => world.process().mincore(world.address(), world.scene.size)],
    [1, 'smaps', () => world.process().smaps(world.address(), world.length())],
    [1, 'pagemap', () => world.process().pagemap(world.small(), 4)],
    [1, 'mlock', () => world.process().mlock(world.address(), world.length())],
    [1, 'munlock', () => world.process().munlock(world.address(), world.length())],
    [1, 'dump', () => world.process().dumpPages(world.small(), 8)],
    [1, 'process_vm', () => world.process().processVmRead(world.process(), world.small(), new Uint8Array(5000))],
    [1, 'mem', () => world.process().procMemWrite(world.process(), world.small(), new Uint8Array([1, 2, 3]))],
    [5, 'GUP', () => get(world)],
    [
      4,
      'put',
      () => {
        const list = hands.got.splice(dice.below(hands.got.length), 1)[0];
        if (!list) return undefined;
        return list.pinned ? machine.unpinUserPages([...list.frames]) : machine.putPages([...list.frames]);
      },
    ],
    [1, 'register buffer', () => world.process().registerBuffer(world.small(), 3 * KIB4)],
    [1, 'unregister buffer', () => world.process().unregisterBuffer()],
    [1, 'deferred', () => machine.runDeferredWork()],
    [1, 'pipe', () => (hands.pipes.length < MOST_HANDLES ? hands.pipes.push(machine.createPipe()) : undefined)],
    [pipe && 4, 'vmsplice', () => world.process().vmsplice(dice.of(hands.pipes), world.small() + 7, dice.below(9000))],
    [pipe && 2, 'pipe read', () => dice.of(hands.pipes).read(new Uint8Array(dice.below(9000)))],
    [pipe && 1, 'pipe close', () => hands.pipes.splice(dice.below(hands.pipes.length), 1)[0]?.close()],
  ];
}

function get(world: World): unknown {
  const { dice, hands } = world;
  const pinned = dice.below(2) > 0;
  const frames: number[] = [];
  const flags = dice.of([0, FOLL_WRITE]);
  const [process, at, count] = [world.process(), world.small(), 1 + dice.below(12)];
  const got = pinned
    ? process.pinUserPages(at, count, flags | dice.of([0, FOLL_LONGTERM]), frames)
    : dice.below(2) > 0
      ? process.getUserPages(at, count, flags, frames)
      : process.getUserPagesFast(at, count, flags, frames);
  if (frames.length > 0) hands.got.push({ frames, pinned });
  return [got, frames];
}

function fileCalls(world: World): Call[] {
  const { dice, hands, machine, scene } = world;
  const { size: hugePageSize } = scene;
  const file = Math.min(hands.files.length, 1);
  const open = (): HugetlbFile => {
    const mount = hands.mounts.length > 0 && dice.below(2) > 0 ? dice.of(hands.mounts) : undefined;
    return mount ? mount.create() : machine.memfdCreate({ hugePageSize });
  };
  const mount = (): unknown => {
    const limits = { size: (2 + dice.below(4)) * hugePageSize, minSize: dice.below(3) * hugePageSize };
    const made = machine.mountHugetlbfs({ hugePageSize, ...limits });
    return typeof made === 'string' ? made : hands.mounts.push(made);
  };
  return [
    [3, 'open', () => (hands.files.length < MOST_HANDLES ? hands.files.push(open()) : undefined)],
    [file && 1, 'close', () => hands.files.splice(dice.below(hands.files.length), 1)[0]?.close()],
    [file && 3, 'ftruncate', () => dice.of(hands.files).ftruncate(dice.below(SLOT + 1) * world.unit)],
    [
      file && 5,
      'fallocate',
      () => {
        const mode = dice.of([0, 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE]);
        return dice.of(hands.files).fallocate(dice.below(SLOT) * hugePageSize, world.length(), mode);
      },
    ],
    [scene.limits && hands.mounts.length < MOST_HANDLES ? 2 : 0, 'mount', mount],
    [scene.limits ? 1 : 0, 'umount', () => hands.mounts.splice(dice.below(hands.mounts.length), 1)[0]?.umount()],
  ];
}

function userfaultCalls(world: World): Call[] {
  const { dice, hands, scene } = world;
  const uffd = (): UserfaultFile => dice.of(hands.uffds);
  const any = Math.min(hands.uffds.length, 1);
  const fill = (): [number, number] => [world.small(), dice.of([KIB4, KIB4, 4 * KIB4])];
  const hgm = scene.options.hgm?.version === 'rfc-v2' ? UFFD_FEATURE_MINOR_HUGETLBFS_HGM : 0;
  return [
    [
      2,
      'userfaultfd',
      () => {
        if (hands.uffds.length === MOST_HANDLES) return undefined;
        const made = world.process().userfaultfd();
        hands.uffds.push(made);
        return made.api(dice.of([0, UFFD_FEATURE_SIGBUS, UFFD_FEATURE_EVENT_FORK, EVENTS]) | hgm);
      },
    ],
    [any && 4, 'register', () => uffd().register(world.address(), world.length(), dice.of([1, 2, 3, 4, 6, 7]))],
    [any && 1, 'unregister', () => uffd().unregister(world.address(), world.length())],
    [
      any && 3,
      'copy',
      () => uffd().copy(world.address(), new Uint8Array(scene.size > 2 ** 21 ? 0 : scene.size).fill(5)),
    ],
    [any && 5, 'continue', () => uffd().continue(...fill())],
    [any && 2, 'continue', () => uffd().continue(world.address(), scene.size)],
    [any && 4, 'continue', () => uffd().continue(BASE + dice.below(2) * scene.size + dice.of(MARKED) * KIB4, KIB4)],
    [any && 3, 'writeprotect', () => uffd().writeprotect(world.address(), world.length(), dice.below(2))],
    [any && 1, 'wake', () => uffd().wake(world.address(), world.length())],
    [any && 2, 'uffd read', () => (uffd().pending ? uffd().read() : undefined)],
    [any && 1, 'uffd close', () => hands.uffds.splice(dice.below(hands.uffds.length), 1)[0]?.close()],
  ];
}

function otherCalls(world: World): Call[] {
  const { dice, hands, machine, scene } = world;
  const { processes } = hands;
  const frame = (): number => 0x10_0000 + dice.below(8) * (scene.size / KIB4) + dice.of(MARKED);
  return [
    [
      processes.length < MOST_PROCESSES ? 3 : 0,
      'fork',
      () => {
        return world.join(world.process().fork());
      },
    ],
    [processes.length < MOST_PROCESSES ? 1 : 0, 'create', () => world.join(machine.createProcess())],
    [
      processes.length > 1 ? 1 : 0,
      'exit',
      () => {
        const process = processes.splice(dice.below(processes.length), 1)[0]!;
        return process.exit();
      },
    ],
    [1, 'memory failure', () => (dice.below(3) > 0 ? undefined : machine.memoryFailure(frame()))],
    [1, 'poison', () => (dice.below(3) > 0 ? undefined : world.process().madvise(world.small(), KIB4, MADV_HWPOISON))],
    [4, 'migrate', () => machine.migrate(frame())],
    [2, 'pool', () => machine.setNrHugepages(scene.size, dice.below(12))],
    [1, 'overcommit', () => machine.setNrOvercommitHugepages(scene.size, dice.below(4))],
    [6, 'interleave', () => takeTurns(world)],
    [2, 'thread', () => runAlone(world.work().path)],
  ];
}

/** Two threads take turns; where they cannot go on, they stay where they are. */
function takeTurns(world: World): unknown {
  const works = [world.work(), world.work()];
  if (works[0]!.task === works[1]!.task) works.pop();
  return interleave(works, (count) => world.dice.below(count));
}
