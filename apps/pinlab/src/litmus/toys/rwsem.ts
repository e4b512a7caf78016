/**
 * The handoff of a reader-writer semaphore (reference N.18), asked of the real one: a reader may take it between two
 * holders before the writer that was woken comes. Once the writer has tried in vain after 4 ms, nobody may any more.
 */
import { P_HELD } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { litmus } from '@mmkit/explore';
import type { LitmusSpec, LitmusTest } from '@mmkit/explore';
import { createRwsem, downReadTrylock, isContended, upRead, upWrite, WAIT_TIMEOUT } from '@mmkit/rwsem';
import type { RwSem } from '@mmkit/rwsem';
import { downRead, downWrite } from '@mmkit/rwsem/sched';
import { createSched, TASK_READY, TASK_WAITING, writes } from '@mmkit/task';
import type { Sched } from '@mmkit/task';

class Race {
  readonly sched: Sched = createSched({ cpus: 3 });
  readonly sem: RwSem = createRwsem('sem');
  /** The reader came in, although the writer, which is in the queue, had tried in vain. */
  overtaken: boolean = false;
}

/** The id of the task `writer`: the second. */
const WRITER = 2;

/** A reader that has the semaphore from the start gives it back. */
function* holder({ sched, sem }: Race): Task<void> {
  yield writes(sched, P_HELD, sem);
  upRead(sched, sem);
}

function* writer({ sched, sem }: Race): Task<void> {
  yield* downWrite(sched, sem);
  upWrite(sched, sem);
}

/** Reads twice; `passes` ns go by when it holds the semaphore for the first time. */
function* reader(race: Race, passes: number): Task<void> {
  const { sched, sem } = race;
  yield* downRead(sched, sem);
  const awake = isContended(sem) && sched.tasks[WRITER]!.state === TASK_READY;
  sched.now += passes;
  yield writes(sched, P_HELD, sem);
  // It was awake, and sleeps again: it has tried.
  const vain = awake && sched.tasks[WRITER]!.state === TASK_WAITING;
  upRead(sched, sem);
  yield* downRead(sched, sem);
  race.overtaken = vain && isContended(sem);
  upRead(sched, sem);
}

function spec(passes: number): LitmusSpec<Race> {
  const found = (race: Race): string | null =>
    race.overtaken ? 'the reader came in before a writer that had tried in vain' : null;
  return {
    question: `rwsem: a reader against a writer that waits ${passes > 0 ? 'longer' : 'less'} than 4 ms: does it come in first again?`,
    setup() {
      const race = new Race();
      downReadTrylock(race.sem);
      return race;
    },
    tasks: { holder, writer, reader: (race) => reader(race, passes) },
    ...(passes > 0 ? { forbid: found } : { reach: found }),
  };
}

/** After the 4 ms the semaphore is handed off; before them it may be stolen. */
export const rwsemTests: readonly LitmusTest[] = [
  litmus('rwsem-handoff', spec(WAIT_TIMEOUT + 1)),
  litmus('rwsem-steal', spec(0)),
];
