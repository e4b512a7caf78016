/**
 * The exception a riscv64 CPU raises for a failed translation (RISC-V privileged manual, "Machine Cause Register",
 * "Virtual address translation process"); its stval (mtval) is the address itself. Every refusal is a page fault; only a
 * table, or the page itself, where no memory answers is an access fault.
 */
import { InvariantError } from '@mmkit/base';
import {
  ACCESS_EXEC,
  ACCESS_WRITE,
  FAULT_ACCESS_FLAG,
  FAULT_BUS,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
} from '../access.ts';

/** Instruction access fault. */
export const EXC_INST_ACCESS = 1;
/** Load access fault. */
export const EXC_LOAD_ACCESS = 5;
/** Store access fault. */
export const EXC_STORE_ACCESS = 7;
/** Instruction page fault. */
export const EXC_INST_PAGE_FAULT = 12;
/** Load page fault. */
export const EXC_LOAD_PAGE_FAULT = 13;
/** Store page fault. */
export const EXC_STORE_PAGE_FAULT = 15;

/**
 * The exception code in scause (mcause) for the fault kind (FAULT_*) that a walk for `access` (ACCESS_*) ended with.
 * `InvariantError('NOT_A_PAGE_FAULT')` for a kind that riscv64 walks do not end with.
 */
export function pageFaultCause(fault: number, access: number): number {
  const fetch = (access & ACCESS_EXEC) !== 0;
  const write = (access & ACCESS_WRITE) !== 0;
  if (fault === FAULT_BUS) return fetch ? EXC_INST_ACCESS : write ? EXC_STORE_ACCESS : EXC_LOAD_ACCESS;
  const kinds = [FAULT_NOT_PRESENT, FAULT_PROTECTION, FAULT_RESERVED, FAULT_ACCESS_FLAG];
  if (kinds.includes(fault)) return fetch ? EXC_INST_PAGE_FAULT : write ? EXC_STORE_PAGE_FAULT : EXC_LOAD_PAGE_FAULT;
  throw new InvariantError('NOT_A_PAGE_FAULT', `fault kind ${fault} raises no exception`);
}
