import { describe, expect, it } from 'vitest';
import * as plain from '@mmkit/aspace';
import { callFaultHandler, Mm } from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import { runTask } from '@mmkit/task';
import { addVma, AT, formats, machine, RW, space } from './builds.ts';

/** Ordinary functions that exist twice: each makes something of its own build. */
const MAKERS = ['fileRmap'];

describe('entries', () => {
  it('both builds export the same names and the same state classes', () => {
    expect(Object.keys(coloured).sort()).toEqual(Object.keys(plain).sort());
    for (const name of ['Memory', 'MemoryStat', 'Mm', 'AnonVma'] as const) expect(coloured[name]).toBe(plain[name]);
  });

  it('what may wait is a generator in the sched build only; everything else is the same in both', () => {
    const generator = Object.getPrototypeOf(function* () {});
    const twice: string[] = [];
    for (const [name, value] of Object.entries(plain)) {
      const other = (coloured as Record<string, unknown>)[name];
      expect(Object.getPrototypeOf(value)).not.toBe(generator);
      if (Object.getPrototypeOf(other) !== generator && other !== value) twice.push(name);
    }
    expect(twice).toEqual(MAKERS);
    expect(Object.getPrototypeOf(coloured.zapPageRange)).toBe(generator);
  });
});

describe.each(formats)('%s: the fault port', () => {
  it('passes its arguments on and returns what the handler returns, in both builds', () => {
    const seen: unknown[][] = [];
    const memory = machine();
    const base = space(memory);
    const vma = addVma(base, AT, 1, RW);
    const withFaults = (faults: Mm['faultHandler']): Mm => new Mm(memory, 1, base.mmapLock, base.vmas, faults);
    const record = (...args: unknown[]): number => seen.push(args) + 0x400;
    const first = withFaults(record);
    const second = withFaults(function* (...args) {
      yield 1;
      return record(...args);
    });
    expect(callFaultHandler(first, vma, AT, 5)).toBe(0x401);
    expect(runTask(memory.sched, coloured.callFaultHandler(second, vma, AT, 6))).toBe(0x402);
    expect(seen).toEqual([
      [first, vma, AT, 5],
      [second, vma, AT, 6],
    ]);
  });
});
