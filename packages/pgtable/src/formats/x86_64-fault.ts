/**
 * The error code an x86-64 CPU pushes for a page fault (Intel SDM volume 3, "Page-Fault Exceptions"; reference N.19).
 * Linux: `enum x86_pf_error_code`. Protection keys, shadow stacks and SGX are not modelled, so their bits stay clear.
 */
import { InvariantError } from '@mmkit/base';
import {
  ACCESS_EXEC,
  ACCESS_USER,
  ACCESS_WRITE,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
} from '../access.ts';

/** 0: an entry was not present; 1: the entries were there but refused. */
export const X86_PF_PROT = 0x1;
/** The access was a write. */
export const X86_PF_WRITE = 0x2;
/** The access was made in user mode. */
export const X86_PF_USER = 0x4;
/** A reserved bit was set in an entry. */
export const X86_PF_RSVD = 0x8;
/** The access was an instruction fetch. */
export const X86_PF_INSTR = 0x10;

/**
 * The error code for a fault kind (FAULT_*) that `hwWalk` returned for `access` (ACCESS_*).
 * `InvariantError('NOT_A_PAGE_FAULT')` for a kind that raises no #PF: success, a non-canonical address, a bus fault.
 */
export function pageFaultErrorCode(fault: number, access: number): number {
  if (fault !== FAULT_NOT_PRESENT && fault !== FAULT_PROTECTION && fault !== FAULT_RESERVED) {
    throw new InvariantError('NOT_A_PAGE_FAULT', `fault kind ${fault} has no page-fault error code`);
  }
  let code = fault === FAULT_NOT_PRESENT ? 0 : X86_PF_PROT;
  if (fault === FAULT_RESERVED) code |= X86_PF_RSVD;
  if ((access & ACCESS_WRITE) !== 0) code |= X86_PF_WRITE;
  if ((access & ACCESS_USER) !== 0) code |= X86_PF_USER;
  if ((access & ACCESS_EXEC) !== 0) code |= X86_PF_INSTR;
  return code;
}
