/**
 * What the options about high-granularity mapping come to.
 */
import { checkInteger, checkOptions, type OptionNames, shown, wrongKind } from '../../core/errors.ts';
import { HGM_POSTED_ALL, type HgmOptions } from './hgm.ts';

const OPTIONS: OptionNames<HgmOptions> = { version: true, mapcounts: true, posted: true };

/** What a machine has, where options leave it open. @throws RangeError for what there is not */
export function resolveHgm(options: HgmOptions = {}): Required<HgmOptions> {
  checkOptions('hgm', options, OPTIONS);
  const { version = 'v2', posted = 0 } = options;
  const { mapcounts = version === 'rfc-v2' ? 'head' : 'subpages' } = options;
  checkChoice('hgm.version', version, ['none', 'rfc-v2', 'v2']);
  checkChoice('hgm.mapcounts', mapcounts, ['head', 'subpages']);
  checkInteger('hgm.posted', posted, 0, HGM_POSTED_ALL);
  return { version, mapcounts, posted };
}

function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (choices.some((choice) => choice === value)) return;
  const quoted = choices.map((choice) => `'${choice}'`);
  const expected = `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
  if (typeof value !== 'string') throw wrongKind(name, expected, value);
  throw new RangeError(`${name}: expected ${expected}, got ${shown(value)}`);
}
