/**
 * Random calls, right and wrong, against a model that is only a list of blocks: what each call returns or throws, what
 * it changes, and that nothing changes when it is refused.
 */
import { ENOMEM, FOLL_GET, FOLL_PIN } from '@mmkit/base';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  allocPages,
  checkPhys,
  countFrames,
  createPhys,
  drainPages,
  folioMaybeDmaPinned,
  freePages,
  getPage,
  gupPutFolio,
  HOT_MAPCOUNT,
  pageMapCount,
  pageOrder,
  pageRefCount,
  putPage,
  tryGetFolio,
  tryGrabFolio,
  tryGrabFolioFast,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { refusal, snapshot } from './support.ts';

interface Block {
  order: number;
  count: number;
  pins: number;
  mapped: number;
}

interface Model {
  frames: number;
  blocks: Map<number, Block>;
  acquired: number;
  released: number;
}

type Step = { op: string; pick: number; order: number; refs: number };

/** Frames no block covers. */
function freeSet(model: Model): Set<number> {
  const free = new Set<number>();
  for (let pfn = 2; pfn < model.frames; pfn++) free.add(pfn);
  for (const [pfn, block] of model.blocks) for (let i = 0; i < 2 ** block.order; i++) free.delete(pfn + i);
  return free;
}

/** Is there an aligned free run of 2^order frames? */
function fits(model: Model, order: number): boolean {
  const free = freeSet(model);
  for (let pfn = 0; pfn + 2 ** order <= model.frames; pfn += 2 ** order) {
    let run = 0;
    while (run < 2 ** order && free.has(pfn + run)) run++;
    if (run === 2 ** order) return true;
  }
  return false;
}

function allocStep(phys: Phys, model: Model, order: number): void {
  const free = freeSet(model);
  const possible = fits(model, order);
  const pfn = allocPages(phys, 0, order);
  if (!possible) {
    expect(pfn).toBe(-ENOMEM);
    return;
  }
  expect(pfn % 2 ** order).toBe(0);
  for (let i = 0; i < 2 ** order; i++) expect(free.has(pfn + i)).toBe(true);
  model.blocks.set(pfn, { order, count: 1, pins: 0, mapped: 0 });
}

/** What dropping `count` from a block does: '' or the refusal; frees it at zero. */
function drop(model: Model, pfn: number, count: number, below: string): string {
  const block = model.blocks.get(pfn);
  if (pfn < 2) return count === 1 ? 'FREE_RESERVED' : below;
  if (block === undefined || block.count < count) return below;
  if (block.count === count && block.mapped > 0) return 'FREE_MAPPED';
  block.count -= count;
  if (block.count === 0) model.blocks.delete(pfn);
  return '';
}

function freeStep(model: Model, pfn: number, order: number): string {
  const block = model.blocks.get(pfn);
  if (pfn < 2) return 'FREE_RESERVED';
  if (block === undefined) return 'DOUBLE_FREE';
  if (block.order !== order) return 'WRONG_ORDER';
  if (block.count !== 1) return 'FREE_REFERENCED';
  return drop(model, pfn, 1, '');
}

function getStep(model: Model, pfn: number, refs: number): string {
  const block = model.blocks.get(pfn);
  if (block === undefined) return 'GET_FROM_ZERO';
  block.count += refs;
  return '';
}

function unpinStep(model: Model, pfn: number, refs: number): string {
  const block = model.blocks.get(pfn);
  const pins = block?.pins ?? 0;
  const refused = drop(model, pfn, refs * 1024, 'PIN_BELOW_ZERO');
  if (refused === '') {
    model.released += refs;
    if (block !== undefined) block.pins = pins - refs;
  }
  return refused;
}

function grabStep(model: Model, pfn: number, refs: number, pin: boolean): boolean {
  const block = model.blocks.get(pfn);
  if (block === undefined) return false;
  block.count += pin ? refs * 1024 : refs;
  if (pin) {
    block.pins += refs;
    model.acquired += refs;
  }
  return true;
}

