/**
 * Every implementation of the walk against QEMU's answers to some hundred thousand accesses (see README.md here):
 *
 *   - whether the access succeeds, and else the vector and the error code
 *   - the physical address, where the guest could observe it
 *   - the entries afterwards, with A and D
 *
 * Not compared, of 480,000 cases: A in the PDPTE of a 1 GiB page where the access faults. QEMU sets it before it looks at
 * rights and at the reserved bits 29:13; we set it with the access, as for other leaves (SDM vol. 3A, 4.8 allows both).
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { Access, type Outcome } from '../../src/index.ts';
import { readFixture } from '../support/files.ts';
import { ACCESSORS, type Implementation } from '../support/implementations.ts';
import { AGAIN_IN_BROWSER, againInBrowser, IN_BROWSER, partAndWhole } from '../support/thorough.ts';
import { CONFIGURATIONS, FRAMES, sentinels } from './cases.mjs';
import { inflateRecording, type OracleAnswer, type OracleCase, OracleRecording } from './recording.ts';

/** What an implementation says of an access. Fields that are missing are not compared. */
interface ModelAnswer {
  readonly vector: number | undefined;
  readonly error: number;
  readonly physicalAddress?: bigint | undefined;
  readonly entriesAfter?: readonly bigint[] | undefined;
}

/** Batches in pairs are slow to ask one by one: those over flat memory speak for the others. */
const isHeard = ({ name }: Implementation): boolean => !name.endsWith('in pairs') || name.includes('flat');

/** The one that goes through all accesses each time; the others go through a part, which is larger in the thorough run. */
const isFirst = ({ name }: Implementation): boolean => name === 'release, flat';
const PARTS = partAndWhole(121, IN_BROWSER ? 31 : 13);

/** An implementation under test. */
interface Model {
  readonly name: string;
  access(item: OracleCase): ModelAnswer;
}

/**
 * The frames in which the cases' tables lie reach beyond 4 GiB, which is more than a flat memory holds: implementations
 * get them close together, with bit 13 set as in the originals, so that none looks like the start of a large page.
 */
const CLOSE = new Map(FRAMES.map((at, i) => [BigInt(at), BigInt(0x2000 | ((i & 1) << 12) | ((i >> 1) << 14))]));
const ORIGINAL = new Map([...CLOSE].map(([original, close]) => [close, original]));
const ADDRESS = 0x000f_ffff_ffff_f000n;

/** An entry or an address with the frame that it names exchanged, if it is one of those. */
function moved(value: bigint, frames: ReadonlyMap<bigint, bigint>): bigint {
  const frame = frames.get(value & ADDRESS);
  return frame === undefined ? value : (value & ~ADDRESS) | frame;
}

/** All cases of a configuration use the same frames: an implementation is made once, and set up anew for each case. */
function modelOf(implementation: Implementation): Model {
  const frames = new Map([...ORIGINAL.keys()].map((at) => [at, new BigUint64Array(512)]));
  const walker = implementation.make(frames, { cr3: 0n });
  return {
    name: implementation.name,
    access(item) {
      const { entries, registers, maxPhysicalAddress, page1G, implicit } = item;
      walker.setRegisters({ ...registers, cr3: moved(registers.cr3, CLOSE), maxPhysicalAddress, page1G });
      for (const { address, entry } of entries) walker.write(moved(address, CLOSE), moved(entry, CLOSE));
      const outcome = walker.access(item.va, item.access | (implicit ? Access.implicit : 0));
      return {
        ...answerOf(item, outcome),
        entriesAfter: entries.map(({ address }) => moved(walker.entry(moved(address, CLOSE))!, ORIGINAL)),
      };
    },
  };
}

/** An outcome as the processor would show it. */
function answerOf({ index, stack }: OracleCase, outcome: Outcome): ModelAnswer {
  switch (outcome.kind) {
    case 'page':
      return { vector: undefined, error: 0, physicalAddress: moved(outcome.physicalAddress, ORIGINAL) };
    case 'page-fault':
      return { vector: 14, error: outcome.errorCode };
    case 'non-canonical':
      return { vector: stack ? 12 : 13, error: 0 };
    case 'lass':
    case 'paging-off':
    case 'missing-table':
      throw new Error(`case ${index}: the walk ended with ${outcome.kind}, which no case allows`);
  }
}

/** What of an answer differs. */
function differences(item: OracleCase, model: ModelAnswer, oracle: OracleAnswer): string[] {
  const found: string[] = [];
  if (model.vector !== oracle.vector) found.push('vector');
  if (model.error !== oracle.error) found.push('error');
  if ('physicalAddress' in model && oracle.physicalAddress !== undefined) {
    if (model.physicalAddress !== oracle.physicalAddress) found.push('physicalAddress');
  }
  if (model.entriesAfter && oracle.entriesAfter) {
    const ignored = item.entries.map(({ level, entry }) => (level === 3 && entry & PS && oracle.vector ? A : 0n));
    if (model.entriesAfter.some((entry, i) => (entry ^ oracle.entriesAfter![i]!) & ~ignored[i]!))
      found.push('entriesAfter');
  }
  return found;
}

const PS = 1n << 7n;
const A = 1n << 5n;

describe.each(CONFIGURATIONS)('$name', (configuration) => {
  let recording: OracleRecording;
  beforeAll(async () => {
    const gzipped = await readFixture(`test/oracle/${configuration.name}.oracle.gz`);
    recording = new OracleRecording(await inflateRecording(gzipped));
  });

  test('the recording is of this configuration', () => {
    expect(recording.header).toMatchObject(configuration);
    expect(recording.header.recordedWith).toContain('QEMU');
  });

  test('the answers that the SDM gives are the oracle’s', () => {
    const known = sentinels(configuration);
    expect(recording.header.sentinels).toBe(known.length);
    const answers = known.map(({ name }, i) => {
      const { vector, error } = recording.answer(i);
      return { name, vector, error };
    });
    expect(answers).toEqual(
      known.map(({ name, expected: { vector, error = 0 } }) => ({ name, vector: vector as number | undefined, error })),
    );
  });

  /** What differs in the cases that are `stride` apart. */
  const differing = (implementations: readonly Implementation[], stride: number): object[] => {
    const models = implementations.map(modelOf);
    const found: object[] = [];
    for (let index = 0; index < recording.length && found.length < 5; index += stride) {
      const item = recording.case(index);
      const oracle = recording.answer(index);
      for (const model of models) {
        const answer = model.access(item);
        const what = differences(item, answer, oracle);
        if (what.length > 0) found.push({ name: model.name, what, item, answer, oracle });
      }
    }
    return found;
  };

  test('the release build over flat memory answers each access as QEMU did', AGAIN_IN_BROWSER, () => {
    expect(differing(ACCESSORS.filter(isFirst), 1)).toEqual([]);
  });

  for (const { part, stride, options } of PARTS) {
    test(`the others answer ${part} of the accesses as QEMU did`, againInBrowser(options), () => {
      expect(
        differing(
          ACCESSORS.filter((one) => isHeard(one) && !isFirst(one)),
          stride,
        ),
      ).toEqual([]);
    });
  }
});
