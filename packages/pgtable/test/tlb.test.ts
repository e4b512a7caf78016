import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  createTlb,
  createTlbEntry,
  createTranslation,
  E_DIRTY,
  E_EXEC,
  E_GLOBAL,
  E_KEY_SHIFT,
  E_RIGHTS,
  E_USER,
  E_WRITE,
  FAULT_KEY,
  FLUSH_GLOBAL,
  FLUSH_OTHERS,
  FLUSH_TAG,
  hwWalk,
  mapRange,
  type Mmu,
  protectRange,
  type Tlb,
  tlbEntryAt,
  tlbFlushAll,
  tlbFlushNonGlobal,
  tlbFlushPage,
  tlbFlushPages,
  tlbFlushRange,
  tlbFlushTag,
  tlbInsert,
  tlbInsertPage,
  tlbLookup,
  tlbLookupPage,
  tlbRightsChanged,
  type Translation,
  unmapRange,
  x86_64,
} from '@mmkit/pgtable';
import { createMachine } from './machine.ts';
import { madeUp } from './made-up-format.ts';

const ROOT = 40;
const EVERYTHING = FLUSH_TAG | FLUSH_OTHERS | FLUSH_GLOBAL;
const USER_READ = ACCESS_READ | ACCESS_USER;
const USER_WRITE = ACCESS_WRITE | ACCESS_USER;
const USER_EXEC = ACCESS_EXEC | ACCESS_USER;

function translation(pfn: number, flags: number = E_RIGHTS | E_DIRTY, shift = 12): Translation {
  const out = createTranslation();
  out.pfn = pfn;
  out.flags = flags;
  out.shift = shift;
  return out;
}

describe('TLB lookup', () => {
  it('gives the frame that was inserted for the page, and only under its root', () => {
    const tlb = createTlb(x86_64);
    expect(tlbLookup(tlb, ROOT, 0x5000, USER_READ)).toBe(-1);
    tlbInsert(tlb, ROOT, 0x5123, translation(7));
    expect(tlbLookup(tlb, ROOT, 0x5fff, USER_READ)).toBe(7);
    expect(tlbLookup(tlb, ROOT, 0x6000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT + 1, 0x5000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT, 0x5000 + 2 ** 44, USER_READ)).toBe(-1);
    expect([tlb.hits, tlb.misses]).toEqual([1, 4]);
  });

  it.each([
    ['write without the right', E_USER | E_DIRTY, USER_WRITE],
    ['fetch without the right', E_USER | E_DIRTY, USER_EXEC],
    ['user access of a supervisor page', E_WRITE | E_DIRTY, USER_READ],
    ['first write to a page that is not dirty', E_USER | E_WRITE, USER_WRITE],
  ])('misses, so that the tables are walked: %s', (_name, flags, access) => {
    const tlb = createTlb(x86_64);
    tlbInsert(tlb, ROOT, 0x5000, translation(7, flags));
    expect(tlbLookup(tlb, ROOT, 0x5000, access)).toBe(-1);
    expect(tlbLookup(tlb, ROOT, 0x5000, ACCESS_READ)).toBe(7);
  });

  it('SDM: a write through a clean entry sets Dirty in the tables, later ones need no walk', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0x5000, 0x6000, 9, E_WRITE | E_USER);
    const tlb = createTlb(x86_64);
    const out = createTranslation();
    const access = (kind: number): number => {
      const pfn = tlbLookup(tlb, root, 0x5000, kind);
      if (pfn >= 0) return pfn;
      if (hwWalk(tables, root, 0x5000, kind, out) !== 0) return -1;
      tlbInsert(tlb, root, 0x5000, out);
      return out.pfn;
    };
    expect([access(USER_READ), access(USER_WRITE), access(USER_WRITE), access(USER_READ)]).toEqual([9, 9, 9, 9]);
    expect([tlb.hits, tlb.misses]).toEqual([2, 2]);
    protectRange(tables, root, 0x5000, 0x6000, 0, E_WRITE);
    expect(access(USER_WRITE)).toBe(9);
    tlbFlushPage(tlb, root, 0x5000);
    expect(access(USER_WRITE)).toBe(-1);
    unmapRange(tables, root, 0x5000, 0x6000);
    expect(access(USER_READ)).toBe(-1);
  });

  it('does not keep a frame that is no RAM', () => {
    const tlb = createTlb(x86_64);
    tlbInsert(tlb, ROOT, 0x5000, translation(2 ** 29));
    expect(tlbLookup(tlb, ROOT, 0x5000, USER_READ)).toBe(-1);
  });
});

