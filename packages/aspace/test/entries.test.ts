import { describe, expect, it } from 'vitest';
import * as plain from '@mmkit/aspace';
import { callFaultHandler, Mm } from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import { runTask } from '@mmkit/task';
import { addVma, AT, machine, RW, space } from './builds.ts';

const COLOURED = [
  'callFaultHandler',
  'copyPageRange',
  'flushTlbRange',
  'folioLock',
  'freePageTables',
  'ptlLock',
  'zapPageRange',
];

describe('entries', () => {
  it('both builds export the same names and the same state classes', () => {
    expect(Object.keys(coloured).sort()).toEqual(Object.keys(plain).sort());
    for (const name of ['Memory', 'MemoryStat', 'Mm', 'AnonVma'] as const) expect(coloured[name]).toBe(plain[name]);
  });

  it('the plain build has no generator; in the sched build those that may wait are generators', () => {
    const generator = Object.getPrototypeOf(function* () {});
    for (const value of Object.values(plain)) expect(Object.getPrototypeOf(value)).not.toBe(generator);
    const found = Object.entries(coloured).filter(([, value]) => Object.getPrototypeOf(value) === generator);
    expect(found.map(([name]) => name).sort()).toEqual(COLOURED);
  });
});

describe('the fault port', () => {
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
