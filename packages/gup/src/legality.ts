/** Which flags a caller may give (Linux: is_valid_gup_args, gup_fast_fallback's mask; B.2). */
import {
  FOLL_FAST_ONLY,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_HONOR_NUMA_FAULT,
  FOLL_LONGTERM,
  FOLL_NOFAULT,
  FOLL_PCI_P2PDMA,
  FOLL_PIN,
  FOLL_WRITE,
  INTERNAL_GUP_FLAGS,
} from '@mmkit/base';

const FAST_FLAGS =
  FOLL_WRITE |
  FOLL_LONGTERM |
  FOLL_FORCE |
  FOLL_PIN |
  FOLL_GET |
  FOLL_FAST_ONLY |
  FOLL_NOFAULT |
  FOLL_PCI_P2PDMA |
  FOLL_HONOR_NUMA_FAULT;

/** What is wrong with the caller's `flags` once `toSet` is added, in Linux's order; null when nothing is. */
export function gupArgsProblem(flags: number, toSet: number, pages: Uint32Array | null): string | null {
  if ((flags & INTERNAL_GUP_FLAGS) !== 0) return 'a caller gave an internal FOLL_ flag';
  const all = flags | toSet;
  if ((all & FOLL_PIN) !== 0 && (all & FOLL_GET) !== 0) return 'FOLL_PIN and FOLL_GET exclude each other';
  if ((all & FOLL_LONGTERM) !== 0 && (all & FOLL_PIN) === 0) return 'FOLL_LONGTERM needs FOLL_PIN';
  if ((all & (FOLL_GET | FOLL_PIN)) !== 0 && pages === null) return 'FOLL_GET and FOLL_PIN need pages';
  if ((all & FOLL_LONGTERM) !== 0 && (all & FOLL_PCI_P2PDMA) !== 0) return 'FOLL_LONGTERM excludes FOLL_PCI_P2PDMA';
  return null;
}

/** What is wrong with flags for gup-fast; null when nothing is. */
export function fastFlagsProblem(flags: number): string | null {
  return (flags & ~FAST_FLAGS) !== 0 ? 'a flag that gup-fast does not know' : null;
}
