/**
 * The syndrome an arm64 CPU leaves in ESR_EL1 for an abort of stage 1 (Arm ARM, "ESR_EL1", ISS encoding for Instruction
 * and Data Aborts; reference N.20). Taken from EL0 for user accesses, else from EL1. IL is set, ISV, S1PTW, CM and FnV
 * are clear: no syndrome of the instruction, no second stage, no cache maintenance, FAR is valid.
 *
 * | bits | field |
 * |---|---|
 * | 31:26 | exception class |
 * | 25 | IL: a 32-bit instruction |
 * | 6 | WnR: a write (data aborts) |
 * | 5:0 | fault status code; its low two bits are the level as the manual counts, 0 the root |
 */
import { InvariantError } from '@mmkit/base';
import { ACCESS_EXEC, ACCESS_USER, ACCESS_WRITE, FAULT_BUS, FAULT_NOT_PRESENT, FAULT_PROTECTION } from '../access.ts';
import { arm64 } from './arm64.ts';

/** Lowest bit of the exception class. */
export const ESR_EC_SHIFT = 26;
/** Exception class: instruction abort from EL0; one more: from EL1. */
export const ESR_EC_IABT_LOW = 0x20;
/** Exception class: data abort from EL0; one more: from EL1. */
export const ESR_EC_DABT_LOW = 0x24;
/** The instruction had 32 bits. */
export const ESR_IL = 0x200_0000;
/** The access was a write. */
export const ESR_WNR = 0x40;
/** Fault status: translation fault; plus the level. */
export const ESR_FSC_FAULT = 0x04;
/** Fault status: permission fault; plus the level. */
export const ESR_FSC_PERM = 0x0c;
/** Fault status: external abort on the walk; plus the level. Linux: ESR_ELx_FSC_SEA_TTW. */
export const ESR_FSC_SEA_TTW = 0x14;

/**
 * ESR_EL1, an unsigned 32-bit value, for the fault kind (FAULT_*) and level (ours: 0 is the leaf table) that `hwWalk` gave
 * for `access` (ACCESS_*). `InvariantError('NOT_AN_ABORT')` for a kind that arm64 walks do not end with.
 */
export function abortSyndrome(fault: number, access: number, level: number): number {
  const exec = (access & ACCESS_EXEC) !== 0;
  const user = (access & ACCESS_USER) !== 0;
  const ec = (exec ? ESR_EC_IABT_LOW : ESR_EC_DABT_LOW) + (user ? 0 : 1);
  const write = !exec && (access & ACCESS_WRITE) !== 0 ? ESR_WNR : 0;
  const status = faultStatus(fault) + (arm64.levels - 1 - level);
  return ((ec << ESR_EC_SHIFT) | ESR_IL | write | status) >>> 0;
}

function faultStatus(fault: number): number {
  if (fault === FAULT_NOT_PRESENT) return ESR_FSC_FAULT;
  if (fault === FAULT_PROTECTION) return ESR_FSC_PERM;
  if (fault === FAULT_BUS) return ESR_FSC_SEA_TTW;
  throw new InvariantError('NOT_AN_ABORT', `fault kind ${fault} is no abort of arm64`);
}
