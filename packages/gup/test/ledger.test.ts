/** Who holds pins: every call of the family books them to the scope it is given, and debits it. */
import { describe, expect, it } from 'vitest';
import { EFAULT, FOLL_LONGTERM, FOLL_PIN, FOLL_WRITE } from '@mmkit/base';
import {
  allocPages,
  bookPins,
  checkPinLedger,
  closePinLedger,
  countFrames,
  folioPincount,
  GFP_COMP,
  GFP_KERNEL,
  openPinLedger,
  openPinScope,
  PG_DIRTY,
  pinReport,
  testFlag,
  tryGrabFolio,
  unpinFolio,
} from '@mmkit/phys';
import type { PinScope } from '@mmkit/phys';
import { AT, builds, codeOf, PAGE, space } from './builds.ts';
import type { Build, Space } from './builds.ts';

const NR = 4;

interface Bench {
  readonly s: Space;
  readonly scope: PinScope;
  readonly pages: Uint32Array;
  /** Pins by scope. */
  readonly held: () => [string, number][];
}

/** A process with 4 pages, the first two there, the ledger on. */
function bench(build: Build): Bench {
  const s = space(build);
  s.map(AT, NR);
  s.touch(AT, 2);
  openPinLedger(s.phys, () => s.sched.now);
  const held = (): [string, number][] => {
    checkPinLedger(s.phys);
    return pinReport(s.phys).map(({ name, pins }) => [name, pins]);
  };
  return { s, scope: openPinScope(s.phys, 'driver')!, pages: new Uint32Array(NR), held };
}

type Pin = (b: Bench, scope?: PinScope) => number;
type Unpin = (b: Bench, scope?: PinScope) => void;

function pins(gup: Build['gup']): [string, Pin][] {
  return [
    [
      'pin_user_pages',
      ({ s, pages }, scope) => s.locked(() => gup.pinUserPages(s.mm, AT, NR, FOLL_WRITE, pages, scope)),
    ],
    [
      'pin_user_pages_remote',
      ({ s, pages }, scope) => s.locked(() => gup.pinUserPagesRemote(s.mm, AT, NR, 0, pages, { value: 1 }, scope)),
    ],
    [
      'pin_user_pages_unlocked',
      ({ s, pages }, scope) => gup.pinUserPagesUnlocked(s.mm, AT, NR, pages, FOLL_WRITE, scope),
    ],
    // Half of the pages by the fast walk, half by the slow path.
    ['pin_user_pages_fast', ({ s, pages }, scope) => gup.pinUserPagesFast(s.mm, AT, NR, FOLL_WRITE, pages, scope)],
    [
      'FOLL_LONGTERM',
      ({ s, pages }, scope) => gup.pinUserPagesFast(s.mm, AT, NR, FOLL_WRITE | FOLL_LONGTERM, pages, scope),
    ],
  ];
}

function unpins(gup: Build['gup']): [string, Unpin][] {
  const each = ({ pages }: Bench, call: (pfn: number) => void): void => pages.forEach((pfn) => call(pfn));
  return [
    ['unpin_user_pages', ({ s, pages }, scope) => gup.unpinUserPages(s.memory, pages, NR, scope)],
    [
      'unpin_user_pages_dirty_lock',
      ({ s, pages }, scope) => gup.unpinUserPagesDirtyLock(s.memory, pages, NR, true, scope),
    ],
    [
      'unpin_user_page_range_dirty_lock',
      (b, scope) => each(b, (pfn) => gup.unpinUserPageRangeDirtyLock(b.s.memory, pfn, 1, true, scope)),
    ],
    ['unpin_folio', (b, scope) => each(b, (pfn) => unpinFolio(b.s.phys, pfn, 1, scope))],
  ];
}

