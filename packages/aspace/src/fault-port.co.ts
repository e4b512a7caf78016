/** Calling the page-fault handler port. */
import type { Task } from '@mmkit/base';
import type { Vma } from '@mmkit/vma';
import { Mm } from './mm.ts';
import { awaitPort } from './port.sched.ts';

/** Calls `mm.faultHandler`: VM_FAULT_* bits. */
export function* callFaultHandler(mm: Mm, vma: Vma, address: number, flags: number): Task<number> {
  return yield* awaitPort(mm.faultHandler(mm, vma, address, flags));
}
