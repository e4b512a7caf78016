/** May this VMA be got at with these flags? (Linux: check_vma_flags; B.5, in its order, as far as there are such VMAs.) */
import { EFAULT, FOLL_ANON, FOLL_FORCE, FOLL_LONGTERM, FOLL_PIN, FOLL_WRITE } from '@mmkit/base';
import { isCowMapping, VM_IO, VM_MAYREAD, VM_MAYWRITE, VM_PFNMAP, VM_READ, VM_WRITE, vmaIsAnonymous } from '@mmkit/vma';
import { vmaNeedsDirtyTracking } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import type { Vma } from '@mmkit/vma';

/** 0, or -EFAULT. */
export function checkVmaFlags(policy: Policy, vma: Vma, flags: number): number {
  const vm = vma.flags;
  if ((vm & (VM_IO | VM_PFNMAP)) !== 0) return -EFAULT;
  if ((flags & FOLL_ANON) !== 0 && !vmaIsAnonymous(vma)) return -EFAULT;
  const force = (flags & FOLL_FORCE) !== 0;
  if ((flags & FOLL_WRITE) !== 0) {
    // Writeback would clean the page, and what the device writes afterwards would be lost (C.7).
    if ((flags & FOLL_LONGTERM) !== 0 && (flags & FOLL_PIN) !== 0 && vmaNeedsDirtyTracking(vma)) return -EFAULT;
    const forceable = policy.forceShared ? (vm & VM_MAYWRITE) !== 0 : isCowMapping(vm);
    if ((vm & VM_WRITE) === 0 && !(force && forceable)) return -EFAULT;
  } else if ((vm & VM_READ) === 0 && !(force && (vm & VM_MAYREAD) !== 0)) {
    return -EFAULT;
  }
  return 0;
}