describe('TLB tags', () => {
  it('SDM: what PCID 1 cached is not found under PCID 2, what is global is', () => {
    const tlb = createTlb(x86_64);
    tlbInsert(tlb, 1, 0x5000, translation(7));
    tlbInsert(tlb, 1, 0x6000, translation(8, E_RIGHTS | E_GLOBAL));
    expect([1, 2].map((tag) => tlbLookup(tlb, tag, 0x5000, USER_READ))).toEqual([7, -1]);
    expect([1, 2].map((tag) => tlbLookup(tlb, tag, 0x6000, USER_READ))).toEqual([8, 8]);
    tlbInsert(tlb, 2, 0x5000, translation(9));
    expect([1, 2].map((tag) => tlbLookup(tlb, tag, 0x5000, USER_READ))).toEqual([7, 9]);
  });

  it('tag 0 and page 0 are like any other', () => {
    const tlb = createTlb(x86_64);
    expect(tlbLookup(tlb, 0, 0, USER_READ)).toBe(-1);
    tlbInsert(tlb, 0, 0, translation(7));
    expect(tlbLookup(tlb, 0, 0, USER_READ)).toBe(7);
  });

  it('kernel addresses are given by page number', () => {
    const tlb = createTlb(x86_64);
    const page = Number(0xffff_8880_0000_5000n >> 12n);
    tlbInsertPage(tlb, 1, page, translation(7, E_RIGHTS | E_GLOBAL));
    expect(tlbLookupPage(tlb, 2, page, ACCESS_READ)).toBe(7);
    expect(tlbLookupPage(tlb, 2, page - 2 ** 44, ACCESS_READ)).toBe(-1);
    tlbFlushPages(tlb, FLUSH_GLOBAL, 0, page, page + 1);
    expect(tlbLookupPage(tlb, 2, page, ACCESS_READ)).toBe(-1);
  });

  it('counts the translations that others push out', () => {
    const tlb = createTlb(x86_64, { slots: 1 });
    tlbInsert(tlb, 1, 0x5000, translation(7));
    tlbInsert(tlb, 1, 0x5000, translation(7));
    expect(tlb.evictions).toBe(0);
    tlbInsert(tlb, 2, 0x5000, translation(7));
    tlbInsert(tlb, 2, 0x6000, translation(7));
    expect(tlb.evictions).toBe(2);
  });

  it('SDM: a write to PKRU needs no flush: the MMU is asked again', () => {
    let denied = 0;
    const mmu: Mmu = { ...x86_64, permits: (_mmu, flags) => (flags >>> E_KEY_SHIFT === denied ? FAULT_KEY : 0) };
    const tlb = createTlb(mmu);
    tlbInsert(tlb, 1, 0x5000, translation(7, E_RIGHTS | (3 << E_KEY_SHIFT)));
    expect(tlbLookup(tlb, 1, 0x5000, USER_READ)).toBe(7);
    denied = 3;
    tlbRightsChanged(tlb);
    expect(tlbLookup(tlb, 1, 0x5000, USER_READ)).toBe(-1);
    denied = 0;
    tlbRightsChanged(tlb);
    expect(tlbLookup(tlb, 1, 0x5000, USER_READ)).toBe(7);
  });
});

