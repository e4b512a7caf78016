import { describe, expect, it } from 'vitest';
import { EFAULT } from '@mmkit/base';
import { checkMachine, SEGV_ACCERR, SEGV_MAPERR, SIGSEGV } from '@mmkit/kernel';
import { MADV_GUARD_INSTALL, MADV_GUARD_REMOVE, MAP_FIXED, PROT_NONE, PROT_READ } from '@mmkit/mm';
import { ANON, builds, Cpu, PAGE, setUp } from './builds.ts';

describe.each(builds)('%s: guards and the CPU', (_name, api) => {
  it('FACTS 18: a load and a store of a guard are SIGSEGV MAPERR, though the TLB had the page; removed, they read zero', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    expect(cpu.poke(process, address, 7)).toBe(0);
    expect(api.madvise(process.mm, address, PAGE, MADV_GUARD_INSTALL)).toBe(0);
    expect(cpu.peek(process, address)).toBe(-EFAULT);
    expect(process.exitSignal).toEqual({ signal: SIGSEGV, code: SEGV_MAPERR, address });
    expect(cpu.poke(process, address, 1)).toBe(-EFAULT);
    expect(process.exitSignal).toEqual({ signal: SIGSEGV, code: SEGV_MAPERR, address });
    checkMachine(machine);
    expect(api.madvise(process.mm, address, PAGE, MADV_GUARD_REMOVE)).toBe(0);
    expect(cpu.peek(process, address)).toBe(0);
  });

  it('FACTS 18: what the VMA does not allow is ACCERR first', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    for (const prot of [PROT_READ, PROT_NONE]) {
      api.mmap(process.mm, address, PAGE, prot, ANON | MAP_FIXED);
      api.madvise(process.mm, address, PAGE, MADV_GUARD_INSTALL);
      expect(cpu.poke(process, address, 1)).toBe(-EFAULT);
      expect(process.exitSignal?.code).toBe(SEGV_ACCERR);
      expect(cpu.peek(process, address)).toBe(-EFAULT);
      expect(process.exitSignal?.code).toBe(prot === PROT_READ ? SEGV_MAPERR : SEGV_ACCERR);
    }
  });
});
