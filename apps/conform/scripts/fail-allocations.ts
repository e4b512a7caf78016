/**
 * Replays recordings with each of their allocations made to fail, one at a time:
 *
 *     node --conditions=@mmkit/source apps/conform/scripts/fail-allocations.ts FILE… [--every N]
 *
 * A line for each file: traces, allocations that failed, operations that ended otherwise for it. A broken rule ends it.
 */
import { parseArgs } from 'node:util';
import { failEach } from '../src/failing.ts';
import { parseRecordings, readText } from '../src/records.ts';
import { traceOf } from '../src/replay.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { every: { type: 'string', default: '1' } },
});
for (const path of positionals) {
  const list = parseRecordings(path, readText(path)).filter((_, i) => i % Number(values.every) === 0);
  let allocations = 0;
  let changed = 0;
  for (const recording of list) {
    try {
      const found = failEach(traceOf(recording));
      allocations += found.allocations;
      changed += found.changed.filter((line) => line !== null).length;
    } catch (error) {
      throw new Error(recording.id, { cause: error });
    }
  }
  process.stdout.write(
    `${path}: ${list.length} traces, ${allocations} allocations failed, ${changed} operations changed\n`,
  );
}
