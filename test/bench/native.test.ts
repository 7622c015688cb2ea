/**
 * The native walker of the benchmark against the core: the same outcome words, bit for bit, on any image. This makes it
 * an independent check of the core, and the benchmark a comparison of walks that do the same.
 */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { BENCH_ACCESS, buildImage } from '../../bench/images.ts';
import { checksumOf, encodeJob, type Job } from '../../bench/job.ts';
import { compileNative, type Native, NativeProcess, nativeWords, runNative } from '../../bench/native.ts';
import { addressesOf } from '../../bench/patterns.ts';
import { Access, FlatMemory, Mmu } from '../../src/index.ts';
import { imageRecipes, randomAddresses, randomImage, registerSets } from '../support/random.ts';

const ACCESSES = [
  Access.read,
  Access.write,
  Access.fetch,
  Access.user,
  Access.user | Access.write,
  Access.user | Access.fetch,
];

const native: Native = compileNative();
const binary = native.binary ?? '';
const reason = native.binary === undefined ? `the native walker was not checked: ${native.missing}` : '';
if (reason) console.error(reason);

beforeEach(({ skip }) => {
  if (reason && process.env.CI) expect.fail(reason);
  skip(reason !== '', reason);
});

/** What the core answers to a job. */
function coreWords({ registers, memory, addresses, access }: Job): BigUint64Array {
  const flat = new FlatMemory({ bytes: memory.length });
  flat.view().set(memory);
  return new Mmu(flat, registers).translateMany(addresses, access);
}

test('outcome words equal the core’s on any image, for every access, however the walk ends', () => {
  const reached = new Set<string>();
  fc.assert(
    fc.property(imageRecipes, registerSets, fc.constantFrom(...ACCESSES), (recipe, registers, access) => {
      const image = randomImage(recipe);
      const memory = new Uint8Array(image.size * 4096);
      for (const [at, table] of image) memory.set(new Uint8Array(table.buffer), Number(at));
      const five = (registers.cr4 & (1n << 12n)) !== 0n;
      const addresses = randomAddresses(recipe.seed, 500, five ? 57 : 48);
      const job = { registers, access, memory, addresses, passes: 1 };
      const words = nativeWords(binary, job);
      for (const word of words) reached.add(kindOf(word, five));
      expect(words).toEqual(coreWords(job));
    }),
    { numRuns: 300 },
  );
  const ends = ['page 1', 'page 2', 'page 3', 'fault', 'fault P', 'fault P RSVD', 'canonical', 'missing'];
  const all = ['4-level', '5-level'].flatMap((levels) => ends.map((end) => `${levels} ${end}`));
  expect([...reached].sort()).toEqual(all.sort());
});

function kindOf(word: bigint, five: boolean): string {
  const levels = five ? '5-level' : '4-level';
  if (!(word >> 63n)) return `${levels} page ${(word >> 52n) & 3n}`;
  const kind = ['fault', 'canonical', 'missing'][Number((word >> 55n) & 7n)];
  return `${levels} ${kind}${word & 1n ? ' P' : ''}${word & 8n ? ' RSVD' : ''}`;
}

test('a process walks its job whenever it is asked, and tells time and checksum', async () => {
  const image = buildImage({ shape: 'mixed', tableBytes: 2 ** 19 });
  const addresses = addressesOf(image, 'random', 5000);
  const job = { registers: image.registers, access: BENCH_ACCESS, memory: image.bytes, addresses, passes: 3 };
  const walker = new NativeProcess(binary, job);
  const checksum = checksumOf(coreWords(job));
  for (let i = 0; i < 3; i++) {
    const answer = await walker.repeat();
    expect(answer.checksum).toBe(checksum);
    expect(answer.milliseconds).toBeGreaterThan(0);
    expect(answer.milliseconds).toBeLessThan(0.01);
  }
  walker.end();
});

describe('a job that is wrong', () => {
  const memory = new Uint8Array(4096);
  const good: Job = { registers: { cr3: 0n }, access: 0, memory, addresses: BigUint64Array.of(0n), passes: 1 };
  const words = (job: Uint8Array) => {
    const { status, stderr } = runNative(binary, ['--words'], job);
    return { status, message: stderr.toString() };
  };
  const bytesOf = (job: Job): Buffer => Buffer.concat(encodeJob(job));

  test('is one only when something is wrong', () => {
    expect(words(bytesOf(good))).toEqual({ status: 0, message: '' });
  });

  test.each<[string, Uint8Array, string]>([
    ['another magic', bytesOf(good).fill(0, 0, 8), 'magic'],
    ['a header cut short', bytesOf(good).subarray(0, 90), 'more bytes'],
    ['addresses cut short', bytesOf(good).subarray(0, -1), 'more bytes'],
    ['no memory', bytesOf({ ...good, memory: memory.subarray(0, 8) }), '4096'],
    ['no address', bytesOf({ ...good, addresses: new BigUint64Array(0) }), 'addresses'],
    ['no pass', bytesOf({ ...good, passes: 0 }), 'passes'],
    ['an access that is none', bytesOf({ ...good, access: 1 }), 'access'],
    ['a MAXPHYADDR that is none', bytesOf({ ...good, registers: { cr3: 0n, maxPhysicalAddress: 53 } }), 'MAXPHYADDR'],
  ])('%s', (_name, job, message) => {
    const result = words(job);
    expect(result.status).toBe(1);
    expect(result.message).toContain(message);
  });

  test('ends the process, which is reported', async () => {
    const walker = new NativeProcess(binary, { ...good, passes: 0 });
    await expect(walker.repeat()).rejects.toThrow('1 to 2^30 addresses and passes');
    walker.end();
  });
});
