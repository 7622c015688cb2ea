/**
 * A repetition: `passes` times some work of `operations` operations; answers with milliseconds an operation. One pass
 * before them does not count: it brings back what the other sides took from the caches. `prepare` is called before each
 * pass and does not count either.
 */
export function timed(operations: number, passes: number, work: () => void, prepare?: () => void): () => number {
  const pass = (): bigint => {
    prepare?.();
    const start = process.hrtime.bigint();
    work();
    return process.hrtime.bigint() - start;
  };
  return () => {
    pass();
    let nanoseconds = 0n;
    for (let i = 0; i < passes; i++) nanoseconds += pass();
    return Number(nanoseconds) / 1e6 / (passes * operations);
  };
}
