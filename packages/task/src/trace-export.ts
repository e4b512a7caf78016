/** Tracepoints for people: the JSON that Chrome and Perfetto read, and text as ftrace prints it. */
import { Sched } from './state.ts';
import { traceEventName } from './trace-events.ts';
import { PHASE_BEGIN, PHASE_END, PHASE_INSTANT, readTracepoints } from './tracepoint.ts';
import type { TraceRecord } from './tracepoint.ts';

/** Gives an event its name; null: `event N`. Those of mmkit's packages (trace-events.ts) have theirs already. */
export type EventName = (event: number) => string | null;

/**
 * The trace as JSON of the Chrome trace format: a process a CPU, a thread a task, times in µs. Slices nest strictly: an
 * end whose begin is no longer in the ring is left out, an end ends the slices inside it too, and what is open at the
 * last record ends there. '{"traceEvents":[]}' when tracepoints are off.
 */
export function formatChromeTrace(sched: Sched, nameOf: EventName = () => null): string {
  const records = sched.tracepoints === null ? [] : readTracepoints(sched.tracepoints);
  const out: object[] = [];
  /** Open slices by task, outermost first. */
  const open = new Map<number, TraceRecord[]>();
  const end = (slices: TraceRecord[], down: number, time: number): void => {
    while (slices.length > down) out.push(chromeEvent(slices.pop()!, 'E', time, nameOf));
  };
  for (const record of records) {
    let slices = open.get(record.task);
    if (slices === undefined) {
      open.set(record.task, (slices = []));
      const args = { name: taskName(sched, record.task) };
      out.push({ name: 'thread_name', ph: 'M', pid: record.cpu, tid: record.task, args });
    }
    if (record.phase === PHASE_INSTANT) out.push(chromeEvent(record, 'i', record.time, nameOf));
    else if (record.phase === PHASE_BEGIN) {
      slices.push(record);
      out.push(chromeEvent(record, 'B', record.time, nameOf));
    } else {
      const at = slices.findLastIndex((slice) => slice.event === record.event);
      if (at >= 0) end(slices, at, record.time);
    }
  }
  for (const slices of open.values()) end(slices, 0, records[records.length - 1]!.time);
  return JSON.stringify({ traceEvents: out });
}

/** The trace as text, a line a record: `task-id [cpu] seconds.micros: event: args`; a slice has `begin` and `end`. */
export function formatFtrace(sched: Sched, nameOf: EventName = () => null): string {
  const records = sched.tracepoints === null ? [] : readTracepoints(sched.tracepoints);
  const lines = records.map((record) => {
    const micros = Math.floor(record.time / 1000);
    const time = `${Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')}`;
    const phase = record.phase === PHASE_BEGIN ? 'begin ' : record.phase === PHASE_END ? 'end ' : '';
    const who = `${taskName(sched, record.task)}-${record.task} [${String(record.cpu).padStart(3, '0')}]`;
    return `${who} ${time}: ${eventName(record.event, nameOf)}: ${phase}${record.args.join(' ')}\n`;
  });
  return lines.join('');
}

function chromeEvent(record: TraceRecord, ph: string, time: number, nameOf: EventName): object {
  const [a, b, c] = record.args;
  const name = eventName(record.event, nameOf);
  return { name, ph, ts: time / 1000, pid: record.cpu, tid: record.task, ...(ph === 'E' ? {} : { args: { a, b, c } }) };
}

function taskName(sched: Sched, id: number): string {
  return sched.tasks[id]?.name ?? 'task';
}

function eventName(event: number, nameOf: EventName): string {
  return traceEventName(event) ?? nameOf(event) ?? `event ${event}`;
}
