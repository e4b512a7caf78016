/** One schedule again, step by step, as a timeline for people. */
import { pointName, TASK_DONE } from '@mmkit/task';
import { choiceId, formatSchedule, isTaskChoice, parseSchedule } from './schedule.ts';
import { choicesOf, takeChoice, verdictOf } from './world.ts';
import type { Scenario } from './world.ts';

export interface TimelineStep {
  /** Counts from 1. */
  readonly step: number;
  /** The task's name, or the event's. */
  readonly who: string;
  /** The CPU, or null for an event. */
  readonly cpu: number | null;
  /** What the step did: from the point it stood before. */
  readonly did: string;
  /** How it ended: the next point, `waits for …`, `done`, or what it threw. */
  readonly then: string;
}

export interface Replay {
  readonly steps: readonly TimelineStep[];
  /** What was wrong at the end, or null. */
  readonly message: string | null;
  /** The schedule that was run: the given one, completed if it ended early. */
  readonly schedule: string;
}

/**
 * Runs `schedule`; when it ends before the scenario does, the first choice is taken from there on. RangeError when the
 * string is not a schedule or names a step that is not possible.
 */
export function replay(scenario: Scenario, schedule: string): Replay {
  const wanted = parseSchedule(schedule);
  const world = scenario();
  const sched = world.sched;
  const steps: TimelineStep[] = [];
  const choices: number[] = [];
  const path: number[] = [];
  const started = new Set<number>();
  let message: string | null = null;
  for (;;) {
    if (choicesOf(sched, choices) === 0) break;
    const choice = wanted[path.length] ?? choices[0]!;
    if (!choices.includes(choice)) {
      throw new RangeError(`schedule: '${String.fromCharCode(choice)}' is not possible at step ${path.length + 1}`);
    }
    path.push(choice);
    const id = choiceId(choice);
    if (isTaskChoice(choice)) {
      const task = sched.tasks[id]!;
      const did = started.has(id) ? pointName(task.point) : 'start';
      started.add(id);
      message = takeChoice(sched, choice);
      const then =
        message ??
        (task.queue !== null
          ? `waits for ${task.queue.name}`
          : task.state === TASK_DONE
            ? 'done'
            : pointName(task.point));
      steps.push({ step: path.length, who: task.name, cpu: task.cpu.id, did, then });
    } else {
      const event = sched.events.find((e) => e.id === id)!;
      message = takeChoice(sched, choice);
      steps.push({ step: path.length, who: event.name, cpu: null, did: 'event', then: message ?? 'done' });
    }
    if (message !== null) return { steps, message, schedule: formatSchedule(path) };
  }
  if (path.length < wanted.length) throw new RangeError(`schedule: nothing can move after step ${path.length}`);
  return { steps, message: verdictOf(world), schedule: formatSchedule(path) };
}

/** A replay as lines of text, one column a task. */
export function formatTimeline(result: Replay): string {
  const names = [...new Set(result.steps.map((step) => step.who))];
  const width = Math.max(12, ...result.steps.map((step) => step.did.length), ...names.map((name) => name.length)) + 2;
  const lines = [('step  ' + names.map((name) => name.padEnd(width)).join('')).trimEnd()];
  for (const step of result.steps) {
    const column = names.indexOf(step.who);
    const end = step.then === 'done' || step.then.startsWith('waits') ? `  (${step.then})` : '';
    lines.push(String(step.step).padStart(4) + '  ' + ' '.repeat(width * column) + step.did + end);
  }
  lines.push(result.message === null ? 'ends well' : `WRONG: ${result.message}`);
  return lines.join('\n');
}
