/** The ledger of pins, by the frame table alone. */
import { FOLL_PIN, InvariantError } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  allocPages,
  bookPins,
  checkPinLedger,
  closePinLedger,
  createPhys,
  folioAddPin,
  framePins,
  freePages,
  getPage,
  GFP_COMP,
  GFP_HIGHUSER_MOVABLE,
  openPinLedger,
  openPinScope,
  pinHolders,
  pinReport,
  formatPinReport,
  putPage,
  tryGrabFolio,
  unpinFolio,
} from '../src/index.ts';
import type { Phys, PinScope } from '../src/index.ts';

/** A machine of 64 frames whose ledger is on, and its clock. */
function booked(): { phys: Phys; time: { now: number } } {
  const phys = createPhys({ frames: 64 });
  const time = { now: 0 };
  openPinLedger(phys, () => time.now);
  return { phys, time };
}

function page(phys: Phys, order = 0): number {
  return allocPages(phys, GFP_HIGHUSER_MOVABLE | GFP_COMP, order);
}

function pin(phys: Phys, pfn: number, scope: PinScope | null, pins = 1): void {
  expect(tryGrabFolio(phys, pfn, pins, FOLL_PIN)).toBe(0);
  bookPins(phys, new Uint32Array(pins).fill(pfn), 0, pins, scope);
}

/** Who has how many pins of a frame, since when. */
function held(phys: Phys, pfn: number): [string, number, number][] {
  return pinHolders(phys, pfn).map(({ scope, pins, since }) => [scope.name, pins, since]);
}

function codeOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error instanceof InvariantError ? error.code : error;
  }
  return undefined;
}

