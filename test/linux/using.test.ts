/**
 * `using` closes the files of the kernel model at the end of a block, unless they are closed already.
 */
import { describe, expect, test } from 'vitest';
import { Machine } from '../../src/linux/index.ts';

const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 2 }] });
const process = machine.createProcess();

describe.each([
  ['a file', () => machine.memfdCreate({ hugePageSize: 2 << 20 }), /^file: expected an open file, got a closed one$/],
  ['a pipe', () => machine.createPipe(), /^pipe: expected an open pipe, got a closed one$/],
  ['a userfaultfd', () => process.userfaultfd(), /^userfaultfd: expected an open one, got a closed one$/],
] as const)('%s', (_, open, message) => {
  test('is closed by [Symbol.dispose], once', () => {
    const file = open();
    file[Symbol.dispose]();
    expect(() => file.close()).toThrow(message);
    file[Symbol.dispose]();
    machine.check();
  });

  test('that was closed stays closed', () => {
    const file = open();
    file.close();
    file[Symbol.dispose]();
    expect(() => file.close()).toThrow(message);
  });
});
