/** A.10: who is charged with a fault. */
import { describe, expect, it } from 'vitest';
import { linux3_14, linux4_8, linux6_18 } from '@mmkit/aspace';
import { FAULT_FLAG_TRIED, FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE, handleMmFault } from '@mmkit/fault';
import { handleMmFault as coloured } from '@mmkit/fault/sched';
import { spawn, stepTask, TASK_DONE } from '@mmkit/task';
import { VM_MAYSHARE, VM_READ, VM_SHARED } from '@mmkit/vma';
import { AT, formats, RW, space } from './builds.ts';
import type { Space } from './builds.ts';

/** The counters of the task that took the fault, by one build. */
function charged(build: string, { mm, vma, memory }: Space, flags: number): [number, number] {
  const { sched } = memory;
  if (build === 'plain') {
    const { min_flt, maj_flt } = sched.current;
    handleMmFault(mm, vma, AT, flags);
    return [sched.current.min_flt - min_flt, sched.current.maj_flt - maj_flt];
  }
  const task = spawn(sched, 'faulter', coloured(mm, vma, AT, flags));
  const done = (): boolean => task.state === TASK_DONE;
  while (!done()) stepTask(sched, task);
  return [task.min_flt, task.maj_flt];
}

describe.each(formats.flatMap(([name]) => ['plain', 'sched'].map((build) => [`${build} ${name}`, build] as const)))(
  '%s: fault counters',
  (_, build) => {
    it('A.10, since 5.9: the task; major where the fault was one, or had been tried before', () => {
      const s = space();
      expect(charged(build, s, FAULT_FLAG_WRITE)).toEqual([1, 0]);
      expect(charged(build, s, FAULT_FLAG_WRITE | FAULT_FLAG_TRIED)).toEqual([0, 1]);
    });

    it('A.10: an error is a fault of the machine, not of the task', () => {
      const s = space(VM_READ | VM_SHARED | VM_MAYSHARE);
      expect(charged(build, s, 0)).toEqual([0, 0]);
      expect(s.memory.stat.pgfault).toBe(1);
      const refused = space();
      expect(charged(build, refused, FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE)).toEqual([0, 0]);
    });

    it('A.10, up to 5.8: the handler charges nobody, whoever called it does', () => {
      for (const policy of [linux3_14, linux4_8]) {
        const s = space(RW, { policy });
        expect(charged(build, s, FAULT_FLAG_WRITE)).toEqual([0, 0]);
        expect(s.memory.stat.pgfault).toBe(1);
      }
      expect(charged(build, space(RW, { policy: linux6_18 }), 0)).toEqual([1, 0]);
    });
  },
);
