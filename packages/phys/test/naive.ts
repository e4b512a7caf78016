/**
 * An allocator that is only a table of who has which frame, and random calls, right and wrong, against both: what each
 * returns or throws, what it changes, and that nothing changes when it is refused. It predicts whether an allocation
 * succeeds, and where it may lie, by N.15's watermark rule and by looking for an aligned run of free frames; not which
 * of several blocks comes out (naive-buddy.ts does).
 */
import { EBUSY, EHWPOISON, ENOMEM, ENXIO, FOLL_GET, FOLL_PIN } from '@mmkit/base';
import {
  allocPagesNodemask,
  allocPagesNowait,
  checkPhys,
  createPhys,
  drainPages,
  folioAddPin,
  folioAddRmapPmd,
  folioAddRmapPtes,
  folioMapcount,
  folioMaybeDmaPinned,
  folioPincount,
  folioRemoveRmapPmd,
  folioRemoveRmapPtes,
  freePages,
  getPage,
  GFP_COMP,
  GFP_DIRECT_RECLAIM,
  GFP_HIGH,
  GFP_MEMALLOC,
  GFP_NOMEMALLOC,
  GFP_THISNODE,
  gupPutFolio,
  HOT_MAPCOUNT,
  pageOrder,
  pageRefCount,
  putPage,
  setHwpoison,
  splitPage,
  tryGetFolio,
  tryGrabFolio,
  tryGrabFolioFast,
  unpoison,
  ZONE_DMA,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NORMAL,
} from '../src/index.ts';
import type { Phys, PhysOptions, Zone } from '../src/index.ts';
import type { Step } from './naive-calls.ts';
import { expectSame, refusal, snapshot } from './support.ts';

/** A block somebody has. */
interface Block {
  readonly pfn: number;
  readonly order: number;
  readonly large: boolean;
  count: number;
  pins: number;
  /** Entries that map the whole folio. */
  entire: number;
  /** Entries of all kinds. */
  mapped: number;
  /** Where it stands in `Naive.heads`. */
  at: number;
}

/** Values of `Naive.owner` beside the head's PFN. */
const FREE = 0;
const ABSENT = -1;
const POISONED = -2;

/** The table, the machine, and what was called so far. */
export class Naive {
  readonly phys: Phys;
  /** By frame: 0 free, −1 not there, −2 poisoned and unused, else the head of the block that has it. */
  readonly owner: Int32Array;
  readonly blocks: Map<number, Block>;
  /** The heads of all blocks, to draw from. */
  readonly heads: Block[];
  readonly poisoned: Set<number>;
  acquired: number;
  released: number;
  calls: number;
  /** Allocations that gave a block, and those that failed. */
  given: number;
  failed: number;

  constructor(options: PhysOptions) {
    this.phys = createPhys(options);
    this.owner = new Int32Array(options.frames);
    for (const [start, end] of options.holes ?? []) this.owner.fill(ABSENT, start, end);
    this.owner.fill(ABSENT, 0, 2);
    this.blocks = new Map();
    this.heads = [];
    this.poisoned = new Set();
    this.acquired = 0;
    this.released = 0;
    this.calls = 0;
    this.given = 0;
    this.failed = 0;
  }
}

function equal(got: unknown, wanted: unknown, what: string): void {
  if (!Object.is(got, wanted)) throw new Error(`${what}: expected ${String(wanted)}, got ${String(got)}`);
}

function take(model: Naive, pfn: number, order: number, large: boolean, count: number): void {
  const block: Block = { pfn, order, large, count, pins: 0, entire: 0, mapped: 0, at: model.heads.length };
  model.heads.push(block);
  model.blocks.set(pfn, block);
  model.owner.fill(pfn, pfn, pfn + 2 ** order);
}

function forget(model: Naive, block: Block): void {
  const last = model.heads.pop()!;
  if (last !== block) {
    model.heads[block.at] = last;
    last.at = block.at;
  }
  model.blocks.delete(block.pfn);
}

function release(model: Naive, block: Block): void {
  forget(model, block);
  for (let pfn = block.pfn; pfn < block.pfn + 2 ** block.order; pfn++) {
    model.owner[pfn] = model.poisoned.has(pfn) ? POISONED : FREE;
  }
}

/** The block a call on this frame is about: a tail of a large folio stands for its head. */
function resolve(model: Naive, pfn: number): Block | undefined {
  const block = model.blocks.get(model.owner[pfn]!);
  return block !== undefined && (block.large || block.pfn === pfn) ? block : undefined;
}

/** References that mappings and pins account for. */
function need(block: Block): number {
  return block.mapped + block.pins * (block.large ? 1 : 1024);
}

