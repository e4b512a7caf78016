/**
 * Schedules as strings. A schedule is the sequence of choices of one run: a lower-case letter for a step of a task
 * (a = the first task spawned), an upper-case letter for a pending event that fires (A = event 0); a number after a
 * letter repeats it: `a3bAa` is a, a, a, b, event 0, a.
 */

/** How many tasks, and how many events, a schedule can name. */
export const MAX_NAMES = 26;

const TASK_CODE = 97;
const EVENT_CODE = 65;

/** The choice "step of task `id`" (1 to 26): the code of its letter. */
export function taskChoice(id: number): number {
  if (id > MAX_NAMES) throw new RangeError(`task ${id}: a schedule can name ${MAX_NAMES} tasks`);
  return TASK_CODE + id - 1;
}

/** The choice "event `id` fires" (0 to 25). */
export function eventChoice(id: number): number {
  if (id >= MAX_NAMES) throw new RangeError(`event ${id}: a schedule can name ${MAX_NAMES} events`);
  return EVENT_CODE + id;
}

/** True when the choice is a step of a task. */
export function isTaskChoice(choice: number): boolean {
  return choice >= TASK_CODE;
}

/** Task id or event id of a choice. */
export function choiceId(choice: number): number {
  return choice >= TASK_CODE ? choice - TASK_CODE + 1 : choice - EVENT_CODE;
}

/** Writes choices as a schedule string. */
export function formatSchedule(choices: readonly number[]): string {
  let text = '';
  for (let i = 0; i < choices.length; ) {
    let run = 1;
    while (choices[i + run] === choices[i]) run++;
    text += String.fromCharCode(choices[i]!) + (run > 1 ? String(run) : '');
    i += run;
  }
  return text;
}

/** Reads a schedule string; RangeError when it is not one, or is longer than 100,000 choices. */
export function parseSchedule(text: string): number[] {
  const choices: number[] = [];
  const pattern = /([a-zA-Z])(\d{0,6})/y;
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(text);
    if (match === null) throw new RangeError(`schedule: expected a letter at position ${at}, got '${text[at]}'`);
    const run = match[2] === '' ? 1 : Number(match[2]);
    if (run === 0 || choices.length + run > 100_000) throw new RangeError(`schedule: bad repetition at position ${at}`);
    for (let i = 0; i < run; i++) choices.push(match[1]!.charCodeAt(0));
  }
  return choices;
}
