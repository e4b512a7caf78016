/** What the packages tell the tracepoints: a pin, its faults, its locks, a flush; as text and as JSON for Perfetto. */
import { describe, expect, it } from 'vitest';
import { createTraceRing, FOLL_WRITE, traceHash } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { FAULT_FLAG_ALLOW_RETRY, FAULT_FLAG_KILLABLE, FAULT_FLAG_WRITE } from '@mmkit/fault';
import { unpinUserPages } from '@mmkit/gup';
import { pinUserPagesFast } from '@mmkit/gup/sched';
import { createMachine, createProcess, load, store } from '@mmkit/kernel/sched';
import type { Machine, Process } from '@mmkit/kernel';
import { mmap, munmap } from '@mmkit/mm/sched';
import {
  createTracepoints,
  formatChromeTrace,
  formatFtrace,
  readTracepoints,
  runAll,
  runTask,
  spawn,
} from '@mmkit/task';
import { TP_PAGE_ALLOC, TP_PIN, TP_UNPIN } from '@mmkit/task';
import { ANON, formats, PAGE, RW, testedFormat } from './builds.ts';

interface Bench {
  machine: Machine;
  process: Process;
  address: number;
}

function bench(capacity: number): Bench {
  const trace = createTraceRing(16);
  const machine = createMachine({ ramBytes: 256 * PAGE, cpus: 2, format: testedFormat(), trace });
  const process = createProcess(machine)!;
  const address = runTask(machine.sched, mmap(process.mm, 0x10_0000_0000, 2 * PAGE, RW, ANON));
  if (capacity > 0) machine.sched.tracepoints = createTracepoints(capacity);
  return { machine, process, address };
}

/** The flags of the faults of GUP here. */
const FAULT: number = FAULT_FLAG_WRITE | FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;

/** Pins two pages that nobody has touched, gives them back, pins them again. */
function* pinTwice({ machine, process, address }: Bench): Task<void> {
  const pages = new Uint32Array(2);
  for (let i = 0; i < 2; i++) {
    const got = yield* pinUserPagesFast(process.mm, address, 2, FOLL_WRITE, pages);
    unpinUserPages(machine.memory, pages, Math.max(got, 0));
  }
}

interface ChromeEvent {
  name: string;
  ph: string;
  ts: number;
  tid: number;
}

/** The slices of each task, an inner one indented; throws where they do not nest. */
function slices(json: string): Map<number, string[]> {
  const open = new Map<number, string[]>();
  const shown = new Map<number, string[]>();
  for (const { name, ph, tid } of (JSON.parse(json) as { traceEvents: ChromeEvent[] }).traceEvents) {
    const stack = open.get(tid) ?? [];
    open.set(tid, stack);
    const lines = shown.get(tid) ?? [];
    shown.set(tid, lines);
    if (ph === 'B') lines.push(`${'  '.repeat(stack.push(name) - 1)}${name}`);
    if (ph === 'E' && stack.pop() !== name) throw new Error(`${name} ends inside another slice`);
  }
  for (const [tid, stack] of open) if (stack.length > 0) throw new Error(`task ${tid}: ${stack.join()} never ends`);
  return shown;
}

describe.each(formats)('%s: tracepoints', () => {
  it('a pin of new pages as ftrace prints it: fast in vain, mmap_lock, slow with two faults; then fast', () => {
    const b = bench(256);
    const { sched } = b.machine;
    spawn(sched, 'pin', pinTwice(b), 1);
    runAll(sched);
    const pfns = readTracepoints(sched.tracepoints!)
      .filter((one) => one.event === TP_PAGE_ALLOC)
      .map((one) => one.args[0]);
    expect(pfns).toHaveLength(2);
    const id = b.process.mm.id;
    const low = b.address | 0;
    const high = Math.floor(b.address / 2 ** 32);
    const flags = readTracepoints(sched.tracepoints!)
      .filter((one) => one.event === TP_PIN)
      .map((one) => one.args[2]);
    const want = [
      `gup-fast: begin ${low} ${high} 2`,
      'gup-fast: end 0 0 0',
      `mmap_lock_start_locking: ${id} 0 0`,
      `mmap_lock_acquire_returned: ${id} 0 1`,
      `gup slow: begin ${low} ${high} 2`,
      `fault: begin ${low} ${high} ${FAULT}`,
      `mm_page_alloc: ${pfns[0]} 0 0`,
      'fault: end 0 0 0',
      `fault: begin ${low + PAGE} ${high} ${FAULT}`,
      `mm_page_alloc: ${pfns[1]} 0 0`,
      'fault: end 0 0 0',
      `mmap_lock_released: ${id} 0 0`,
      'gup slow: end 2 0 0',
      `pin: 2 ${pfns[0]} ${flags[0]}`,
      `unpin: 2 ${pfns[0]} 0`,
      `gup-fast: begin ${low} ${high} 2`,
      'gup-fast: end 2 0 0',
      `pin: 2 ${pfns[0]} ${flags[1]}`,
      `unpin: 2 ${pfns[0]} 0`,
    ];
    const text = formatFtrace(sched).trimEnd().split('\n');
    expect(text.map((line) => line.replace(/^pin-1 \[001\] 0\.000000: /, ''))).toEqual(want);
  });

  it('as JSON for Chrome and Perfetto: the slices of all tasks nest strictly, a fault inside the slow path', () => {
    const b = bench(1024);
    const { machine, process, address } = b;
    const { sched } = machine;
    spawn(sched, 'pin', pinTwice(b), 1);
    spawn(sched, 'store', store(machine, process, address, new Uint8Array(1), 0, 1), 0);
    runAll(sched);
    spawn(sched, 'munmap', munmap(process.mm, address, 2 * PAGE), 1);
    runAll(sched);
    const shown = slices(formatChromeTrace(sched));
    const [pin, storing, unmap] = [...shown.values()];
    expect(pin).toContain('gup-fast');
    expect(storing).toContain('fault');
    expect(unmap).toContain('tlb_flush');
    expect([...shown.values()].flat().filter((line) => line === '  fault').length).toBeGreaterThan(0);
    const records = readTracepoints(sched.tracepoints!);
    const sum = (event: number): number => records.reduce((n, one) => (one.event === event ? n + one.args[0] : n), 0);
    expect([sum(TP_PIN), sum(TP_UNPIN)]).toEqual([4, 4]);
  });

  it('what is recorded changes nothing: the same steps with and without', () => {
    const hashes = [0, 256].map((capacity) => {
      const b = bench(capacity);
      const { machine, process, address } = b;
      const { sched } = machine;
      spawn(sched, 'pin', pinTwice(b), 1);
      spawn(sched, 'load', load(machine, process, address, new Uint8Array(PAGE), 0, PAGE), 0);
      spawn(sched, 'munmap', munmap(process.mm, address, PAGE), 0);
      runAll(sched);
      return [traceHash(sched.trace!), machine.memory.stat.pgfault];
    });
    expect(hashes[1]).toEqual(hashes[0]);
  });
});
