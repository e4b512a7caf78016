/**
 * The error code an x86-64 CPU pushes for a page fault (Intel SDM volume 3, "Page-Fault Exceptions"; reference N.19);
 * CR2 is the address itself. Linux: `enum x86_pf_error_code`. Shadow stacks, SGX and SEV-SNP are not modelled, so their
 * bits stay clear. An address that is not canonical raises #GP (with a stack segment #SS) with error code 0 instead.
 */
import { InvariantError } from '@mmkit/base';
import {
  ACCESS_EXEC,
  ACCESS_USER,
  ACCESS_WRITE,
  FAULT_KEY,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
} from '../access.ts';
import type { X86Mode } from './x86_64-mmu.ts';

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
/** The protection key refused. */
export const X86_PF_PK = 0x20;

/**
 * The error code for a fault kind (FAULT_*) that a walk for `access` (ACCESS_*) ended with. Fetches are told from reads
 * only with EFER.NXE or CR4.SMEP; without `mode` both are on. `InvariantError('NOT_A_PAGE_FAULT')` for a kind that
 * raises no #PF: success, a non-canonical address, a bus fault.
 */
export function pageFaultErrorCode(fault: number, access: number, mode?: Pick<X86Mode, 'nxe' | 'smep'>): number {
  let code = kindBits(fault);
  if ((access & ACCESS_WRITE) !== 0) code |= X86_PF_WRITE;
  if ((access & ACCESS_USER) !== 0) code |= X86_PF_USER;
  const told = mode === undefined || mode.nxe || mode.smep;
  if (told && (access & ACCESS_EXEC) !== 0) code |= X86_PF_INSTR;
  return code;
}

function kindBits(fault: number): number {
  if (fault === FAULT_NOT_PRESENT) return 0;
  if (fault === FAULT_PROTECTION) return X86_PF_PROT;
  if (fault === FAULT_RESERVED) return X86_PF_PROT | X86_PF_RSVD;
  if (fault === FAULT_KEY) return X86_PF_PROT | X86_PF_PK;
  throw new InvariantError('NOT_A_PAGE_FAULT', `fault kind ${fault} has no page-fault error code`);
}
