import { describe, expect, it } from 'vitest';
import * as vma from '../src/index.ts';
import { VM_MERGEABLE, Vma, formatVmaFlags, isCowMapping } from '../src/index.ts';

describe('VM_* flags', () => {
  it('N.16: bits 0 to 31 in Linux 6.18 order, each once', () => {
    const names = [
      'READ WRITE EXEC SHARED MAYREAD MAYWRITE MAYEXEC MAYSHARE',
      'GROWSDOWN UFFD_MISSING PFNMAP MAYBE_GUARD UFFD_WP LOCKED IO SEQ_READ',
      'RAND_READ DONTCOPY DONTEXPAND LOCKONFAULT ACCOUNT NORESERVE HUGETLB SYNC',
      'ARCH_1 WIPEONFORK DONTDUMP SOFTDIRTY MIXEDMAP HUGEPAGE NOHUGEPAGE MERGEABLE',
    ]
      .join(' ')
      .split(' ');
    expect(names.length).toBe(32);
    names.forEach((name, bit) => {
      expect(vma[`VM_${name}` as keyof typeof vma], name).toBe(2 ** bit);
    });
  });

  it('N.16: the masks', () => {
    expect(vma.VM_ACCESS_FLAGS).toBe(vma.VM_READ | vma.VM_WRITE | vma.VM_EXEC);
    expect(vma.VM_LOCKED_MASK).toBe(vma.VM_LOCKED | vma.VM_LOCKONFAULT);
    expect(vma.VM_SPECIAL).toBe(vma.VM_IO | vma.VM_DONTEXPAND | vma.VM_PFNMAP | vma.VM_MIXEDMAP);
  });

  it('a Vma keeps its flags as an int32, so that bit 31 compares equal however it was made', () => {
    const flags = new Vma(0, 4096, VM_MERGEABLE + vma.VM_READ, 0).flags;
    expect(flags).toBe(VM_MERGEABLE | vma.VM_READ);
    expect(flags & VM_MERGEABLE).not.toBe(0);
  });

  it('is_cow_mapping: may be written and not shared; a read-only MAP_SHARED file is not one', () => {
    expect(isCowMapping(vma.VM_MAYWRITE)).toBe(true);
    expect(isCowMapping(vma.VM_READ | vma.VM_MAYREAD | vma.VM_MAYWRITE)).toBe(true);
    expect(isCowMapping(vma.VM_SHARED | vma.VM_MAYSHARE | vma.VM_MAYWRITE)).toBe(false);
    expect(isCowMapping(vma.VM_READ | vma.VM_MAYREAD | vma.VM_MAYSHARE)).toBe(false);
  });

  it('the permission column of /proc/PID/maps; s is VM_MAYSHARE', () => {
    expect(formatVmaFlags(vma.VM_READ | vma.VM_WRITE | vma.VM_MAYWRITE)).toBe('rw-p');
    expect(formatVmaFlags(vma.VM_READ | vma.VM_EXEC)).toBe('r-xp');
    expect(formatVmaFlags(vma.VM_READ | vma.VM_MAYSHARE)).toBe('r--s');
    expect(formatVmaFlags(0)).toBe('---p');
  });
});
