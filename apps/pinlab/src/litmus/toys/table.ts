/**
 * gup-fast against whoever takes the page table from under it: munmap frees it (reference B.11, "Why IRQs off suffices"),
 * khugepaged replaces it by a huge page (C.8).
 */
import { P_COLLAPSE_CHECK, P_COLLAPSE_CLEAR, P_COLLAPSE_MAP, P_REUSE, P_TABLE_FREE, P_ZAP_CLEAR } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { litmus } from '@mmkit/explore';
import type { LitmusSpec, LitmusTest } from '@mmkit/explore';
import { noteRead, noteWrite, reads, writes } from '@mmkit/task';
import { synchronizeRcu } from '@mmkit/task/sched';
import { COPY, entry, FAST_6_18, gupFast, LEAF, OTHER, PAGE, PRESENT, TABLE, ToyMachine, UPPER } from './machine.ts';

/** munmap's end: unhooks the table, waits until no walk can be in it, frees it; somebody else fills the frame. */
function* freeTable(machine: ToyMachine): Task<void> {
  const { sched, memory, refs } = machine;
  yield writes(sched, P_ZAP_CLEAR, memory, UPPER);
  memory[UPPER] = 0;
  yield* synchronizeRcu(sched);
  yield writes(sched, P_TABLE_FREE, refs, TABLE);
  refs[TABLE] = 0;
  yield writes(sched, P_REUSE, memory, TABLE);
  memory[TABLE] = entry(OTHER, PRESENT);
}

function freeSpec(irqsOff: boolean): LitmusSpec<ToyMachine> {
  // Without the second read of the upper entry, as before 6.1: it would hide what the walk has done.
  const rules = { ...FAST_6_18, irqsOff, recheckUpper: false, askExclusive: false };
  const found = (machine: ToyMachine): string | null =>
    machine.pinned === OTHER ? 'gup-fast took an entry from a table that was freed, and pinned a foreign page' : null;
  return {
    question: `toy: gup-fast, interrupts ${irqsOff ? 'off' : 'on'}, against freeing the table: does it read a freed table?`,
    setup() {
      const machine = new ToyMachine(2);
      machine.refs[OTHER] = 1;
      return machine;
    },
    tasks: { pin: (machine) => gupFast(machine, rules), munmap: freeTable },
    ...(irqsOff ? { forbid: found } : { reach: found }),
  };
}

/** khugepaged: unhooks the table, gives up when a page has other references, else maps a huge page with the contents. */
function* collapse(machine: ToyMachine): Task<void> {
  const { sched, memory, refs } = machine;
  yield writes(sched, P_COLLAPSE_CLEAR, memory, UPPER);
  const upper = memory[UPPER]!;
  memory[UPPER] = 0;
  yield reads(sched, P_COLLAPSE_CHECK, refs, PAGE);
  const alone = refs[PAGE] === 1;
  yield writes(sched, P_COLLAPSE_MAP, memory, UPPER);
  if (!alone) {
    memory[UPPER] = upper;
    return;
  }
  noteRead(sched, memory, PAGE);
  noteWrite(sched, memory, COPY);
  noteWrite(sched, refs, PAGE);
  memory[COPY] = memory[PAGE]!;
  memory[UPPER] = entry(COPY, PRESENT | LEAF);
  refs[PAGE] = refs[PAGE]! - 1;
}

function collapseSpec(recheckUpper: boolean): LitmusSpec<ToyMachine> {
  const rules = { ...FAST_6_18, recheckUpper };
  const found = (machine: ToyMachine): string | null =>
    machine.pinned === PAGE && machine.memory[UPPER] === entry(COPY, PRESENT | LEAF)
      ? 'the pinned page was collapsed: the process sees another one'
      : null;
  return {
    question: `toy: gup-fast against khugepaged${recheckUpper ? '' : ', the upper entry not read again'}: is the pinned page collapsed?`,
    setup: () => new ToyMachine(2),
    tasks: { pin: (machine) => gupFast(machine, rules), khugepaged: collapse },
    ...(recheckUpper ? { forbid: found } : { reach: found }),
  };
}

/** Freeing with interrupts off and on; collapse with the second read of the upper entry and without it. */
export const tableTests: readonly LitmusTest[] = [
  litmus('toy-table', freeSpec(true)),
  litmus('toy-table-irqs-on', freeSpec(false)),
  litmus('toy-collapse', collapseSpec(true)),
  litmus('toy-collapse-no-recheck', collapseSpec(false)),
];