/** Whether a zone gives a block by the rules for a caller who tried everything. */
function gives(model: Naive, zone: Zone, gfp: number, order: number, kind: number): boolean {
  let free = 0;
  let fits = false;
  for (let start = zone.start; start < zone.end; start += 2 ** order) {
    let run = 0;
    for (let pfn = start; pfn < Math.min(start + 2 ** order, zone.end); pfn++) if (model.owner[pfn] === FREE) run++;
    free += run;
    if (run === 2 ** order) fits = true;
  }
  if (!fits) return false;
  if ((gfp & (GFP_MEMALLOC | GFP_NOMEMALLOC)) === GFP_MEMALLOC) return true;
  let min = zone.min + zone.boost;
  if ((gfp & GFP_HIGH) !== 0) {
    if (order === 0) min = zone.min;
    min -= Math.floor(min / 2);
    if ((gfp & (GFP_DIRECT_RECLAIM | GFP_NOMEMALLOC)) === 0) min -= Math.floor(min / 4);
  }
  return free - (2 ** order - 1) > min + zone.lowmemReserve[kind]!;
}

/** The highest kind of zone, by N.15. */
function zoneKind(gfp: number): number {
  if ((gfp & 0x1) !== 0) return ZONE_DMA;
  if ((gfp & 0x4) !== 0) return ZONE_DMA32;
  return (gfp & 0xa) === 0xa ? ZONE_MOVABLE : ZONE_NORMAL;
}

function allocStep(model: Naive, { op, pick, order, gfp }: Step): void {
  const { phys } = model;
  const node = op === 'alloc' ? phys.cpu.node : pick % phys.nodes.length;
  const mask = op === 'alloc' ? -1 : 1 + (pick % 3);
  const kind = zoneKind(gfp);
  const allowed = (zone: Zone): boolean =>
    zone.kind <= kind && (mask & (1 << zone.node)) !== 0 && ((gfp & GFP_THISNODE) === 0 || zone.node === node);
  const boosted = phys.zones.some((zone) => zone.boost !== 0);
  const pfn = op === 'alloc' ? allocPagesNowait(phys, gfp, order) : allocPagesNodemask(phys, gfp, order, node, mask);
  if (pfn < 0) {
    equal(pfn, -ENOMEM, 'alloc');
    model.failed++;
    const zone = phys.zones.find((each) => allowed(each) && gives(model, each, gfp, order, kind));
    if (zone !== undefined && !boosted) throw new Error(`alloc ${order} gfp ${gfp} failed, zone ${zone.index} has one`);
    return;
  }
  model.given++;
  equal(pfn % 2 ** order, 0, 'alignment');
  for (let i = 0; i < 2 ** order; i++) equal(model.owner[pfn + i], FREE, `owner of frame ${pfn + i}, given out`);
  const zone = phys.zones.find((each) => pfn >= each.start && pfn < each.end)!;
  if (!allowed(zone)) throw new Error(`gfp ${gfp}, node ${node}, mask ${mask} got frame ${pfn} of zone ${zone.index}`);
  // A boost may have been put on by this very call.
  const unboosted = phys.zones.every((each) => each.boost === 0);
  if (unboosted && !gives(model, zone, gfp, order, kind)) throw new Error(`zone ${zone.index} is below its watermark`);
  take(model, pfn, order, order !== 0 && (gfp & GFP_COMP) !== 0, 1);
}

/** Why the last references of a block cannot be dropped; '': they can. */
function keeps(block: Block): string {
  if (block.mapped > 0) return 'FREE_MAPPED';
  return block.pins > 0 ? 'FREE_PINNED' : '';
}

function freeStep(model: Naive, pfn: number, order: number): string {
  const block = model.blocks.get(pfn);
  if (order > 10) return 'RangeError';
  if (pfn < 2) return 'FREE_RESERVED';
  if (block === undefined) return resolve(model, pfn) !== undefined ? 'FREE_TAIL' : 'DOUBLE_FREE';
  if (block.order !== order) return 'WRONG_ORDER';
  if (block.count !== 1) return 'FREE_REFERENCED';
  const kept = keeps(block);
  if (kept === '') release(model, block);
  return kept;
}

function putStep(model: Naive, block: Block | undefined, refs: number): string {
  if (block === undefined || block.count < refs) return 'PUT_BELOW_ZERO';
  const kept = block.count === refs ? keeps(block) : '';
  if (kept !== '') return kept;
  block.count -= refs;
  if (block.count === 0) release(model, block);
  return '';
}

function unpinStep(model: Naive, block: Block | undefined, refs: number): string {
  if (block === undefined || block.pins < refs) return 'PIN_BELOW_ZERO';
  block.pins -= refs;
  block.count -= block.large ? refs : refs * 1024;
  model.released += refs;
  if (block.count === 0) release(model, block);
  return '';
}

function grabStep(model: Naive, block: Block | undefined, refs: number, pin: boolean): boolean {
  if (block === undefined) return false;
  block.count += pin && !block.large ? refs * 1024 : refs;
  if (!pin) return true;
  block.pins += refs;
  model.acquired += refs;
  return true;
}

