/**
 * VM_* flags above bit 31, by Linux 6.18's values (reference N.16). JavaScript's integers have 32 bits, so a VMA holds its
 * flags as two int32 words, `flags` and `flagsHigh`; a constant here is Linux's value divided by 2^32, to be used with
 * `flagsHigh` only. `vmFlagsValue` gives the 64 bits as one number.
 */

/** Four bits from 32 on: the protection key (x86); as a number `(flagsHigh & VM_PKEY_MASK)`. */
export const VM_PKEY_MASK = 0xf;
/** Bit 32: lowest bit of the protection key. */
export const VM_PKEY_BIT0 = 0x1;
/** Bit 33. */
export const VM_PKEY_BIT1 = 0x2;
/** Bit 34. */
export const VM_PKEY_BIT2 = 0x4;
/** Bit 35. */
export const VM_PKEY_BIT3 = 0x8;
/** Bit 36, arm64: allocation tags are in use (PROT_MTE). */
export const VM_MTE = 0x10;
/** Bit 37, arm64: allocation tags may be used. */
export const VM_MTE_ALLOWED = 0x20;
/** Bit 37, x86: a shadow stack. */
export const VM_SHADOW_STACK = 0x20;
/** Bit 38: userfaultfd is told of pages that are in the cache but not mapped. */
export const VM_UFFD_MINOR = 0x40;
/** Bit 39: guests may map it uncached (KVM on arm64). */
export const VM_ALLOW_ANY_UNCACHED = 0x80;
/** Bit 40: MAP_DROPPABLE, may be dropped under memory pressure without being written anywhere. */
export const VM_DROPPABLE = 0x100;
/** Bit 63, mseal: may not be unmapped, moved or given other rights. Negative when set; compare with 0. */
export const VM_SEALED = 0x80000000;

/** The 64 bits of `vm_flags` as an unsigned bigint. */
export function vmFlagsValue(vma: { readonly flags: number; readonly flagsHigh: number }): bigint {
  return (BigInt(vma.flagsHigh >>> 0) << 32n) | BigInt(vma.flags >>> 0);
}
