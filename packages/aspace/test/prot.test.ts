import { describe, expect, it } from 'vitest';
import {
  AnonVma,
  anonVmaId,
  anonVmaPrepare,
  linearPageIndex,
  linux3_14,
  linux4_8,
  linux6_18,
  maybeMkwrite,
  vmNormalPage,
  vmPageProt,
} from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import {
  createDecoded,
  E_EXEC,
  E_PROTNONE,
  E_SPECIAL,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  setDecoded,
} from '@mmkit/pgtable';
import { Vma, VM_EXEC, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_SHARED, VM_WRITE } from '@mmkit/vma';
import fc from 'fast-check';
import { formats, machine, space } from './builds.ts';

const MAY = VM_MAYREAD | VM_MAYWRITE;

describe('from VMA flags to entry flags (N.19, N.22)', () => {
  const rows: [string, number, number][] = [
    ['no access: PROT_NONE, no user bit', 0, E_PROTNONE | E_YOUNG],
    ['read', VM_READ, E_USER | E_YOUNG],
    ['read and write, private: not writable until a fault has made a copy', VM_READ | VM_WRITE, E_USER | E_YOUNG],
    ['write alone, private', VM_WRITE, E_USER | E_YOUNG],
    ['read and execute', VM_READ | VM_EXEC, E_USER | E_YOUNG | E_EXEC],
    ['read and write, shared', VM_READ | VM_WRITE | VM_SHARED, E_USER | E_YOUNG | E_WRITE],
    ['read, shared', VM_READ | VM_SHARED, E_USER | E_YOUNG],
  ];
  it.each(rows)('vm_page_prot: %s', (_, flags, prot) => {
    expect(vmPageProt(flags | MAY)).toBe(prot);
  });

  it('vm_page_prot never makes private memory writable', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xff }), (flags) => (vmPageProt(flags & ~VM_SHARED) & E_WRITE) === 0),
    );
  });

  it('maybe_mkwrite: writable only if VM_WRITE', () => {
    expect(maybeMkwrite(VM_READ | VM_WRITE)).toBe(E_WRITE);
    expect(maybeMkwrite(VM_READ | MAY)).toBe(0);
  });

  it('vm_normal_page: a special entry has no page of its own', () => {
    const decoded = createDecoded();
    setDecoded(decoded, ENTRY_LEAF, 7, E_USER);
    expect(vmNormalPage(decoded)).toBe(7);
    setDecoded(decoded, ENTRY_LEAF, 7, E_USER | E_SPECIAL);
    expect(vmNormalPage(decoded)).toBe(-1);
  });
});

describe.each(formats)('%s: anon_vma', () => {
  it('a VMA gets one at its first write fault and keeps it; numbers count from 1', () => {
    const memory = machine();
    const one = new Vma(0, 4096, VM_READ, 0);
    const two = new Vma(4096, 8192, VM_READ, 1);
    expect(anonVmaId(one)).toBe(0);
    anonVmaPrepare(memory, one);
    anonVmaPrepare(memory, two);
    anonVmaPrepare(memory, one);
    expect([anonVmaId(one), anonVmaId(two)]).toEqual([1, 2]);
    expect(one.anonVma).toBeInstanceOf(AnonVma);
  });

  it('linear_page_index: pages from the start of the VMA, and what its own start maps', () => {
    const vma = new Vma(0x10_0000, 0x20_0000, VM_READ, 5);
    expect(linearPageIndex(vma, 0x10_0000, 4096)).toBe(5);
    expect(linearPageIndex(vma, 0x10_2fff, 4096)).toBe(7);
  });
});

describe('policy', () => {
  it('Linux 6.18 has every protection on, and none of the era that had none', () => {
    const { name, ...rules } = linux6_18;
    expect(name).toBe('linux6_18');
    expect(rules).toEqual({
      writeProtectSeq: true,
      earlyCopy: true,
      fastRecheck: true,
      fastRecheckAbove: true,
      unshare: true,
      flushByIpi: true,
      tableFreeWaits: true,
      faultRecheck: true,
      reuse: 'exclusive',
      reuseLarge: true,
      hugeZeroWrite: true,
      guards: true,
      reclaimTables: true,
      mergeUnfaulted: true,
      largeFolios: true,
      mremapSeveral: true,
      forcedWrite: 'exclusive',
      forceShared: false,
      nowaitClears: false,
      rdmaPins: true,
      stackGuard: 'gap',
      stackGrowth: 'faultWriteLock',
      mlocks: 'fault',
      fixupRetry: 'always',
      fixupTellsPoison: false,
      gupSignals: 'try',
      specialEntries: 'exists',
      fastKeepsLock: false,
      faultCounts: 'handler',
    });
  });

  it('the presets cannot be changed, and are named', () => {
    for (const policy of [linux3_14, linux4_8, linux6_18]) expect(Object.isFrozen(policy)).toBe(true);
    expect([linux3_14.name, linux4_8.name]).toEqual(['linux3_14', 'linux4_8']);
  });

  it('3.14 and 4.8 differ in what came between: A.3 #8, A.5, A.7, A.9, A.11, A.13, A.14', () => {
    const changed = Object.entries(linux4_8).filter(([rule, value]) => linux3_14[rule as keyof Policy] !== value);
    expect(Object.fromEntries(changed)).toEqual({
      name: 'linux4_8',
      forcedWrite: 'cow',
      forceShared: false,
      mlocks: 'gupPopulate',
      fixupRetry: 'once',
      gupSignals: 'try',
      specialEntries: 'counted',
      fastKeepsLock: false,
    });
    expect(Object.keys(linux3_14).sort()).toEqual(Object.keys(linux6_18).sort());
  });

  it('A.3: up to 4.11 no room is left below a stack, since then 256 pages', () => {
    for (const [policy, gap] of [[linux4_8, 0] as const, [linux6_18, 256] as const]) {
      expect(space(machine({ policy })).vmas.stackGuardGap).toBe(gap);
    }
  });

  it('a machine follows 6.18 unless told otherwise', () => {
    expect(machine().policy).toBe(linux6_18);
    const policy = { ...linux6_18, unshare: false };
    expect(machine({ policy }).policy).toBe(policy);
  });
});
