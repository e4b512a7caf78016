/** gup-fast against unmapping: the entry, then the page, go from under it (reference B.11 step 7, N.11). */
import { P_REUSE, P_ZAP_CLEAR, P_ZAP_FREE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { litmus } from '@mmkit/explore';
import type { LitmusSpec, LitmusTest } from '@mmkit/explore';
import { writes } from '@mmkit/task';
import { gupFast, PAGE, TABLE, ToyMachine } from './machine.ts';

class ZapMachine extends ToyMachine {
  /** The page was freed and has a new owner. */
  reused: boolean = false;
}

function* zap(machine: ZapMachine): Task<void> {
  const { sched, memory, refs } = machine;
  yield writes(sched, P_ZAP_CLEAR, memory, TABLE);
  memory[TABLE] = 0;
  yield writes(sched, P_ZAP_FREE, refs, PAGE);
  refs[PAGE] = refs[PAGE]! - 1;
  yield writes(sched, P_REUSE, refs, PAGE);
  if (refs[PAGE] !== 0) return;
  refs[PAGE] = 1;
  machine.reused = true;
}

function spec(recheckEntry: boolean): LitmusSpec<ZapMachine> {
  const found = (machine: ZapMachine): string | null =>
    machine.pinned === PAGE && machine.reused ? 'the pinned page was freed and belongs to somebody else' : null;
  return {
    question: `toy: gup-fast against unmapping${recheckEntry ? '' : ', the entry not read again after the grab'}: is a freed page pinned?`,
    setup: () => new ZapMachine(2),
    tasks: { pin: (machine) => gupFast(machine, recheckEntry), zap },
    ...(recheckEntry ? { forbid: found } : { reach: found }),
  };
}

/** With the second read, and without it. */
export const zapTests: readonly LitmusTest[] = [
  litmus('toy-zap', spec(true)),
  litmus('toy-zap-no-recheck', spec(false)),
];
