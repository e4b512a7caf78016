/** What the page-fault exception makes of each answer of the fault handler, with handlers that give them. */
import { describe, expect, it } from 'vitest';
import { EFAULT, EINTR, ENOMEM } from '@mmkit/base';
import { MM_ROOT } from '@mmkit/aspace';
import type { FaultHandler, Mm } from '@mmkit/aspace';
import {
  FAULT_FLAG_DEFAULT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_USER,
  FAULT_FLAG_WRITE,
  handleMmFault,
  VM_FAULT_COMPLETED,
  VM_FAULT_HWPOISON,
  VM_FAULT_MAJOR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
  VM_FAULT_SIGSEGV,
} from '@mmkit/fault';
import { BUS_ADRERR, Process, SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGSEGV } from '@mmkit/kernel';
import {
  clearEntry,
  createDecoded,
  createEntry,
  E_USER,
  leafIndex,
  leafTable,
  tlbFlushAll,
  writeEntry,
} from '@mmkit/pgtable';
import { isLocked, upRead } from '@mmkit/rwsem';
import { killTask } from '@mmkit/task';
import type { Vma } from '@mmkit/vma';
import { ANON, builds, Cpu, PAGE, RW, setUp } from './builds.ts';

describe.each(builds)('%s build: page faults', (name, api) => {
  /** A process whose faults `answer` handles: the results in turn, then the real handler. */
  function faulty(results: number[], onFault: (mm: Mm) => void = () => {}) {
    const { machine } = setUp(api);
    const flags: number[] = [];
    const answer = (mm: Mm, vma: Vma, address: number, faultFlags: number): number => {
      flags.push(faultFlags);
      onFault(mm);
      const result = results.shift();
      // As the handlers do: RETRY and COMPLETED come with mmap_lock dropped.
      if (result !== undefined && (result & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)) !== 0)
        upRead(machine.sched, mm.mmapLock);
      return result ?? handleMmFault(mm, vma, address, faultFlags);
    };
    function* coloured(mm: Mm, vma: Vma, address: number, faultFlags: number): Generator<number, number, void> {
      return answer(mm, vma, address, faultFlags);
    }
    const faults: FaultHandler = name.startsWith('plain') ? answer : coloured;
    const process = new Process(99, api.createMm({ memory: machine.memory, faults })!, null);
    const address = api.mmap(process.mm, 0, PAGE, RW, ANON);
    return { machine, process, address, flags, cpu: new Cpu(api, machine) };
  }

  const FIRST = FAULT_FLAG_DEFAULT | FAULT_FLAG_USER;

  it('N.1: the handler is called with ALLOW_RETRY, KILLABLE, INTERRUPTIBLE, USER, and WRITE for a store', () => {
    const { cpu, process, address, flags } = faulty([]);
    cpu.peek(process, address);
    cpu.poke(process, address, 1);
    expect(flags).toEqual([FIRST, FIRST | FAULT_FLAG_WRITE]);
    expect(isLocked(process.mm.mmapLock)).toBe(false);
  });

  it('N.8: RETRY: mmap_lock is taken again, the VMA looked up again; TRIED is set after MAJOR or the second time', () => {
    const once = FIRST | FAULT_FLAG_WRITE;
    const again = once | FAULT_FLAG_TRIED;
    for (const [results, expected] of [
      [
        [VM_FAULT_RETRY | VM_FAULT_MAJOR, VM_FAULT_RETRY],
        [once, again, again],
      ],
      [
        [VM_FAULT_RETRY, VM_FAULT_RETRY],
        [once, once, again],
      ],
    ] as const) {
      const { cpu, process, address, flags } = faulty([...results]);
      expect(cpu.poke(process, address, 1)).toBe(0);
      expect(flags).toEqual(expected);
      expect(isLocked(process.mm.mmapLock)).toBe(false);
    }
  });

  it('RETRY with a fatal signal pending: -EINTR', () => {
    const { cpu, process, address, machine } = faulty([VM_FAULT_RETRY], () => killTask(machine.sched.current));
    expect(cpu.peek(process, address)).toBe(-EINTR);
    expect([isLocked(process.mm.mmapLock), process.exitSignal]).toEqual([false, null]);
  });

  it('COMPLETED: the access is made again, as a new one', () => {
    const { cpu, process, address, flags } = faulty([VM_FAULT_COMPLETED]);
    expect(cpu.peek(process, address)).toBe(0);
    expect(flags).toEqual([FIRST, FIRST]);
    expect(isLocked(process.mm.mmapLock)).toBe(false);
  });

  it('0 without progress: the access faults again', () => {
    const { cpu, process, address, flags } = faulty([0, 0]);
    expect([cpu.peek(process, address), flags.length]).toEqual([0, 3]);
  });

  it.each([
    ['OOM', VM_FAULT_OOM, -ENOMEM, null],
    ['SIGBUS', VM_FAULT_SIGBUS, -EFAULT, [SIGBUS, BUS_ADRERR]],
    ['HWPOISON', VM_FAULT_HWPOISON, -EFAULT, [SIGBUS, BUS_ADRERR]],
    ['SIGSEGV', VM_FAULT_SIGSEGV, -EFAULT, [SIGSEGV, SEGV_MAPERR]],
  ] as const)('%s ends the access, mmap_lock is not held', (_what, result, errno, signal) => {
    const { cpu, process, address } = faulty([result]);
    expect(cpu.peek(process, address + 3)).toBe(errno);
    const { exitSignal } = process;
    expect(exitSignal && [exitSignal.signal, exitSignal.code]).toEqual(signal);
    expect(exitSignal?.address ?? address + 3).toBe(address + 3);
    expect(isLocked(process.mm.mmapLock)).toBe(false);
    expect(cpu.peek(process, address)).toBe(0);
  });

  it('N.19: a read that is refused though the page is there is SIGSEGV SEGV_ACCERR: the handler is not asked', () => {
    const { cpu, process, address, machine, flags } = faulty([]);
    cpu.poke(process, address, 1);
    const { tables, format } = machine.memory;
    const table = leafTable(tables, process.mm.words[MM_ROOT]!, address);
    const index = leafIndex(format, address);
    const entry = createEntry();
    const decoded = createDecoded();
    clearEntry(tables, table, index, entry);
    format.decode(entry.lo, entry.hi, 0, decoded);
    decoded.flags &= ~E_USER;
    format.encode(decoded, 0, entry);
    writeEntry(tables, table, index, entry);
    tlbFlushAll(machine.memory.tlbs[0]!);
    const asked = flags.length;
    expect([cpu.peek(process, address), flags.length]).toEqual([-EFAULT, asked]);
    expect(process.exitSignal).toEqual({ signal: SIGSEGV, code: SEGV_ACCERR, address });
    expect(cpu.pfn(process, address)).toBe(-EFAULT);
  });
});
