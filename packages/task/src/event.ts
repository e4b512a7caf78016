/** Virtual time: events that fire by themselves, and callbacks that come in from outside the simulation. */
import { InvariantError, traceEvent } from '@mmkit/base';
import { noteWrite } from './footprint.ts';
import { PendingEvent, Sched } from './state.ts';
import { TP_EVENT } from './trace-events.ts';
import { tracepoint } from './tracepoint.ts';

/** Adds an event due `delay` ns (0 or more) from now. `fire` runs in interrupt context: it must not wait. */
export function addEvent(sched: Sched, delay: number, name: string, fire: () => void): PendingEvent {
  checkDelay(delay);
  noteWrite(sched, sched.events);
  const event = new PendingEvent(sched.nextEvent++, sched.now + delay, name, fire);
  const events = sched.events;
  let at = events.length;
  while (at > 0 && events[at - 1]!.time > event.time) at--;
  events.splice(at, 0, event);
  return event;
}

/** RangeError unless `delay` is 0 or more. */
export function checkDelay(delay: number): void {
  if (!(delay >= 0)) throw new RangeError(`delay: expected 0 or more ns, got ${String(delay)}`);
}

/** Fires `event` now; virtual time moves on to its moment if that is later. 'EVENT_FIRED' when it is not pending. */
export function fireEvent(sched: Sched, event: PendingEvent): void {
  if (!cancelEvent(sched, event)) throw new InvariantError('EVENT_FIRED', `event ${event.name} is not pending`);
  sched.now = Math.max(sched.now, event.time);
  if (sched.trace !== null) traceEvent(sched.trace, -1, 0, event.id, event.time | 0);
  if (sched.tracepoints !== null) tracepoint(sched, TP_EVENT, event.id);
  event.fire();
}

/** Takes `event` back before it fires; false when it has fired already. */
export function cancelEvent(sched: Sched, event: PendingEvent): boolean {
  noteWrite(sched, sched.events);
  const at = sched.events.indexOf(event);
  if (at >= 0) sched.events.splice(at, 1);
  return at >= 0;
}

/** Called from outside the simulation (a real I/O callback): `fire` runs before the next step. */
export function interrupt(sched: Sched, fire: () => void): void {
  sched.inbox.push(fire);
  if (sched.onInbox !== null) sched.onInbox();
}

/** Runs what came in from outside; false when there was nothing. */
export function drainInbox(sched: Sched): boolean {
  if (sched.inbox.length === 0) return false;
  for (const fire of sched.inbox.splice(0)) fire();
  return true;
}

/** Makes something happen that needs no task: outside callbacks, else the earliest event. False when there is nothing. */
export function runPending(sched: Sched): boolean {
  if (drainInbox(sched)) return true;
  const event = sched.events[0];
  if (event === undefined) return false;
  fireEvent(sched, event);
  return true;
}
