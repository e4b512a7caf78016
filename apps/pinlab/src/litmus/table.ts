/** `pinlab litmus --table`: what the reduction saves, as the table of the explorer's README. */
import { explore, type ExploreResult } from '@mmkit/explore';
import { EXIT_FAILED, EXIT_OK } from '../exit.ts';
import type { Selected } from './select.ts';
import { timed } from './timed.ts';

/** Explores each test plainly and reduced and prints a row; exit 1 when the two do not agree. */
export function printTable(tests: readonly Selected[], print: (text: string) => void): number {
  print('| test | answer | plain | time | reduced | time | left out |');
  print('|---|---|---|---|---|---|---|');
  let agree = true;
  for (const { test } of tests) {
    const plain = timed(() => explore(test.scenario, { strategy: { kind: 'plain' } }));
    const reduced = timed(() => explore(test.scenario, { strategy: { kind: 'reduced' } }));
    const same = plain.result.messages.join('\n') === reduced.result.messages.join('\n');
    const all = plain.result.exhaustive && reduced.result.exhaustive;
    agree &&= same && all;
    // Rounded down: what is not all must not look like it.
    const left = Math.floor(1000 * (1 - reduced.result.schedules / plain.result.schedules)) / 10;
    const answer = !same || !all ? 'NO AGREEMENT' : plain.result.failures > 0 ? 'reachable' : 'no';
    print(
      `| \`${test.name}\` | ${answer} | ${count(plain.result)} | ${plain.seconds.toFixed(2)} s | ` +
        `${count(reduced.result)} | ${reduced.seconds.toFixed(2)} s | ${left.toFixed(1)} % |`,
    );
  }
  return agree ? EXIT_OK : EXIT_FAILED;
}

function count(result: ExploreResult): string {
  return (result.exhaustive ? '' : 'more than ') + result.schedules.toLocaleString('en-US');
}