function runStep(phys: Phys, model: Model, { op, pick, order, refs }: Step): void {
  const heads = [...model.blocks.keys()].sort((a, b) => a - b);
  // Mostly a block there is, sometimes any frame but the reserved ones for steps that would only change their count.
  const wild = pick % 5 === 0 || heads.length === 0;
  const counts = ['get', 'tryGet', 'grabGet', 'grabPin', 'fastPin'].includes(op);
  const any = counts ? 2 + (pick % (model.frames - 2)) : pick % model.frames;
  const pfn = wild ? any : heads[pick % heads.length]!;
  const block = model.blocks.get(pfn);
  const before = snapshot(phys);
  let expected = '';
  let got = '';
  if (op === 'alloc') {
    allocStep(phys, model, order);
  } else if (op === 'drain') {
    drainPages(phys);
  } else if (op === 'map' && block !== undefined && block.mapped < block.count) {
    phys.hot[pfn * 4 + HOT_MAPCOUNT] = ++block.mapped;
  } else if (op === 'unmap' && block !== undefined && block.mapped > 0) {
    phys.hot[pfn * 4 + HOT_MAPCOUNT] = --block.mapped;
  } else if (op === 'free') {
    const asked = wild ? order : block!.order;
    expected = freeStep(model, pfn, asked);
    got = refusal(() => freePages(phys, pfn, asked));
  } else if (op === 'get') {
    expected = getStep(model, pfn, refs);
    got = refusal(() => getPage(phys, pfn, refs));
  } else if (op === 'put' && (block === undefined || block.count - refs >= Math.max(block.pins * 1024, block.mapped))) {
    expected = drop(model, pfn, refs, 'PUT_BELOW_ZERO');
    got = refusal(() => putPage(phys, pfn, refs));
  } else if (op === 'tryGet') {
    expect(tryGetFolio(phys, pfn, refs)).toBe(getStep(model, pfn, refs) === '');
  } else if (op === 'grabGet') {
    expect(tryGrabFolio(phys, pfn, refs, FOLL_GET) === 0).toBe(grabStep(model, pfn, refs, false));
  } else if (op === 'grabPin') {
    expect(tryGrabFolio(phys, pfn, refs, FOLL_PIN)).toBe(grabStep(model, pfn, refs, true) ? 0 : -ENOMEM);
  } else if (op === 'fastPin') {
    expect(tryGrabFolioFast(phys, pfn, refs, FOLL_PIN)).toBe(grabStep(model, pfn, refs, true));
  } else if (op === 'unpin' && pfn !== 1 && (block === undefined || block.pins >= refs || block.count < refs * 1024)) {
    if (block === undefined || block.count - refs * 1024 >= block.mapped || block.count < refs * 1024) {
      expected = unpinStep(model, pfn, refs);
      got = refusal(() => gupPutFolio(phys, pfn, refs, FOLL_PIN));
    }
  }
  expect(got).toBe(expected);
  if (got !== '') expect(snapshot(phys)).toEqual(before);
}

/** Every frame and every counter is as the model says. */
function compare(phys: Phys, model: Model): void {
  const free = freeSet(model);
  let pins = 0;
  let pinned = 0;
  for (const [pfn, block] of model.blocks) {
    expect(pageOrder(phys, pfn)).toBe(block.order);
    expect(pageRefCount(phys, pfn)).toBe(block.count);
    expect(pageMapCount(phys, pfn)).toBe(block.mapped);
    expect(folioMaybeDmaPinned(phys, pfn)).toBe(block.count >= 1024);
    if (block.count >= 1024) pinned++;
    pins += Math.floor(block.count / 1024);
  }
  for (const pfn of free) expect(pageRefCount(phys, pfn)).toBe(0);
  const used = model.frames - 2 - free.size;
  expect(countFrames(phys)).toEqual({ free: free.size, used, reserved: 2, pinned, pins });
  expect([phys.nrFollPinAcquired, phys.nrFollPinReleased]).toEqual([model.acquired, model.released]);
  checkPhys(phys);
}

const OPS = ['alloc', 'alloc', 'alloc', 'free', 'free', 'get', 'put', 'put', 'tryGet', 'grabGet', 'grabPin', 'fastPin'];

it('random calls do what a list of blocks does', () => {
  const step = fc.record({
    op: fc.constantFrom(...OPS, 'unpin', 'unpin', 'map', 'unmap', 'drain'),
    pick: fc.nat(1000),
    order: fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 5 })),
    refs: fc.oneof(fc.constant(1), fc.constant(1), fc.integer({ min: 1, max: 4 })),
  });
  const run = (frames: number, steps: readonly Step[]): void => {
    const phys = createPhys({ frames });
    const model: Model = { frames, blocks: new Map(), acquired: 0, released: 0 };
    for (const each of steps) {
      runStep(phys, model, each);
      compare(phys, model);
    }
  };
  fc.assert(fc.property(fc.integer({ min: 16, max: 90 }), fc.array(step, { maxLength: 80, size: 'max' }), run), {
    numRuns: 150,
  });
}, 60_000);
