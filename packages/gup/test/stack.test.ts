/** A.3 #4, A.4 #1, A.16 #27, B.4: stacks and GUP, by kernel. */
import { describe, expect, it } from 'vitest';
import { linux3_14, linux4_8, linux6_18, MMAP_MIN_ADDR } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { EFAULT, ENOMEM, FOLL_WRITE } from '@mmkit/base';
import { FAULT_FLAG_WRITE, VM_FAULT_OOM } from '@mmkit/fault';
import * as classic from '@mmkit/gup/classic';
import { FOLL_GET, FOLL_TOUCH } from '@mmkit/gup/classic';
import { ENTRY_LEAF } from '@mmkit/pgtable';
import { PG_MLOCKED, testFlag } from '@mmkit/phys';
import { VM_GROWSDOWN, VM_LOCKED } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { AT, builds, PAGE, RW, space } from './builds.ts';
import type { Build, Hooks, Space } from './builds.ts';

const STACK = RW | VM_GROWSDOWN;
const ERA: readonly Policy[] = [linux3_14, linux4_8];
/** 4.12 to 6.4: the gap outside, GUP still grows stacks. */
const between: Policy = { ...linux6_18, name: '4.12 to 6.4', stackGrowth: 'gupReadLock' };

describe.each(builds)('%s: stacks', (_, build: Build) => {
  const stackAt = (policy: Policy, flags = STACK, hooks: Hooks = {}): Space & { stack: Vma } => {
    const s = space(build, hooks, { policy }) as Space & { stack: Vma };
    s.stack = s.map(AT, 2, flags);
    return s;
  };
  const get = (s: Space, start: number, nr: number, flags = classic.FOLL_WRITE, pages = new Uint32Array(nr)): number =>
    s.locked(() => build.classic.__get_user_pages(null, s.mm, start, nr, flags | FOLL_GET, pages, null, null));
  const below = (s: Space & { stack: Vma }): number => (AT - s.stack.start) / PAGE;

  it.each([
    [linux3_14, 2],
    [linux4_8, 2],
    [between, 1],
  ] as const)('A.16 #27, $name: 1 page below a stack: 1; the stack has grown by %i', (policy, grown) => {
    for (const flags of [0, classic.FOLL_WRITE]) {
      const s = stackAt(policy);
      const pages = new Uint32Array(1);
      expect(get(s, AT - PAGE, 1, flags, pages)).toBe(1);
      expect([below(s), s.entry(AT - PAGE).pfn]).toEqual([grown, pages[0]]);
      expect(s.entry(AT - 2 * PAGE).kind).not.toBe(ENTRY_LEAF);
      expect(s.mm.vmas.mapCount).toBe(1);
      // Nothing but the page asked for is faulted in.
      expect(get(s, AT - 5 * PAGE, 1, flags, pages)).toBe(1);
      expect(s.memory.stat.pgfault).toBe(2);
    }
  });

  it('A.16 #27, B.22 #22, B.4: since 6.5 GUP never makes a stack grow: -EFAULT, by every call', () => {
    const s = stackAt(linux6_18);
    const { gup } = build;
    const one = new Uint32Array(1);
    const at = AT - PAGE;
    expect(get(s, at, 1)).toBe(-EFAULT);
    expect(s.locked(() => gup.getUserPages(s.mm, at, 1, FOLL_WRITE, one))).toBe(-EFAULT);
    expect(s.locked(() => gup.getUserPagesRemote(s.mm, at, 1, FOLL_WRITE, one))).toBe(-EFAULT);
    expect(gup.getUserPagesUnlocked(s.mm, at, 1, one, 0)).toBe(-EFAULT);
    expect(gup.getUserPagesFast(s.mm, at, 1, FOLL_WRITE, one)).toBe(-EFAULT);
    expect(s.locked(() => gup.pinUserPages(s.mm, at, 1, FOLL_WRITE, one))).toBe(-EFAULT);
    expect(gup.pinUserPagesFast(s.mm, at, 1, FOLL_WRITE, one)).toBe(-EFAULT);
    expect(gup.pinUserPagesFast(s.mm, AT - 65536, 1, FOLL_WRITE, one)).toBe(-EFAULT);
    expect(s.locked(() => gup.faultinPageRange(s.mm, at, AT, true, { value: 1 }))).toBe(-ENOMEM);
    expect(s.locked(() => gup.fixupUserFault(s.mm, at, FAULT_FLAG_WRITE, null))).toBe(-EFAULT);
    gup.mmPopulate(s.mm, at, PAGE);
    expect([below(s), s.memory.stat.pgfault]).toEqual([0, 0]);
    expect(s.warnings).toEqual([]);
  });

  it('B.4: MADV_POPULATE_* never made a stack grow', () => {
    const s = stackAt(between);
    expect(s.locked(() => build.gup.faultinPageRange(s.mm, AT - PAGE, AT, true, { value: 1 }))).toBe(-ENOMEM);
    expect(below(s)).toBe(0);
  });

  it.each(ERA)(
    'A.3 #4, $name: the walk goes on into the stack from below; a later page below another stack grows that',
    (policy) => {
      const s = stackAt(policy);
      const pages = new Uint32Array(5);
      expect(get(s, AT - 3 * PAGE, 5, classic.FOLL_WRITE, pages)).toBe(5);
      expect([below(s), new Set(pages).size]).toEqual([4, 5]);
      const other = s.map(AT + 4 * PAGE, 1, STACK);
      expect(get(s, AT + PAGE, 3)).toBe(3);
      // It touches the stack below it now, so its lowest page is no guard.
      expect(other.start).toBe(AT + 2 * PAGE);
    },
  );

  it.each([...ERA, between])('A.3 #4, $name: where the stack may not grow: -EFAULT, nothing changed', (policy) => {
    const s = stackAt(policy);
    s.mm.rlimitStack = 2 * PAGE;
    expect(get(s, AT - PAGE, 1)).toBe(-EFAULT);
    expect(get(s, MMAP_MIN_ADDR - PAGE, 1)).toBe(-EFAULT);
    expect([below(s), s.memory.stat.pgfault]).toEqual([0, 0]);
    s.mm.rlimitStack = Infinity;
    s.map(AT - 2 * PAGE, 1, 0);
    // Up to touching what lies below; but the guard page inside cannot be had then.
    expect(get(s, AT - PAGE, 1)).toBe(policy === between ? 1 : -EFAULT);
    expect(below(s)).toBe(1);
  });

  it('A.3: up to 4.11 there is no gap outside: what lies 1 page below does not matter, from 4.12 on 256 do', () => {
    for (const [policy, distance, expected] of [
      [linux4_8, 2, 1],
      [between, 256, -EFAULT],
      [between, 257, 1],
    ] as const) {
      const s = stackAt(policy);
      s.map(AT - (distance + 1) * PAGE, 1);
      expect(get(s, AT - PAGE, 1)).toBe(expected);
    }
  });

  it.each([...ERA, between])(
    'A.3 #4, $name: of a locked stack all that is new is faulted in, and mlocked',
    (policy) => {
      const s = stackAt(policy, STACK | VM_LOCKED);
      s.mm.lockedVm = 2;
      expect(get(s, AT - 3 * PAGE, 1)).toBe(1);
      expect(s.mm.lockedVm).toBe(policy === between ? 5 : 6);
      for (const page of [1, 2, 3]) {
        const { kind, pfn } = s.entry(AT - page * PAGE);
        expect([kind, testFlag(s.phys, pfn, PG_MLOCKED)]).toEqual([ENTRY_LEAF, true]);
      }
      expect(s.entry(AT).kind).not.toBe(ENTRY_LEAF);
    },
  );

  it.each(ERA)(
    'A.4 #1, $name: faulting a locked stack in passes over its guard page, so that the stack does not grow',
    (policy) => {
      const s = stackAt(policy, STACK | VM_LOCKED);
      expect(build.gup.mmPopulate(s.mm, AT, 2 * PAGE, false)).toBe(0);
      expect([below(s), s.entry(AT).kind === ENTRY_LEAF, s.entry(AT + PAGE).kind]).toEqual([0, false, ENTRY_LEAF]);
      // Not what merely lies at the bottom of memory that does not grow, or of a stack above another.
      for (const [flags, under] of [
        [RW | VM_LOCKED, null],
        [STACK | VM_LOCKED, STACK],
      ] as const) {
        const other = space(build, {}, { policy });
        if (under !== null) other.map(AT - PAGE, 1, under);
        other.map(AT, 1, flags);
        build.gup.mmPopulate(other.mm, AT, PAGE);
        expect(other.entry(AT).kind).toBe(ENTRY_LEAF);
      }
    },
  );

  it('A.4 #1: since 4.12 there is no page to pass over', () => {
    const s = stackAt({ ...linux4_8, stackGuard: 'gap' }, STACK | VM_LOCKED);
    build.gup.mmPopulate(s.mm, AT, 2 * PAGE);
    expect([below(s), s.entry(AT).kind]).toEqual([0, ENTRY_LEAF]);
  });

  it.each(ERA)(
    'A.4 #1, $name: without FOLL_MLOCK or FOLL_POPULATE the guard page is taken, and the stack grows',
    (policy) => {
      const s = stackAt(policy);
      expect(get(s, AT, 1, FOLL_TOUCH)).toBe(1);
      expect(below(s)).toBe(1);
    },
  );

  it("A.3 #4: an error of faulting a locked stack in is not the lookup's", () => {
    const s = stackAt(between, STACK | VM_LOCKED, {
      before: (_mm, address) => (address === AT - PAGE ? VM_FAULT_OOM : null),
    });
    expect(get(s, AT - 2 * PAGE, 1)).toBe(1);
    expect(get(s, AT - PAGE, 1)).toBe(-ENOMEM);
  });
});