describe('the ledger of pins', () => {
  it('off: no scope, no holder, an empty report, nothing to check', () => {
    const phys = createPhys({ frames: 64 });
    const pfn = page(phys);
    expect(openPinScope(phys, 'a')).toBe(null);
    pin(phys, pfn, null);
    expect([held(phys, pfn), pinReport(phys), formatPinReport(pinReport(phys))]).toEqual([[], [], 'no pins\n']);
    unpinFolio(phys, pfn);
    checkPinLedger(phys);
  });

  it('a pin is booked to its scope, with the time of the first one; a scope knows when it was opened', () => {
    const { phys, time } = booked();
    const pfn = page(phys);
    time.now = 5;
    const scope = openPinScope(phys, 'a', 7)!;
    expect([scope.name, scope.opened]).toEqual(['a, process 7', 5]);
    time.now = 9;
    pin(phys, pfn, scope);
    time.now = 12;
    pin(phys, pfn, scope, 2);
    pin(phys, pfn, null);
    expect(held(phys, pfn)).toEqual([
      ['a, process 7', 3, 9],
      ['unknown', 1, 12],
    ]);
    checkPinLedger(phys);
  });

  it('an unpin debits its own scope; one that has all been dropped is struck out, and begins anew', () => {
    const { phys, time } = booked();
    const pfn = page(phys);
    const [a, b] = [openPinScope(phys, 'a')!, openPinScope(phys, 'b')!];
    pin(phys, pfn, a, 2);
    pin(phys, pfn, b);
    unpinFolio(phys, pfn, 1, a);
    expect(held(phys, pfn)).toEqual([
      ['a', 1, 0],
      ['b', 1, 0],
    ]);
    unpinFolio(phys, pfn, 1, a);
    time.now = 3;
    pin(phys, pfn, a);
    expect(held(phys, pfn)).toEqual([
      ['b', 1, 0],
      ['a', 1, 3],
    ]);
  });

  it('an unpin without a scope, or with one that has nothing there, debits unknown', () => {
    const { phys } = booked();
    const pfn = page(phys);
    const [a, b] = [openPinScope(phys, 'a')!, openPinScope(phys, 'a')!];
    pin(phys, pfn, a, 3);
    unpinFolio(phys, pfn);
    unpinFolio(phys, pfn, 1, b);
    expect(held(phys, pfn)).toEqual([
      ['a', 3, 0],
      ['unknown', -2, 0],
    ]);
    checkPinLedger(phys);
    unpinFolio(phys, pfn);
    // The last pin is gone: nobody holds it, whoever forgot to say so.
    expect([held(phys, pfn), pinReport(phys)]).toEqual([[], []]);
  });

  it('what a scope has too little of comes from unknown', () => {
    const { phys } = booked();
    const pfn = page(phys, 2);
    const a = openPinScope(phys, 'a');
    pin(phys, pfn, a, 3);
    pin(phys, pfn, null, 4);
    unpinFolio(phys, pfn, 5, a);
    expect(held(phys, pfn)).toEqual([['unknown', 2, 0]]);
  });

  it('a large folio is one: pins by any of its pages', () => {
    const { phys } = booked();
    const pfn = page(phys, 3);
    const a = openPinScope(phys, 'a');
    for (let i = 0; i < 8; i++) pin(phys, pfn + i, a);
    unpinFolio(phys, pfn + 5, 6, a);
    expect(held(phys, pfn + 3)).toEqual([['a', 2, 0]]);
    expect(pinReport(phys)).toEqual([{ name: 'a', scopes: 1, pages: 8, pins: 2, since: 0 }]);
    checkPinLedger(phys);
  });

  it('folio_add_pin is booked; the zero page never is', () => {
    const { phys } = booked();
    const pfn = page(phys);
    const a = openPinScope(phys, 'a');
    pin(phys, pfn, null);
    folioAddPin(phys, pfn, a);
    expect(held(phys, pfn)).toEqual([
      ['unknown', 1, 0],
      ['a', 1, 0],
    ]);
    pin(phys, phys.zeroPfn, a);
    folioAddPin(phys, phys.zeroPfn, a);
    unpinFolio(phys, phys.zeroPfn, 1, a);
    expect(held(phys, phys.zeroPfn)).toEqual([]);
    checkPinLedger(phys);
  });

  it('pins from before the ledger was opened are unknown', () => {
    const phys = createPhys({ frames: 64 });
    const [small, large] = [page(phys), page(phys, 2)];
    pin(phys, small, null, 2);
    pin(phys, large + 1, null, 3);
    openPinLedger(phys, () => 4);
    expect([held(phys, small), held(phys, large)]).toEqual([[['unknown', 2, 4]], [['unknown', 3, 4]]]);
    unpinFolio(phys, small, 1, openPinScope(phys, 'a'));
    expect(held(phys, small)).toEqual([['unknown', 1, 4]]);
    checkPinLedger(phys);
    closePinLedger(phys);
    unpinFolio(phys, small);
    expect(held(phys, large)).toEqual([]);
  });

  it('the last pin of an orphan frees it, and the ledger with it', () => {
    const { phys } = booked();
    const pfn = page(phys, 1);
    const a = openPinScope(phys, 'a');
    pin(phys, pfn + 1, a);
    putPage(phys, pfn);
    unpinFolio(phys, pfn + 1, 1, a);
    expect([held(phys, pfn), framePins(phys, pfn)]).toEqual([[], 0]);
    checkPinLedger(phys);
  });

  it('a refused unpin changes nothing', () => {
    const { phys } = booked();
    const pfn = page(phys);
    const a = openPinScope(phys, 'a');
    pin(phys, pfn, a);
    expect(codeOf(() => unpinFolio(phys, pfn, 2, a))).toBe('PIN_BELOW_ZERO');
    expect(() => unpinFolio(phys, 64, 1, a)).toThrow(RangeError);
    expect(held(phys, pfn)).toEqual([['a', 1, 0]]);
  });

  it('is opened once, and not where threads share the frame table', () => {
    const { phys } = booked();
    expect(codeOf(() => openPinLedger(phys, () => 0))).toBe('LEDGER_OPEN');
    const shared = createPhys({ frames: 64, shared: true });
    expect(codeOf(() => openPinLedger(shared, () => 0))).toBe('LEDGER_SHARED');
  });

  it('scopes of one name are one row: how many, frames, pins, the oldest; the oldest row first', () => {
    const { phys, time } = booked();
    const [small, large] = [page(phys), page(phys, 2)];
    const [a, b, c] = [openPinScope(phys, 'read'), openPinScope(phys, 'read'), openPinScope(phys, 'region')];
    time.now = 100;
    pin(phys, large, c);
    time.now = 200;
    pin(phys, small, a);
    pin(phys, small, b);
    time.now = 300;
    pin(phys, large, a, 2);
    expect(pinReport(phys)).toEqual([
      { name: 'region', scopes: 1, pages: 4, pins: 1, since: 100 },
      { name: 'read', scopes: 2, pages: 5, pins: 4, since: 200 },
    ]);
    expect(formatPinReport(pinReport(phys))).toBe(
      '          scopes     pages      pins    oldest\n' +
        'region         1         4         1    100 ns\n' +
        'read           2         5         4    200 ns\n',
    );
  });

  it('checkPinLedger: a pin that nobody booked, one too many booked, one booked where there is none', () => {
    const { phys } = booked();
    const pfn = page(phys);
    tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    expect(codeOf(() => checkPinLedger(phys))).toBe('PIN_LEDGER');
    bookPins(phys, Uint32Array.of(pfn), 0, 1, null);
    checkPinLedger(phys);
    bookPins(phys, Uint32Array.of(pfn), 0, 1, null);
    expect(codeOf(() => checkPinLedger(phys))).toBe('PIN_LEDGER');
    unpinFolio(phys, pfn);
    freePages(phys, pfn, 0);
    expect(codeOf(() => checkPinLedger(phys))).toBe('PIN_LEDGER');
  });

  it('property: whatever is pinned and unpinned, it has as many pins as the frame table', () => {
    const step = fc.record({
      drop: fc.boolean(),
      frame: fc.nat(2),
      scope: fc.nat(3),
      pins: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { phys } = booked();
        const frames = [page(phys), page(phys, 2), page(phys)];
        for (const frame of frames) getPage(phys, frame);
        const scopes = [null, openPinScope(phys, 'a'), openPinScope(phys, 'b'), openPinScope(phys, 'c')];
        for (const { drop, frame, scope, pins } of steps) {
          const pfn = frames[frame]!;
          if (!drop) pin(phys, pfn, scopes[scope]!, pins);
          else if (framePins(phys, pfn) > 0) unpinFolio(phys, pfn, Math.min(pins, framePins(phys, pfn)), scopes[scope]);
          checkPinLedger(phys);
          for (const one of frames) for (const { pins: of } of pinHolders(phys, one)) expect(of).not.toBe(0);
        }
      }),
    );
  });
});