describe('TLB flush', () => {
  it('of a page drops that page only', () => {
    const tlb = createTlb(x86_64);
    tlbInsert(tlb, ROOT, 0x5000, translation(7));
    tlbInsert(tlb, ROOT, 0x6000, translation(8));
    tlbFlushPage(tlb, ROOT + 1, 0x5000);
    expect(tlbLookup(tlb, ROOT, 0x5000, USER_READ)).toBe(7);
    tlbFlushPage(tlb, ROOT, 0x5fff);
    expect(tlbLookup(tlb, ROOT, 0x5000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT, 0x6000, USER_READ)).toBe(8);
    expect(tlb.flushes).toBe(2);
  });

  it('of a page of a huge leaf drops the whole leaf, as INVLPG does', () => {
    const tlb = createTlb(x86_64);
    const huge = translation(0x205, E_USER | E_EXEC, 21);
    tlbInsert(tlb, ROOT, 0x40_5000, huge);
    tlbInsert(tlb, ROOT, 0x5f_f000, huge);
    tlbInsert(tlb, ROOT, 0x60_0000, translation(8));
    tlbFlushPage(tlb, ROOT, 0x40_0000);
    expect(tlbLookup(tlb, ROOT, 0x40_5000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT, 0x5f_f000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT, 0x60_0000, USER_READ)).toBe(8);
  });

  it('of a root drops what that root has; of all drops all', () => {
    const tlb = createTlb(x86_64);
    tlbInsert(tlb, ROOT, 0x5000, translation(7));
    tlbInsert(tlb, ROOT + 1, 0x8000, translation(8));
    tlbFlushTag(tlb, ROOT);
    expect(tlbLookup(tlb, ROOT, 0x5000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT + 1, 0x8000, USER_READ)).toBe(8);
    tlbFlushAll(tlb);
    expect(tlbLookup(tlb, ROOT + 1, 0x8000, USER_READ)).toBe(-1);
  });

  it('of a page drops none whose number has the same low 32 bits', () => {
    const tlb = createTlb(x86_64);
    tlbInsert(tlb, ROOT, 2 ** 44 + 0x5000, translation(7));
    tlbFlushPage(tlb, ROOT, 0x5000);
    expect(tlbLookup(tlb, ROOT, 2 ** 44 + 0x5000, USER_READ)).toBe(7);
    tlbFlushPage(tlb, ROOT, 2 ** 44 + 0x5000);
    expect(tlbLookup(tlb, ROOT, 2 ** 44 + 0x5000, USER_READ)).toBe(-1);
  });

  it('an empty range drops nothing', () => {
    const tlb = createTlb(x86_64);
    tlbInsert(tlb, ROOT, 0, translation(7));
    tlbFlushRange(tlb, ROOT, 0, 0);
    expect(tlbLookup(tlb, ROOT, 0, USER_READ)).toBe(7);
  });

  it('of a tag keeps the others and what is global; of all tags what is global; of all nothing', () => {
    const fill = (): Tlb => {
      const tlb = createTlb(x86_64);
      tlbInsert(tlb, 1, 0x5000, translation(7));
      tlbInsert(tlb, 2, 0x7000, translation(8));
      tlbInsert(tlb, 1, 0x8000, translation(9, E_RIGHTS | E_GLOBAL));
      return tlb;
    };
    const kept = (tlb: Tlb): number[] => [
      tlbLookup(tlb, 1, 0x5000, USER_READ),
      tlbLookup(tlb, 2, 0x7000, USER_READ),
      tlbLookup(tlb, 2, 0x8000, USER_READ),
    ];
    const flushed = (flush: (tlb: Tlb) => void): number[] => {
      const tlb = fill();
      flush(tlb);
      return [...kept(tlb), tlb.dropped];
    };
    expect(flushed((tlb) => tlbFlushTag(tlb, 1))).toEqual([-1, 8, 9, 1]);
    expect(flushed((tlb) => tlbFlushNonGlobal(tlb))).toEqual([-1, -1, 9, 2]);
    expect(flushed((tlb) => tlbFlushAll(tlb))).toEqual([-1, -1, -1, 3]);
    expect(flushed((tlb) => tlbFlushPage(tlb, 2, 0x8000))).toEqual([7, 8, -1, 1]);
    expect(flushed((tlb) => tlbFlushPages(tlb, FLUSH_TAG, 2, 8, 9))).toEqual([7, 8, 9, 0]);
    expect(flushed((tlb) => tlbFlushPages(tlb, EVERYTHING, 2, 5, 6))).toEqual([-1, 8, 9, 1]);
  });

  it('never leaves a named translation behind, drops no other, and never finds one that was dropped', () => {
    fc.assert(
      fc.property(fc.constantFrom(4, 32, 64), fc.array(command, { maxLength: 60 }), (slots, commands) => {
        const tlb = createTlb(x86_64, { slots });
        const model = new Model();
        for (const { kind, tag, page, pages, which, global, huge } of commands) {
          if (kind === 'insert') {
            const flags = E_RIGHTS | (global ? E_GLOBAL : 0);
            tlbInsertPage(tlb, tag, page, translation(model.insert(tag, page, global, huge), flags, huge ? 21 : 12));
          } else {
            const before = found(tlb);
            tlbFlushPages(tlb, which, tag, page, page + pages);
            model.flush(which, tag, page, page + pages);
            const now = found(tlb);
            for (const [key, pfn] of before) expect(now.get(key) ?? -1).toBe(model.has(pfn) ? pfn : -1);
          }
          for (const [key, pfn] of found(tlb)) expect(model.answers(key)).toContain(pfn);
        }
      }),
    );
  });
});

