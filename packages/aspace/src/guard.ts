/**
 * Guard markers: page-table entries that refuse every access (Linux: PTE_MARKER_GUARD, a swap-style entry of type
 * SWP_PTE_MARKER; MADV_GUARD_INSTALL). Made through the format, so they are the same in every one.
 */
import { ENTRY_NONPRESENT, setDecoded } from '@mmkit/pgtable';
import type { Decoded } from '@mmkit/pgtable';

/** Swap type of markers (Linux: the last of the 32 types). */
export const SWP_PTE_MARKER = 31;
/** Offset bit: the entry is a guard. Bits 0 and 1 are userfaultfd's write protection and poison. */
export const PTE_MARKER_GUARD = 4;

/** Makes `out` a guard marker, ready for `encode`. */
export function setGuardMarker(out: Decoded): void {
  setDecoded(out, ENTRY_NONPRESENT, 0, 0);
  out.type = SWP_PTE_MARKER;
  out.offset = PTE_MARKER_GUARD;
}

/** True when a decoded entry is a guard marker (is_guard_pte_marker). */
export function isGuardMarker(entry: Decoded): boolean {
  return entry.kind === ENTRY_NONPRESENT && entry.type === SWP_PTE_MARKER && (entry.offset & PTE_MARKER_GUARD) !== 0;
}
