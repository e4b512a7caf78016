/** The slow lookup: B.5 (the VMA), B.6 (the entry), G.8 and G.9 (what is marked). */
import { describe, expect, it } from 'vitest';
import { linux6_18, MM_WRITE_PROTECT_SEQ, pageAnonExclusive } from '@mmkit/aspace';
import {
  EEXIST,
  EFAULT,
  ENOMEM,
  FOLL_ANON,
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_HONOR_NUMA_FAULT,
  FOLL_LONGTERM,
  FOLL_WRITE,
} from '@mmkit/base';
import { VM_FAULT_SIGBUS } from '@mmkit/fault';
import { E_DIRTY, E_PROTNONE, E_SPECIAL, E_UFFD_WP, E_USER, E_WRITE, E_YOUNG } from '@mmkit/pgtable';
import {
  checkPhys,
  clearFlag,
  HOT_FLAGS,
  HOT_REFCOUNT,
  HOT_WORDS,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_REFERENCED,
  setFlag,
  testFlag,
} from '@mmkit/phys';
import {
  VM_IO,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from '@mmkit/vma';
import { AT, builds, codeOf, PAGE, RW, space, swapEntry } from './builds.ts';
import type { Space } from './builds.ts';

const READ_ONLY = VM_READ | VM_MAYREAD | VM_MAYWRITE;
const NONE = VM_MAYREAD | VM_MAYWRITE;
const SHARED = VM_SHARED | VM_MAYSHARE;

describe.each(builds)('%s', (_, build) => {
  const { gup } = build;
  const pages = new Uint32Array(8);

  function get(s: Space, flags: number, nr = 1, out: Uint32Array | null = pages): number {
    return s.locked(() => gup.getUserPages(s.mm, AT, nr, flags, out));
  }

  function pin(s: Space, flags: number, nr = 1): number {
    return s.locked(() => gup.pinUserPages(s.mm, AT, nr, flags, pages));
  }

  describe('B.5, flags against the VMA', () => {
    const rows: [string, number, number, number][] = [
      ['#1 VM_IO', RW | VM_IO, 0, -EFAULT],
      ['#1 VM_PFNMAP', RW | VM_PFNMAP, 0, -EFAULT],
      ['#1 G.11: FORCE does not help', RW | VM_IO, FOLL_FORCE | FOLL_WRITE, -EFAULT],
      ['VM_MIXEDMAP is allowed', RW | VM_MIXEDMAP, 0, 1],
      ['#2 FOLL_ANON of anonymous memory', RW, FOLL_ANON, 1],
      ['#7 write without VM_WRITE', READ_ONLY, FOLL_WRITE, -EFAULT],
      ['#7 write with VM_WRITE', RW, FOLL_WRITE, 1],
      ['#9 forced write, copy-on-write', READ_ONLY, FOLL_WRITE | FOLL_FORCE, 1],
      ['#9 forced write, never writable', VM_READ | VM_MAYREAD, FOLL_WRITE | FOLL_FORCE, -EFAULT],
      ['#9 forced write, shared', READ_ONLY | SHARED, FOLL_WRITE | FOLL_FORCE, -EFAULT],
      ['#10 read without VM_READ', NONE, 0, -EFAULT],
      ['#10 read with VM_WRITE alone', VM_WRITE | NONE, 0, -EFAULT],
      ['#11 forced read of PROT_NONE', NONE, FOLL_FORCE, 1],
      ['#11 forced read, never readable', VM_MAYWRITE, FOLL_FORCE, -EFAULT],
      ['forced write of PROT_NONE', NONE, FOLL_WRITE | FOLL_FORCE, 1],
    ];
    it.each(rows)('%s', (_, vm, flags, expected) => {
      for (const call of [get, pin]) {
        const s = space(build);
        s.map(AT, 1, vm);
        expect(call(s, flags)).toBe(expected);
      }
    });

    it('#2 FOLL_ANON of a file: -EFAULT', () => {
      const s = space(build);
      s.map(AT, 1, RW, {});
      expect(get(s, FOLL_ANON)).toBe(-EFAULT);
    });

    it('refused before anything is faulted in or read', () => {
      const s = space(build);
      s.map(AT, 1, READ_ONLY);
      const free = s.phys.freeFrames;
      get(s, FOLL_WRITE);
      expect([s.phys.freeFrames, s.memory.stat.pgfault]).toEqual([free, 0]);
    });

    it('every VMA on the way is asked', () => {
      const s = space(build);
      s.map(AT, 2);
      s.map(AT + 2 * PAGE, 2, READ_ONLY);
      expect(get(s, FOLL_WRITE, 4)).toBe(2);
      expect(get(s, 0, 4)).toBe(4);
    });
  });

  describe('FOLL_FORCE', () => {
    it('B.6: a forced write to read-only private memory: entry read-only and dirty, page exclusive', () => {
      const s = space(build);
      s.map(AT, 1, READ_ONLY);
      expect(pin(s, FOLL_WRITE | FOLL_FORCE)).toBe(1);
      expect(s.entry(AT).flags).toBe(E_USER | E_YOUNG | E_DIRTY);
      expect(s.entry(AT).pfn).toBe(pages[0]);
      expect(pageAnonExclusive(s.phys, pages[0]!)).toBe(true);
      expect(s.memory.stat.pgfault).toBe(1);
    });

    it('over the zero page, and over a page shared by fork: an own page first', () => {
      const s = space(build);
      const vma = s.map(AT, 2);
      s.touch(AT, 1);
      s.touch(AT + PAGE, 1, 0);
      const child = s.fork();
      vma.flags = READ_ONLY;
      expect(get(s, FOLL_WRITE | FOLL_FORCE, 2)).toBe(2);
      expect(pages[0]).not.toBe(child.entry(AT).pfn);
      expect(pages[1]).not.toBe(s.phys.zeroPfn);
      for (const i of [0, 1]) expect(s.entry(AT + i * PAGE).flags & E_WRITE).toBe(0);
      checkPhys(s.phys);
    });

    it('a VMA that is writable takes a real write fault', () => {
      const s = space(build);
      s.map(AT, 1);
      const [pfn] = s.touch(AT, 1);
      s.set(AT, pfn!, E_USER | E_YOUNG);
      expect(get(s, FOLL_WRITE | FOLL_FORCE)).toBe(1);
      expect(s.entry(AT).flags & E_WRITE).toBe(E_WRITE);
    });

    it('a uffd-wp entry is not written through, it takes a fault; riscv64 has no such bit', () => {
      let faults = 0;
      const s = space(build, { before: () => (faults++, VM_FAULT_SIGBUS) });
      s.map(AT, 1, READ_ONLY);
      const [pfn] = s.touch(AT, 1);
      s.set(AT, pfn!, E_USER | E_YOUNG | E_DIRTY | E_UFFD_WP);
      const marked = (s.entry(AT).flags & E_UFFD_WP) !== 0;
      expect(marked).toBe(!s.memory.format.name.startsWith('riscv64'));
      expect([get(s, FOLL_WRITE | FOLL_FORCE), faults]).toEqual(marked ? [-EFAULT, 1] : [1, 0]);
    });

    it('G.12: a forced read of PROT_NONE follows the entry, with FOLL_HONOR_NUMA_FAULT too', () => {
      const s = space(build);
      const vma = s.map(AT, 1);
      const [pfn] = s.touch(AT, 1);
      vma.flags = NONE;
      s.set(AT, pfn!, E_PROTNONE);
      for (const honor of [0, FOLL_HONOR_NUMA_FAULT]) {
        expect(get(s, FOLL_FORCE | honor)).toBe(1);
        expect(pages[0]).toBe(pfn);
      }
    });
  });

  describe('B.6, the entry', () => {
    it('the zero page: a GET counts it, a PIN does not', () => {
      const s = space(build);
      s.map(AT, 2);
      const zero = s.phys.zeroPfn;
      expect(get(s, 0, 2)).toBe(2);
      expect([pages[0], pages[1], s.refs(zero)]).toEqual([zero, zero, 3]);
      gup.putUserPages(s.memory, pages, 2);
      expect(pin(s, 0, 2)).toBe(2);
      expect([pages[0], pages[1], s.refs(zero)]).toEqual([zero, zero, 1]);
      gup.unpinUserPages(s.memory, pages, 2);
      expect([s.refs(zero), s.phys.nrFollPinAcquired]).toEqual([1, 0]);
    });

    it('a long-term pin gets an own page instead of the zero page (B.21)', () => {
      const s = space(build);
      s.map(AT, 1);
      s.touch(AT, 1, 0);
      expect(pin(s, FOLL_LONGTERM)).toBe(1);
      expect(pages[0]).not.toBe(s.phys.zeroPfn);
      expect(s.entry(AT).flags & (E_SPECIAL | E_WRITE)).toBe(0);
    });

    it('another special entry has no page: -EEXIST; without pages it is counted and skipped', () => {
      const s = space(build);
      s.map(AT, 3, RW | VM_MIXEDMAP);
      s.touch(AT, 3);
      s.set(AT + PAGE, 0x1234, E_USER | E_SPECIAL);
      expect(get(s, 0, 3)).toBe(1);
      expect(s.locked(() => gup.getUserPages(s.mm, AT + PAGE, 2, 0, pages))).toBe(-EEXIST);
      expect(s.locked(() => gup.pinUserPages(s.mm, AT + PAGE, 2, 0, pages))).toBe(-EEXIST);
      expect(get(s, 0, 3, null)).toBe(3);
    });

    it('G.9: such an entry is marked young, and dirty for a write', () => {
      const s = space(build);
      s.map(AT, 2, RW | VM_MIXEDMAP);
      s.set(AT, 0x1234, E_USER | E_SPECIAL);
      s.set(AT + PAGE, 0x1235, E_USER | E_SPECIAL | E_WRITE);
      expect(get(s, 0, 1, null)).toBe(1);
      expect(s.entry(AT).flags).toBe(E_USER | E_SPECIAL | E_YOUNG);
      expect(s.locked(() => gup.getUserPages(s.mm, AT + PAGE, 1, FOLL_WRITE, null))).toBe(1);
      expect(s.entry(AT + PAGE).flags).toBe(E_USER | E_SPECIAL | E_WRITE | E_YOUNG | E_DIRTY);
      // A pin does not touch.
      s.set(AT, 0x1234, E_USER | E_SPECIAL);
      expect(pin(s, 0)).toBe(-EEXIST);
      expect(s.entry(AT).flags).toBe(E_USER | E_SPECIAL);
    });

    it('FOLL_DUMP: a hole is -EFAULT, with and without a page table, and so is the zero page', () => {
      const s = space(build);
      s.map(AT, 2);
      const free = s.phys.freeFrames;
      expect(get(s, FOLL_DUMP)).toBe(-EFAULT);
      expect(s.phys.freeFrames).toBe(free);
      s.touch(AT + PAGE, 1, 0);
      expect(get(s, FOLL_DUMP)).toBe(-EFAULT);
      expect(s.locked(() => gup.getUserPages(s.mm, AT + PAGE, 1, FOLL_DUMP, pages))).toBe(-EFAULT);
      s.touch(AT, 1);
      expect(get(s, FOLL_DUMP)).toBe(1);
    });

    it('FOLL_DUMP of a hole in a file mapping is faulted in', () => {
      let faults = 0;
      const s = space(build, { before: () => (faults++, VM_FAULT_SIGBUS) });
      s.map(AT, 1, RW, {});
      expect(get(s, FOLL_DUMP)).toBe(-EFAULT);
      expect(faults).toBe(1);
    });

    it('a non-present entry is faulted on, whatever it is', () => {
      let faults = 0;
      const s = space(build, { before: () => (faults++, null) });
      s.map(AT, 1);
      s.set(AT, swapEntry(build.format, 1));
      expect(get(s, 0)).toBe(-EFAULT);
      expect(faults).toBe(1);
    });

    it('a page with too many references: -ENOMEM, or a short count; nothing is added', () => {
      const s = space(build);
      s.map(AT, 2);
      const [, pfn] = s.touch(AT, 2);
      s.phys.hot[pfn! * HOT_WORDS + HOT_REFCOUNT] = 0x7fff_ffff;
      expect(get(s, 0, 2)).toBe(1);
      expect(s.locked(() => gup.getUserPages(s.mm, AT + PAGE, 1, 0, pages))).toBe(-ENOMEM);
      expect(gup.pinUserPagesFast(s.mm, AT + PAGE, 1, 0, pages)).toBe(-ENOMEM);
      expect(s.refs(pfn!)).toBe(0x7fff_ffff);
    });
  });

  describe('B.6, many pages a call', () => {
    const NR = 24;
    const bits = E_USER | E_YOUNG;

    /** Pages before and behind the end of a leaf table, many alike, each seventh in another state; two VMAs. */
    function unlike(): Space {
      const s = space(build);
      s.map(AT, 13);
      s.map(AT + 13 * PAGE, NR - 13);
      const pfns = s.touch(AT, NR);
      for (let i = 0; i < NR; i++) if (i % 7 !== 6) s.set(AT + i * PAGE, pfns[i]!, bits | E_WRITE);
      s.set(AT + 2 * PAGE, pfns[2]!, bits | E_WRITE | E_DIRTY);
      s.set(AT + 3 * PAGE, pfns[3]!, bits | E_WRITE | E_DIRTY);
      s.set(AT + 7 * PAGE, pfns[7]!, bits);
      clearFlag(s.phys, pfns[8]!, PG_ANON_EXCLUSIVE);
      s.set(AT + 8 * PAGE, pfns[8]!, bits);
      setFlag(s.phys, pfns[10]!, PG_DIRTY);
      s.set(AT + 11 * PAGE, pfns[11]!, E_PROTNONE);
      return s;
    }

    function state(s: Space, got: number, out: Uint32Array): unknown {
      const counts = [got, s.phys.nrFollPinAcquired, s.memory.stat.pgfault, s.phys.freeFrames];
      const frames = Array.from(out, (pfn) => [pfn, s.refs(pfn), s.phys.hot[pfn * HOT_WORDS + HOT_FLAGS]]);
      const entries = Array.from(out, (_, i) => s.entry(AT + i * PAGE));
      return [counts, frames, entries];
    }

    const rows = [
      ['getUserPages', 0],
      ['getUserPages', FOLL_WRITE],
      ['pinUserPages', 0],
      ['pinUserPages', FOLL_WRITE],
    ] as const;
    it.each(rows)('%s, flags %i: as one call a page', (name, flags) => {
      const [many, single] = [unlike(), unlike()];
      const [all, out] = [new Uint32Array(NR), new Uint32Array(NR)];
      const got = many.locked(() => gup[name](many.mm, AT, NR, flags, all));
      single.locked(() => {
        const one = new Uint32Array(1);
        for (let i = 0; i < NR; i++) {
          expect(gup[name](single.mm, AT + i * PAGE, 1, flags, one)).toBe(1);
          out[i] = one[0]!;
        }
      });
      expect(got).toBe(NR);
      expect(state(many, got, all)).toEqual(state(single, got, out));
      checkPhys(many.phys);
    });

    it('without pages the counts stay', () => {
      const s = unlike();
      const before = s.touch(AT, 2).map((pfn) => s.refs(pfn));
      expect(s.locked(() => gup.getUserPages(s.mm, AT, NR, 0, null))).toBe(NR);
      expect(s.touch(AT, 2).map((pfn) => s.refs(pfn))).toEqual(before);
    });

    it('from inside a page up to the end of the last: ends with the VMA', () => {
      const s = space(build);
      s.map(AT, 3);
      s.touch(AT, 3);
      expect(s.locked(() => gup.getUserPages(s.mm, AT + PAGE - 1, 5, 0, pages))).toBe(3);
    });

    // The made-up format has no bits for more.
    it.each(build.format.name === 'made up' ? [28] : [28, 30])('a frame 2^%i is not mistaken for one in RAM', (bit) => {
      const s = space(build);
      s.map(AT, 2);
      s.touch(AT, 2);
      const pfn = s.entry(AT).pfn;
      s.set(AT + PAGE, 2 ** bit + pfn, bits | E_WRITE);
      expect(codeOf(() => get(s, 0, 2))).toBeInstanceOf(RangeError);
      expect(s.refs(pfn)).toBe(2);
      const alone = space(build);
      alone.map(AT, 1);
      alone.touch(AT, 1);
      alone.set(AT, 2 ** bit + pfn, bits | E_WRITE);
      expect(codeOf(() => get(alone, 0))).toBeInstanceOf(RangeError);
      expect(alone.refs(pfn)).toBe(1);
    });
  });

  describe('B.15, who must be unshared', () => {
    it('a read-only pin of a shared page, not of an exclusive one', () => {
      const s = space(build);
      s.map(AT, 2);
      s.touch(AT, 1);
      s.fork();
      s.touch(AT + PAGE, 1);
      const before = [s.entry(AT).pfn, s.entry(AT + PAGE).pfn];
      expect(pin(s, 0, 2)).toBe(2);
      expect([pages[0] === before[0], pages[1] === before[1]]).toEqual([false, true]);
    });

    it('B.6 #7 and B.11 #9: only where the entry is not writable is the page asked', () => {
      const s = space(build);
      s.map(AT, 1);
      const [pfn] = s.touch(AT, 1);
      clearFlag(s.phys, pfn!, PG_ANON_EXCLUSIVE);
      expect(pin(s, 0)).toBe(1);
      expect(gup.pinUserPagesFast(s.mm, AT, 1, 0, pages)).toBe(1);
      expect([pages[0], s.refs(pfn!)]).toEqual([pfn, 2049]);
    });

    it('a pinned anonymous page is exclusive, whichever way it was pinned', () => {
      for (const flags of [0, FOLL_WRITE]) {
        const s = space(build);
        s.map(AT, 1);
        s.touch(AT, 1);
        s.fork();
        expect(pin(s, flags)).toBe(1);
        expect(pageAnonExclusive(s.phys, pages[0]!)).toBe(true);
      }
    });

    it('policy unshare off (before 5.19): the shared page is pinned, and lost at the next store', () => {
      const s = space(build, {}, { policy: { ...linux6_18, unshare: false } });
      s.map(AT, 1);
      const [old] = s.touch(AT, 1);
      s.fork();
      expect(pin(s, 0)).toBe(1);
      expect(pages[0]).toBe(old);
      expect(s.touch(AT, 1)).not.toEqual([old]);
    });
  });

  describe('G.8 and G.9, what is marked', () => {
    /** A page that is mapped writable but clean. */
    function clean(): { s: Space; pfn: number } {
      const s = space(build);
      s.map(AT, 1);
      const [pfn] = s.touch(AT, 1);
      s.set(AT, pfn!, E_USER | E_WRITE);
      return { s, pfn: pfn! };
    }
    const marks = (s: Space, pfn: number): boolean[] => [
      testFlag(s.phys, pfn, PG_REFERENCED),
      testFlag(s.phys, pfn, PG_DIRTY),
    ];

    it('get_user_pages: accessed; dirty too for a write', () => {
      const { s, pfn } = clean();
      get(s, 0);
      expect(marks(s, pfn)).toEqual([true, false]);
      get(s, FOLL_WRITE);
      expect(marks(s, pfn)).toEqual([true, true]);
    });

    it('get_user_pages_unlocked does the same', () => {
      const { s, pfn } = clean();
      gup.getUserPagesUnlocked(s.mm, AT, 1, pages, FOLL_WRITE);
      expect(marks(s, pfn)).toEqual([true, true]);
    });

    it('a page whose entry is dirty is not marked dirty', () => {
      const { s, pfn } = clean();
      s.set(AT, pfn, E_USER | E_WRITE | E_DIRTY);
      get(s, FOLL_WRITE);
      expect(marks(s, pfn)).toEqual([true, false]);
    });

    it('pin_user_pages does not touch at all', () => {
      const { s, pfn } = clean();
      pin(s, FOLL_WRITE);
      expect(marks(s, pfn)).toEqual([false, false]);
    });

    it('the fast walk marks accessed, never dirty', () => {
      for (const name of ['getUserPagesFast', 'pinUserPagesFast'] as const) {
        const { s, pfn } = clean();
        gup[name](s.mm, AT, 1, FOLL_WRITE, pages);
        expect(marks(s, pfn)).toEqual([true, false]);
      }
    });

    it('the fast call touches where it falls back to the slow path', () => {
      const { s, pfn } = clean();
      s.mm.words[MM_WRITE_PROTECT_SEQ] = 1;
      gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, pages);
      expect(marks(s, pfn)).toEqual([true, true]);
    });

    it('entries are not marked young or dirty by GUP', () => {
      const { s } = clean();
      get(s, FOLL_WRITE);
      pin(s, FOLL_WRITE);
      gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, pages);
      expect(s.entry(AT).flags).toBe(E_USER | E_WRITE);
    });

    it('a dirty page stays dirty', () => {
      const { s, pfn } = clean();
      setFlag(s.phys, pfn, PG_DIRTY);
      get(s, 0);
      expect(marks(s, pfn)).toEqual([true, true]);
    });
  });
});