interface Cached {
  tag: number;
  page: number;
  size: number;
}

/** Every translation inserted and named by no flush since, however many; `pfn` is the number of the insert. */
class Model {
  readonly live = new Map<number, Cached>();
  next = 1;

  insert(tag: number, page: number, global: boolean, huge: boolean): number {
    const owner = global ? -1 : tag;
    for (const [pfn, other] of this.live) if (other.tag === owner && other.page === page) this.live.delete(pfn);
    this.live.set(this.next, { tag: owner, page, size: huge ? 512 : 1 });
    return this.next++;
  }

  flush(which: number, tag: number, first: number, end: number): void {
    for (const [pfn, { tag: owner, page, size }] of this.live) {
      const named = owner === -1 ? which & FLUSH_GLOBAL : which & (owner === tag ? FLUSH_TAG : FLUSH_OTHERS);
      const leaf = page - (page % size);
      if (named !== 0 && first < end && leaf < end && leaf + size > first) this.live.delete(pfn);
    }
  }

  has(pfn: number): boolean {
    return this.live.has(pfn);
  }

  answers(key: string): number[] {
    return [...this.live].filter(([, { tag, page }]) => key === `${tag} ${page}`).map(([pfn]) => pfn);
  }
}

/** What the TLB holds: frames by owner (-1: global) and page. */
function found(tlb: Tlb): Map<string, number> {
  const entry = createTlbEntry();
  const all = new Map<string, number>();
  for (let slot = 0; slot < tlb.slots; slot++) {
    if (tlbEntryAt(tlb, slot, entry)) all.set(`${entry.tag} ${entry.page}`, entry.pfn);
  }
  for (const [key, pfn] of all) {
    const [tag, page] = key.split(' ').map(Number);
    const tagged = all.get(`1 ${page}`);
    expect(tlbLookupPage(tlb, tag === -1 ? 1 : tag!, page!, USER_READ)).toBe(tag === -1 ? (tagged ?? pfn) : pfn);
  }
  return all;
}

const command = fc.record({
  kind: fc.constantFrom('insert', 'insert', 'flush'),
  tag: fc.integer({ min: 0, max: 2 }),
  page: fc.oneof(
    fc.integer({ min: 0, max: 20 }),
    fc.integer({ min: 500, max: 1030 }),
    fc.integer({ min: 2 ** 52 - 600, max: 2 ** 52 - 1 }),
  ),
  pages: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 600 })),
  which: fc.integer({ min: 0, max: EVERYTHING }),
  global: fc.boolean(),
  huge: fc.boolean(),
});

describe('createTlb', () => {
  it('takes the page size from the MMU', () => {
    const tlb = createTlb(madeUp, { slots: 1 });
    tlbInsert(tlb, ROOT, 0x4000, translation(7, E_USER, 14));
    expect(tlbLookup(tlb, ROOT, 0x7fff, USER_READ)).toBe(7);
    expect(tlbLookup(tlb, ROOT, 0x8000, USER_READ)).toBe(-1);
  });

  it('refuses bad options', () => {
    expect(() => createTlb(x86_64, { slots: 48 })).toThrow(/^slots: /);
    expect(() => createTlb(x86_64, { slots: 0 })).toThrow(/^slots: /);
  });
});
