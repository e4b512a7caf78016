import { describe, expect, it } from 'vitest';
import * as vma from '../src/index.ts';
import { VM_MERGEABLE, Vma, isCowMapping } from '../src/index.ts';

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

  it('N.16: bits 32 to 63 by value: the high word, 2^32 times as much in Linux', () => {
    const bits: [number, number][] = [
      [vma.VM_PKEY_BIT0, 32],
      [vma.VM_PKEY_BIT1, 33],
      [vma.VM_PKEY_BIT2, 34],
      [vma.VM_PKEY_BIT3, 35],
      [vma.VM_MTE, 36],
      [vma.VM_MTE_ALLOWED, 37],
      [vma.VM_SHADOW_STACK, 37],
      [vma.VM_UFFD_MINOR, 38],
      [vma.VM_ALLOW_ANY_UNCACHED, 39],
      [vma.VM_DROPPABLE, 40],
      [vma.VM_SEALED, 63],
    ];
    for (const [flagsHigh, bit] of bits) expect(vma.vmFlagsValue({ flags: 0, flagsHigh })).toBe(1n << BigInt(bit));
    expect(vma.VM_PKEY_MASK).toBe(vma.VM_PKEY_BIT0 | vma.VM_PKEY_BIT1 | vma.VM_PKEY_BIT2 | vma.VM_PKEY_BIT3);
  });

  it('the 64 bits as one number, both words unsigned', () => {
    expect(vma.vmFlagsValue({ flags: -1, flagsHigh: -1 })).toBe(2n ** 64n - 1n);
    const area = new Vma(0, 4096, VM_MERGEABLE, 0);
    area.flagsHigh |= vma.VM_SEALED;
    expect([vma.vmFlagsValue(area), vma.vmaIsSealed(area)]).toEqual([0x8000_0000_8000_0000n, true]);
    area.flagsHigh &= ~vma.VM_SEALED;
    expect([vma.vmFlagsValue(area), vma.vmaIsSealed(area)]).toEqual([0x8000_0000n, false]);
  });
});
