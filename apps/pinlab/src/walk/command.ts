/** `pinlab walk`: page tables in a memory dump. */
import { setImmediate } from 'node:timers/promises';
import { closeSource } from '@mmkit/pgtable/node';
import { EXIT_OK } from '../exit.ts';
import { LIST_HEAD, listLines } from './list.ts';
import { dumpError, planWalk, type WalkOptions, type WalkPlan } from './options.ts';
import { walkLines } from './path.ts';

export type { WalkOptions } from './options.ts';

/** Lines printed at a time: a list can be as long as an address space. */
const LINES = 1000;

export async function walkCommand(file: string, options: WalkOptions, print: (text: string) => void): Promise<number> {
  const plan = planWalk(file, options);
  try {
    if (plan.va === null) await printList(plan, print);
    else print([describe(file, plan), ...walkLines(plan, plan.va)].join('\n'));
    return EXIT_OK;
  } catch (error) {
    throw dumpError(file, error);
  } finally {
    closeSource(plan.source);
  }
}

async function printList(plan: WalkPlan, print: (text: string) => void): Promise<void> {
  let lines = [LIST_HEAD];
  for (const line of listLines(plan)) {
    if (lines.length === LINES) {
      print(lines.join('\n'));
      lines = [];
      // A reader that has gone is told of in between.
      await setImmediate();
    }
    lines.push(line);
  }
  print(lines.join('\n'));
}

function describe(file: string, { dump }: WalkPlan): string {
  const bytes = dump.ranges.reduce((sum, { size }) => sum + size, 0);
  const names = { raw: 'raw memory', elf: 'ELF core', lime: 'LiME' };
  return `${file}: ${names[dump.format]}, ${bytes} bytes in ${dump.ranges.length} range${dump.ranges.length === 1 ? '' : 's'}`;
}
