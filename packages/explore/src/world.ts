/**
 * One run of a scenario: a fresh world, stepped choice by choice. Every choice the machine has at a moment is offered:
 * a step of any runnable task, and any pending event (I/O completes in any order).
 */
import { describeWaiters, fireEvent, isRunnable, Sched, stepTask } from '@mmkit/task';
import { choiceId, eventChoice, isTaskChoice, taskChoice } from './schedule.ts';

/** What a scenario makes, afresh for every schedule: a machine with its tasks spawned, and the question. */
export interface World {
  /** The machine; its tasks are those the explorer steps. */
  readonly sched: Sched;
  /** Asked when every task is done: null when all is well, else what is wrong. May throw instead. */
  check(): string | null;
}

/** Makes a world. Must be deterministic: the same world at every call. */
export type Scenario = () => World;

/** Fills `into` with the choices at this moment (tasks by id, then events by id) and returns how many there are. */
export function choicesOf(sched: Sched, into: number[]): number {
  let n = 0;
  const tasks = sched.tasks;
  for (let i = 1; i < tasks.length; i++) if (isRunnable(tasks[i]!)) into[n++] = taskChoice(i);
  const events = sched.events;
  for (let i = 0; i < events.length; i++) into[n++] = eventChoice(events[i]!.id);
  into.length = n;
  return n;
}

/** Takes one choice: null, or what is wrong (the task threw). */
export function takeChoice(sched: Sched, choice: number): string | null {
  const id = choiceId(choice);
  try {
    if (isTaskChoice(choice)) stepTask(sched, sched.tasks[id]!);
    else fireEvent(sched, sched.events.find((event) => event.id === id)!);
  } catch (error) {
    return message(error);
  }
  return null;
}

/** The verdict over a world in which nothing can move any more. */
export function verdictOf(world: World): string | null {
  const waiters = describeWaiters(world.sched);
  if (waiters !== '') return `deadlock: ${waiters}`;
  try {
    return world.check();
  } catch (error) {
    return message(error);
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
