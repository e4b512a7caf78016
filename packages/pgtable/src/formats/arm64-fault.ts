/**
 * The syndrome an arm64 CPU leaves in ESR_EL1 for an abort of stage 1 (Arm ARM, "ESR_EL1", ISS encoding for Instruction
 * and Data Aborts; reference N.20). Taken from EL0 for user accesses, else from EL1. IL is set, ISV, S1PTW, CM and FnV
 * are clear: no syndrome of the instruction, no second stage, no cache maintenance, FAR is valid: it is the address, tag
 * and all.
 *
 * | bits | field |
 * |---|---|
 * | 31:26 | exception class |
 * | 25 | IL: a 32-bit instruction |
 * | 6 | WnR: a write (data aborts) |
 * | 5:0 | fault status code: kind and level, which the manual counts from -1 or 0 at the root to 3 |
 */
import { checkInteger, InvariantError } from '@mmkit/base';
import {
  ACCESS_EXEC,
  ACCESS_USER,
  ACCESS_WRITE,
  FAULT_ACCESS_FLAG,
  FAULT_BUS,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
} from '../access.ts';

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
/** Fault status: address size fault; plus the level, 0x29 for level -1. */
export const ESR_FSC_ADDRSZ = 0x00;
/** Fault status: translation fault; plus the level, 0x2b for level -1. */
export const ESR_FSC_FAULT = 0x04;
/** Fault status: access flag fault; plus the level. */
export const ESR_FSC_ACCESS = 0x08;
/** Fault status: permission fault; plus the level. */
export const ESR_FSC_PERM = 0x0c;
/** Fault status: external abort of the access itself. Linux: ESR_ELx_FSC_EXTABT. */
export const ESR_FSC_EXTABT = 0x10;
/** Fault status: external abort on the walk; plus the level, from -1. Linux: ESR_ELx_FSC_SEA_TTW. */
export const ESR_FSC_SEA_TTW = 0x14;

/** The manual's level of our level 0. */
const LEAF_LEVEL = 3;

/**
 * ESR_EL1, an unsigned 32-bit value, for the fault kind (FAULT_*) and level (ours: 0 is the leaf table, 4 the manual's -1)
 * that a walk gave for `access` (ACCESS_*). FAULT_BUS with level -1: the walk succeeded, but there is nothing at the
 * physical address. `InvariantError('NOT_AN_ABORT')` for a kind and level that arm64 walks do not end with.
 */
export function abortSyndrome(fault: number, access: number, level: number): number {
  checkInteger('level', level, -1, 4);
  const exec = (access & ACCESS_EXEC) !== 0;
  const user = (access & ACCESS_USER) !== 0;
  const ec = (exec ? ESR_EC_IABT_LOW : ESR_EC_DABT_LOW) + (user ? 0 : 1);
  const write = !exec && (access & ACCESS_WRITE) !== 0 ? ESR_WNR : 0;
  return ((ec << ESR_EC_SHIFT) | ESR_IL | write | faultStatus(fault, LEAF_LEVEL - level)) >>> 0;
}

/** The fault status code for a level of the manual's; 4: beyond the leaf. */
function faultStatus(fault: number, level: number): number {
  if (fault === FAULT_BUS) return level > LEAF_LEVEL ? ESR_FSC_EXTABT : ESR_FSC_SEA_TTW + level;
  if (level <= LEAF_LEVEL) {
    if (fault === FAULT_NOT_PRESENT) return level < 0 ? 0x2b : ESR_FSC_FAULT + level;
    if (fault === FAULT_RESERVED) return level < 0 ? 0x29 : ESR_FSC_ADDRSZ + level;
    if (level >= 0 && fault === FAULT_ACCESS_FLAG) return ESR_FSC_ACCESS + level;
    if (level >= 0 && fault === FAULT_PROTECTION) return ESR_FSC_PERM + level;
  }
  throw new InvariantError('NOT_AN_ABORT', `fault kind ${fault} at level ${LEAF_LEVEL - level} is no abort of arm64`);
}
