import { describe, expect, it } from 'vitest';
import * as plain from '@mmkit/fault';
import * as coloured from '@mmkit/fault/sched';

describe('entries', () => {
  it('both builds export the same names and the same values', () => {
    expect(Object.keys(coloured).sort()).toEqual(Object.keys(plain).sort());
    expect({ ...coloured, handleMmFault: null }).toEqual({ ...plain, handleMmFault: null });
  });

  it('the plain build has no generator; the sched build has one', () => {
    const generator = Object.getPrototypeOf(function* () {});
    expect(Object.getPrototypeOf(plain.handleMmFault)).not.toBe(generator);
    expect(Object.getPrototypeOf(coloured.handleMmFault)).toBe(generator);
  });
});

describe('N.1: values', () => {
  it('VM_FAULT_ERROR is OOM, SIGBUS, SIGSEGV, HWPOISON, HWPOISON_LARGE and FALLBACK', () => {
    const { VM_FAULT_OOM, VM_FAULT_SIGBUS, VM_FAULT_SIGSEGV } = plain;
    const { VM_FAULT_HWPOISON, VM_FAULT_HWPOISON_LARGE, VM_FAULT_FALLBACK } = plain;
    const all = VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV;
    expect(plain.VM_FAULT_ERROR).toBe(all | VM_FAULT_HWPOISON | VM_FAULT_HWPOISON_LARGE | VM_FAULT_FALLBACK);
    expect(plain.VM_FAULT_ERROR).toBe(0x873);
  });

  it('FAULT_FLAG_DEFAULT is ALLOW_RETRY, KILLABLE and INTERRUPTIBLE', () => {
    const { FAULT_FLAG_ALLOW_RETRY, FAULT_FLAG_KILLABLE, FAULT_FLAG_INTERRUPTIBLE } = plain;
    expect(FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE | FAULT_FLAG_INTERRUPTIBLE).toBe(plain.FAULT_FLAG_DEFAULT);
    expect(plain.FAULT_FLAG_DEFAULT).toBe(0x214);
  });

  const flags: [keyof typeof plain, number][] = [
    ['FAULT_FLAG_WRITE', 0],
    ['FAULT_FLAG_MKWRITE', 1],
    ['FAULT_FLAG_ALLOW_RETRY', 2],
    ['FAULT_FLAG_RETRY_NOWAIT', 3],
    ['FAULT_FLAG_KILLABLE', 4],
    ['FAULT_FLAG_TRIED', 5],
    ['FAULT_FLAG_USER', 6],
    ['FAULT_FLAG_REMOTE', 7],
    ['FAULT_FLAG_INSTRUCTION', 8],
    ['FAULT_FLAG_INTERRUPTIBLE', 9],
    ['FAULT_FLAG_UNSHARE', 10],
  ];
  it.each(flags)('%s is bit %i', (name, bit) => {
    expect(plain[name]).toBe(2 ** bit);
  });

  const results: [keyof typeof plain, number][] = [
    ['VM_FAULT_OOM', 0x1],
    ['VM_FAULT_SIGBUS', 0x2],
    ['VM_FAULT_MAJOR', 0x4],
    ['VM_FAULT_HWPOISON', 0x10],
    ['VM_FAULT_HWPOISON_LARGE', 0x20],
    ['VM_FAULT_SIGSEGV', 0x40],
    ['VM_FAULT_NOPAGE', 0x100],
    ['VM_FAULT_LOCKED', 0x200],
    ['VM_FAULT_RETRY', 0x400],
    ['VM_FAULT_FALLBACK', 0x800],
    ['VM_FAULT_DONE_COW', 0x1000],
    ['VM_FAULT_COMPLETED', 0x4000],
  ];
  it.each(results)('%s is %i', (name, value) => {
    expect(plain[name]).toBe(value);
  });
});
