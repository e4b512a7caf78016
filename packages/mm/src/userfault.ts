/** What becomes of a registration with userfaultfd (userfaultfd(2)); none has asked to hear of forks or moves here. */
import { VM_UFFD_MINOR, VM_UFFD_MISSING, VM_UFFD_WP } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';

/** Ends the registration of a VMA that fork has made or mremap has moved (userfaultfd_reset_ctx); nothing without one. */
export function dropUserfault(vma: Vma): void {
  if (vma.uffdCtx === null) return;
  vma.uffdCtx = null;
  vma.flags &= ~(VM_UFFD_MISSING | VM_UFFD_WP);
  vma.flagsHigh &= ~VM_UFFD_MINOR;
}
