/** Calling the page-fault handler port, plain build. */
import type { Vma } from '@mmkit/vma';
import { Mm } from './mm.ts';

/** Calls `mm.faultHandler`: VM_FAULT_* bits. */
export function callFaultHandler(mm: Mm, vma: Vma, address: number, flags: number): number {
  return mm.faultHandler(mm, vma, address, flags) as number;
}
