/** Must a read-only page be made exclusive before it may be pinned? (Linux: gup_must_unshare; B.6, B.15.) */
import { FOLL_LONGTERM, FOLL_PIN, FOLL_WRITE } from '@mmkit/base';
import { folioTestAnon, pageAnonExclusive } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { Phys } from '@mmkit/phys';
import { isCowMapping } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';

/** True when the caller must go through an unshare fault; `vma` is null on the fast path, where it is not known. */
export function gupMustUnshare(policy: Policy, phys: Phys, vma: Vma | null, flags: number, pfn: number): boolean {
  if (!policy.unshare || (flags & (FOLL_PIN | FOLL_WRITE)) !== FOLL_PIN) return false;
  if (!folioTestAnon(phys, pfn)) {
    if ((flags & FOLL_LONGTERM) === 0) return false;
    return vma === null || isCowMapping(vma.flags);
  }
  return !pageAnonExclusive(phys, pfn);
}