/** One entry more or less, with its reference. */
function mapStep(model: Naive, block: Block, pfn: number, whole: boolean): void {
  getPage(model.phys, pfn);
  if (whole) folioAddRmapPmd(model.phys, pfn);
  else folioAddRmapPtes(model.phys, pfn);
  block.count++;
  block.mapped++;
  if (whole) block.entire++;
}

function unmapStep(model: Naive, block: Block, pfn: number, whole: boolean): string {
  const { phys } = model;
  const own = whole ? block.entire : phys.hot[pfn * 4 + HOT_MAPCOUNT]!;
  const remove = whole ? folioRemoveRmapPmd : folioRemoveRmapPtes;
  if (own === 0) return refusal(() => remove(phys, pfn)) === 'MAP_BELOW_ZERO' ? '' : 'no refusal';
  remove(phys, pfn);
  putPage(phys, pfn);
  block.mapped--;
  if (whole) block.entire--;
  block.count--;
  if (block.count === 0) release(model, block);
  return '';
}

function poisonStep(model: Naive, pfn: number): void {
  const owner = model.owner[pfn]!;
  const expected = pfn < 2 ? -EBUSY : model.poisoned.has(pfn) ? -EHWPOISON : owner === ABSENT ? -ENXIO : 0;
  equal(setHwpoison(model.phys, pfn), expected, `setHwpoison(${pfn})`);
  if (expected !== 0) return;
  model.poisoned.add(pfn);
  if (owner === FREE) model.owner[pfn] = POISONED;
}

function unpoisonStep(model: Naive, pfn: number): void {
  equal(unpoison(model.phys, pfn), model.poisoned.delete(pfn) ? 0 : -EBUSY, `unpoison(${pfn})`);
  if (model.owner[pfn] === POISONED) model.owner[pfn] = FREE;
}

/** Makes one call and compares what came of it. */
export function runStep(model: Naive, step: Step): void {
  const { phys, heads, owner } = model;
  const { op, pick, refs } = step;
  // Mostly a block there is, sometimes any frame.
  const wild = pick % 8 === 0 || heads.length === 0;
  const picked = wild ? undefined : heads[pick % heads.length]!;
  const pfn = picked === undefined ? pick % owner.length : picked.pfn + (picked.large ? pick % 2 ** picked.order : 0);
  const block = resolve(model, pfn);
  const before = model.calls % interval(model) === 0 ? snapshot(phys) : null;
  let expected = '';
  let got = '';
  model.calls++;
  switch (op) {
    case 'alloc':
    case 'allocNode':
      allocStep(model, step);
      break;
    case 'drain':
      drainPages(phys, pick % 4 === 0 ? undefined : pick % phys.cpus.length);
      break;
    case 'cpu':
      phys.cpu = phys.cpus[pick % phys.cpus.length]!;
      break;
    case 'free': {
      const at = pick % 3 === 0 ? pfn : (block?.pfn ?? pfn);
      const order = pick % 5 === 0 ? step.order : (block?.order ?? 0);
      expected = freeStep(model, at, order);
      got = refusal(() => freePages(phys, at, order));
      break;
    }
    case 'put':
      if (pfn < 2 || (block !== undefined && block.count > refs && block.count - refs < need(block))) break;
      expected = putStep(model, block, refs);
      got = refusal(() => putPage(phys, pfn, refs));
      break;
    case 'unpin':
      // Pins beyond those taken cannot be told from references of a small folio.
      if (block !== undefined && !block.large && block.pins < refs && block.count >= refs * 1024) break;
      if (pfn === phys.zeroPfn) break;
      expected = unpinStep(model, block, refs);
      got = refusal(() => gupPutFolio(phys, pfn, refs, FOLL_PIN));
      break;
    case 'get':
      if (pfn < 2) break;
      expected = block === undefined ? 'GET_FROM_ZERO' : '';
      if (block !== undefined) block.count += refs;
      got = refusal(() => getPage(phys, pfn, refs));
      break;
    case 'tryGet':
      if (pfn >= 2) equal(tryGetFolio(phys, pfn, refs), grabStep(model, block, refs, false), 'tryGetFolio');
      break;
    case 'grabGet':
      if (pfn < 2) break;
      equal(tryGrabFolio(phys, pfn, refs, FOLL_GET), grabStep(model, block, refs, false) ? 0 : -ENOMEM, 'FOLL_GET');
      break;
    case 'grabPin':
      if (pfn < 2) break;
      equal(tryGrabFolio(phys, pfn, refs, FOLL_PIN), grabStep(model, block, refs, true) ? 0 : -ENOMEM, 'FOLL_PIN');
      break;
    case 'fastPin':
      if (pfn >= 2) equal(tryGrabFolioFast(phys, pfn, refs, FOLL_PIN), grabStep(model, block, refs, true), 'fast pin');
      break;
    case 'addPin':
      // A small folio with 1024 references looks pinned.
      if (pfn < 2 || (block !== undefined && block.pins === 0 && block.count >= 1024)) break;
      expected = block !== undefined && block.pins > 0 ? '' : 'ADD_PIN_UNPINNED';
      if (expected === '') grabStep(model, block, 1, true);
      got = refusal(() => folioAddPin(phys, pfn));
      break;
    case 'map':
      if (block !== undefined) mapStep(model, block, pfn, false);
      break;
    case 'mapWhole':
      if (block?.large === true) mapStep(model, block, pfn, true);
      break;
    case 'giveBack':
      if (block !== undefined) giveBack(model, block);
      break;
    case 'unmap':
      if (block !== undefined) got = unmapStep(model, block, pfn, false);
      break;
    case 'unmapWhole':
      if (block?.large === true) got = unmapStep(model, block, pfn, true);
      break;
    case 'splitPage':
      if (pfn < 2) break;
      expected = block === undefined ? 'SPLIT_FREE' : block.large ? 'SPLIT_COMPOUND' : '';
      got = refusal(() => splitPage(phys, pfn));
      if (expected === '' && block !== undefined && block.order > 0) splitBlock(model, block);
      break;
    case 'poison':
      poisonStep(model, pfn);
      break;
    case 'unpoison':
      unpoisonStep(model, pick % 2 === 0 ? ([...model.poisoned][0] ?? pfn) : pfn);
      break;
  }
  equal(got, expected, `${op} on frame ${pfn}`);
  if (got !== '' && before !== null) expectSame(phys, before);
  const left = resolve(model, pfn);
  if (left !== undefined) compareBlock(model, left);
}

