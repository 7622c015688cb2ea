/** Results of system calls that cannot have failed. */

/** An address. */
export function addressOf(result: number | string): number {
  if (typeof result === 'string') throw new Error(`expected an address, got ${result}`);
  return result;
}

/** Of a call that returns nothing else. */
export function expectOk(result: string): void {
  if (result !== 'OK') throw new Error(`expected OK, got ${result}`);
}
