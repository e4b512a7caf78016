/**
 * What a memory access asks of a translation, and how a walk can end. The hardware's own fault words are the formats'
 * business (`pageFaultErrorCode` for x86-64).
 */

/** A supervisor's data read; the other ACCESS_* bits are added to it. */
export const ACCESS_READ = 0;
/** A data write. */
export const ACCESS_WRITE = 1;
/** An instruction fetch. */
export const ACCESS_EXEC = 2;
/** Made in user mode (x86: CPL 3; arm64: EL0). */
export const ACCESS_USER = 4;
/** A supervisor's access that may touch user pages although SMAP is on (x86: EFLAGS.AC = 1). */
export const ACCESS_OVERRIDE = 8;
/** A supervisor's access that may not touch user pages (arm64: PSTATE.PAN = 1). */
export const ACCESS_PAN = 16;

/** An entry on the way was not present. */
export const FAULT_NOT_PRESENT = 1;
/** Everything was present, but an entry on the way refuses this access. */
export const FAULT_PROTECTION = 2;
/** A present entry sets a bit the hardware reserves. */
export const FAULT_RESERVED = 3;
/** The address is not canonical: x86 raises #GP, not #PF. */
export const FAULT_NON_CANONICAL = 4;
/** A table lies outside RAM: what the machine reads there is its own affair. */
export const FAULT_BUS = 5;
/** x86: the protection key of the page refuses this access. */
export const FAULT_KEY = 6;
/** arm64 without hardware management: the leaf was never used (its AF is clear). */
export const FAULT_ACCESS_FLAG = 7;

/** The rights an access needs: E_WRITE for ACCESS_WRITE, E_EXEC for ACCESS_EXEC, E_USER for ACCESS_USER. */
export function accessRights(access: number): number {
  return (access & ACCESS_WRITE) | ((access & ACCESS_EXEC) << 1) | ((access & ACCESS_USER) >> 1);
}
