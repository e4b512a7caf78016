/** `--strategy`: how the schedules are gone through. */
import { type ExploreOptions, parseSchedule } from '@mmkit/explore';
import { BadInput } from '../exit.ts';

/** How, how far, and in words what was left out. */
export interface Search {
  readonly strategy: NonNullable<ExploreOptions['strategy']>;
  /** Stop after so many schedules; null: the explorer's own limit. */
  readonly schedules: number | null;
  /** For people: how the search was bounded. */
  readonly bound: string;
}

/** For help texts. */
export const STRATEGY_HELP = 'exhaustive, reduced, bounded:PREEMPTIONS, random:SEED:N, pct:SEED:DEPTH:N or a schedule';

/** How a search that leaves nothing out ends early. */
const LIMIT = 'the limit of schedules';

/** Reads `--strategy`; BadInput when it is none. */
export function parseStrategy(text: string): Search {
  const [kind, ...rest] = text.split(':');
  const numbers = rest.map(Number);
  const good = numbers.every((n, i) => rest[i] !== '' && Number.isSafeInteger(n) && n >= 0);
  if (kind === 'exhaustive' && rest.length === 0) return { strategy: { kind: 'plain' }, schedules: null, bound: LIMIT };
  if (kind === 'reduced' && rest.length === 0) return { strategy: { kind: 'reduced' }, schedules: null, bound: LIMIT };
  if (kind === 'bounded' && rest.length === 1 && good) {
    const bound = numbers[0]!;
    return { strategy: { kind: 'preemptions', bound }, schedules: null, bound: `at most ${bound} preemptions` };
  }
  if (kind === 'random' && rest.length === 2 && good && numbers[1]! > 0) {
    const seed = numbers[0]!;
    return { strategy: { kind: 'random', seed }, schedules: numbers[1]!, bound: `random, seed ${seed}` };
  }
  if (kind === 'pct' && rest.length === 3 && good && numbers[1]! > 0 && numbers[2]! > 0) {
    const [seed, depth, schedules] = numbers as [number, number, number];
    return { strategy: { kind: 'pct', depth, seed }, schedules, bound: `pct of depth ${depth}, seed ${seed}` };
  }
  const word = /^(bounded|random|pct)$/.test(text);
  if (rest.length === 0 && !word && isSchedule(text)) {
    return { strategy: { kind: 'schedule', schedule: text }, schedules: 1, bound: 'the given one' };
  }
  throw new BadInput(`--strategy: expected ${STRATEGY_HELP}, got '${text}'`);
}

function isSchedule(text: string): boolean {
  try {
    return text !== '' && parseSchedule(text).length > 0;
  } catch {
    return false;
  }
}