describe.each(builds)('%s: the ledger of pins', (_, build) => {
  const { gup } = build;

  it.each(pins(gup))('%s: its pins are its scope’s; without one they are unknown', (_name, pin) => {
    const b = bench(build);
    const n = pin(b, b.scope);
    expect([n, b.held()]).toEqual([
      b.pages.every((pfn) => pfn !== b.s.phys.zeroPfn) ? NR : n,
      [['driver', countFrames(b.s.phys).pins]],
    ]);
    gup.unpinUserPages(b.s.memory, b.pages, n, b.scope);
    pin(b);
    expect(b.held()).toEqual([['unknown', countFrames(b.s.phys).pins]]);
    gup.unpinUserPages(b.s.memory, b.pages, n);
    expect(b.held()).toEqual([]);
  });

  it.each(unpins(gup))('%s: debits its own scope; without one, or with another, unknown', (_name, unpin) => {
    const b = bench(build);
    const pin = (): number => gup.pinUserPagesFast(b.s.mm, AT, NR, FOLL_WRITE, b.pages, b.scope);
    expect([pin(), pin(), b.held()]).toEqual([NR, NR, [['driver', 2 * NR]]]);
    unpin(b, b.scope);
    expect(b.held()).toEqual([['driver', NR]]);
    pin();
    unpin(b);
    expect(b.held()).toEqual([
      ['driver', 2 * NR],
      ['unknown', -NR],
    ]);
    pin();
    unpin(b, openPinScope(b.s.phys, 'driver')!);
    expect(b.held()).toEqual([
      ['driver', 3 * NR],
      ['unknown', -2 * NR],
    ]);
  });

  it('a short count: the pages got are booked, from the fast walk and from the slow one', () => {
    const b = bench(build);
    const pages = new Uint32Array(9);
    expect(gup.pinUserPagesFast(b.s.mm, AT, 9, FOLL_WRITE, pages, b.scope)).toBe(NR);
    expect(b.held()).toEqual([['driver', NR]]);
    expect(gup.pinUserPagesFast(b.s.mm, AT + NR * PAGE, 1, 0, pages, b.scope)).toBe(-EFAULT);
    expect(b.held()).toEqual([['driver', NR]]);
  });

  it('references are not booked, nor is the zero page', () => {
    const b = bench(build);
    expect(gup.getUserPagesFast(b.s.mm, AT, NR, FOLL_WRITE, b.pages)).toBe(NR);
    expect(b.held()).toEqual([]);
    b.s.map(AT + 8 * PAGE, 1);
    b.s.touch(AT + 8 * PAGE, 1, 0);
    expect([gup.pinUserPagesFast(b.s.mm, AT + 8 * PAGE, 1, 0, b.pages, b.scope), b.pages[0]]).toEqual([
      1,
      b.s.phys.zeroPfn,
    ]);
    expect(b.held()).toEqual([]);
    gup.unpinUserPages(b.s.memory, b.pages, 1, b.scope);
    expect(b.held()).toEqual([]);
  });

  it('an unpin that is refused in the middle debits the pages before it', () => {
    const b = bench(build);
    gup.pinUserPagesFast(b.s.mm, AT, NR, FOLL_WRITE, b.pages, b.scope);
    gup.unpinUserPages(b.s.memory, b.pages.subarray(2), 1, b.scope);
    expect(codeOf(() => gup.unpinUserPages(b.s.memory, b.pages, NR, b.scope))).toBe('PIN_BELOW_ZERO');
    expect(b.held()).toEqual([['driver', 1]]);
  });

  it('opened later: what was pinned is unknown, and an unpin by the scope of another ledger debits that', () => {
    const b = bench(build);
    gup.pinUserPagesFast(b.s.mm, AT, NR, FOLL_WRITE, b.pages, b.scope);
    closePinLedger(b.s.phys);
    openPinLedger(b.s.phys, () => b.s.sched.now);
    expect(b.held()).toEqual([['unknown', NR]]);
    gup.unpinUserPages(b.s.memory, b.pages, NR, b.scope);
    expect(b.held()).toEqual([]);
  });

  it('the same pages, counts and marks with the ledger and without', () => {
    const [on, off] = [bench(build), bench(build)];
    closePinLedger(off.s.phys);
    for (const [, pin] of pins(gup)) {
      for (const [, unpin] of unpins(gup)) {
        const state = (b: Bench): unknown => {
          const got = pin(b, b.scope);
          const taken = [got, ...b.pages, ...Array.from(b.pages, (pfn) => b.s.refs(pfn))];
          unpin(b, b.scope);
          const { nrFollPinAcquired, nrFollPinReleased } = b.s.phys;
          const after = Array.from(b.pages, (pfn) => [b.s.refs(pfn), testFlag(b.s.phys, pfn, PG_DIRTY)]);
          return [taken, nrFollPinAcquired, nrFollPinReleased, after];
        };
        expect(state(on)).toEqual(state(off));
      }
    }
  });

  it('unpin_user_page_range_dirty_lock: frames that follow each other, dirty; nr 0; beyond RAM', () => {
    const b = bench(build);
    expect(gup.pinUserPagesFast(b.s.mm, AT, NR, FOLL_WRITE, b.pages, b.scope)).toBe(NR);
    const first = Math.min(...b.pages);
    expect([...b.pages].sort((x, y) => x - y)).toEqual([first, first + 1, first + 2, first + 3]);
    gup.unpinUserPageRangeDirtyLock(b.s.memory, first, 0, true, b.scope);
    expect(b.held()).toEqual([['driver', NR]]);
    gup.unpinUserPageRangeDirtyLock(b.s.memory, first + 1, 3, false, b.scope);
    expect(b.held()).toEqual([['driver', 1]]);
    gup.unpinUserPageRangeDirtyLock(b.s.memory, first, 1, true, b.scope);
    expect([b.held(), testFlag(b.s.phys, first, PG_DIRTY)]).toEqual([[], true]);
    expect(() => gup.unpinUserPageRangeDirtyLock(b.s.memory, 127, 2, false)).toThrow(RangeError);
  });

  it('unpin_user_page_range_dirty_lock: part of a large folio, then a page after it', () => {
    const { s, scope, held } = bench(build);
    const { phys, memory } = s;
    const large = allocPages(phys, GFP_KERNEL | GFP_COMP, 2);
    const after = large + 4;
    let taken = allocPages(phys, GFP_KERNEL, 0);
    while (taken > 0 && taken !== after) taken = allocPages(phys, GFP_KERNEL, 0);
    expect(taken).toBe(after);
    for (const pfn of [large, large + 2, large + 3, after]) {
      expect(tryGrabFolio(phys, pfn, 1, FOLL_PIN)).toBe(0);
      bookPins(phys, Uint32Array.of(pfn), 0, 1, scope);
    }
    gup.unpinUserPageRangeDirtyLock(memory, large + 2, 3, true, scope);
    expect([held(), folioPincount(phys, large), s.refs(large), s.refs(after)]).toEqual([[['driver', 1]], 1, 2, 1]);
    expect([testFlag(phys, large, PG_DIRTY), testFlag(phys, after, PG_DIRTY)]).toEqual([true, true]);
    gup.unpinUserPageRangeDirtyLock(memory, large, 1, false, scope);
    expect(held()).toEqual([]);
    expect(codeOf(() => gup.unpinUserPageRangeDirtyLock(memory, large, 1, true, scope))).toBe('PIN_BELOW_ZERO');
  });
});