/** Single frames; all that was the block's is the first one's. */
function splitBlock(model: Naive, block: Block): void {
  forget(model, block);
  for (let i = 0; i < 2 ** block.order; i++) take(model, block.pfn + i, 0, false, i === 0 ? block.count : 1);
  const first = model.blocks.get(block.pfn)!;
  first.pins = block.pins;
  first.mapped = block.mapped;
}

function compareBlock(model: Naive, block: Block): void {
  const { phys } = model;
  const { pfn, large } = block;
  equal(pageOrder(phys, pfn), block.order, `order of ${pfn}`);
  equal(pageRefCount(phys, pfn), block.count, `references of ${pfn}`);
  equal(folioMapcount(phys, pfn), block.mapped, `mappings of ${pfn}`);
  equal(folioPincount(phys, pfn), large ? block.pins : 0, `pins of ${pfn}`);
  equal(folioMaybeDmaPinned(phys, pfn), large ? block.pins > 0 : block.count >= 1024, `maybeDmaPinned of ${pfn}`);
}

/** Every block and every counter is as the model says, and the state is consistent. */
export function compareAll(model: Naive): void {
  const { phys } = model;
  for (const block of model.heads) compareBlock(model, block);
  let free = 0;
  for (const owner of model.owner) if (owner === FREE) free++;
  equal(phys.freeFrames, free, 'freeFrames');
  equal(phys.numPoisoned, model.poisoned.size, 'numPoisoned');
  equal(phys.nrFollPinAcquired, model.acquired, 'nrFollPinAcquired');
  equal(phys.nrFollPinReleased, model.released, 'nrFollPinReleased');
  checkPhys(phys);
}

/** How many calls lie between two looks at the whole state: a walk of a large machine is worth more of them. */
export function interval(model: Naive): number {
  return model.owner.length <= 200 ? 8 : 256;
}

/** Drops all mappings, pins and references of a block; that frees it. */
function giveBack(model: Naive, block: Block): void {
  while (block.entire > 0) equal(unmapStep(model, block, block.pfn, true), '', 'unmap');
  for (let pfn = block.pfn; block.mapped > 0; pfn++) {
    while (block.mapped > 0 && model.phys.hot[pfn * 4 + HOT_MAPCOUNT]! > 0) unmapStep(model, block, pfn, false);
  }
  if (block.pins > 0) {
    gupPutFolio(model.phys, block.pfn, block.pins, FOLL_PIN);
    unpinStep(model, block, block.pins);
  }
  if (block.count === 0) return;
  putPage(model.phys, block.pfn, block.count);
  putStep(model, block, block.count);
}

/** Gives everything back: each frame that was there at first is free again. */
export function giveAllBack(model: Naive): void {
  for (const block of model.heads.slice()) giveBack(model, block);
  for (const pfn of model.poisoned) {
    unpoison(model.phys, pfn);
    model.owner[pfn] = FREE;
  }
  model.poisoned.clear();
  drainPages(model.phys);
  compareAll(model);
}
