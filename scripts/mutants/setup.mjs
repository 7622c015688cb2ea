/*
 * The same random images in every run, so that a mutant's fate does not depend on luck; and no search for a smaller one.
 * MUTANT_PROPERTY_MS bounds the time that each property takes.
 */
import fc from 'fast-check';

const { MUTANT_PROPERTY_MS } = process.env;

fc.configureGlobal({
  seed: 2,
  endOnFailure: true,
  ...(MUTANT_PROPERTY_MS ? { interruptAfterTimeLimit: Number(MUTANT_PROPERTY_MS) } : {}),
});
