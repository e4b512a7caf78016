/**
 * One thread of the stress test: the owner, which makes the machine, allocates and frees, or another that takes and
 * drops references to the same frames. It loads the package with some of its text replaced, so that the same threads
 * run on the package as it is and on one with a plain change in place of an atomic one.
 *
 * In each round every thread takes and drops references and pins of two folios that all share, and drops one reference
 * of each block in the mailbox, where the owner put one for each thread. Afterwards nothing may be left or missing.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import type { Phys } from '@mmkit/phys';
import type { PhysHandle, SharedPhys } from '@mmkit/phys/shared';

/** `line`, which stands once in the file whose path ends in `file`, becomes `text`. */
export interface Replacement {
  readonly file: string;
  readonly line: string;
  readonly text: string;
}

/** Words of `control`: the round that runs, 0 = none yet. */
export const ROUND = 0;
/** Threads, but for the owner, that are through with it. */
export const DONE = 1;
/** 1: no further round; the owner tells the others. */
export const STOP = 2;
/** 1: something was lost, or counted twice. */
export const LOST = 3;
/** Rounds without loss. */
export const GOOD = 4;
/** The folios all share: a small one, a large one. */
const SMALL = 5;
const LARGE = 6;
/** The blocks of a round. */
const MAILBOX = 7;
const BLOCKS = 96;
export const CONTROL_WORDS = MAILBOX + BLOCKS;

/** What a thread is started with. */
export interface Side {
  /** null: the owner, which posts the handle. */
  readonly handle: PhysHandle | null;
  /** Which thread: the owner is 0. */
  readonly index: number;
  /** How many threads take part, the owner too. */
  readonly threads: number;
  readonly replacements: readonly Replacement[];
  readonly control: Int32Array;
}

const FRAMES = 1024;
const ORDER = 2;
/** Grabs of a thread in a round. */
const TURNS = 400;
/** What it drops of each thing it grabbed. */
const PINS = 3;

type Package = typeof import('@mmkit/phys');
type Shared = typeof import('@mmkit/phys/shared');

/** Loads the package with the replacements made. */
async function load(replacements: readonly Replacement[]): Promise<[Package, Shared]> {
  const missing = new Set(replacements);
  registerHooks({
    load(url, context, next) {
      const here = replacements.filter(({ file }) => url.endsWith(file));
      if (here.length === 0) return next(url, context);
      let source = readFileSync(new URL(url), 'utf8');
      for (const replacement of here) {
        if (source.split(replacement.line).length !== 2) throw new Error(`${url}: not once: ${replacement.line}`);
        source = source.replace(replacement.line, () => replacement.text);
        missing.delete(replacement);
      }
      return { format: 'module-typescript', source, shortCircuit: true };
    },
  });
  const phys = await import('@mmkit/phys');
  const shared = await import('@mmkit/phys/shared');
  if (missing.size > 0) throw new Error('a replacement was not made');
  return [phys, shared];
}

/** One thread's part of a round. `between` is what the owner does meanwhile. */
function takePart(base: Shared, view: SharedPhys, { index, threads, control }: Side, between: () => void): void {
  const { getPage, gupPutFolio, putPage, tryGrabFolio, tryGrabFolioFast, unpinFolio, folioAddPin } = base;
  const pin = 0x8_0000;
  for (let turn = 0; turn < TURNS; turn++) {
    for (const pfn of [control[SMALL]!, control[LARGE]! + (turn % (1 << ORDER))]) {
      getPage(view, pfn, 2);
      if (!tryGrabFolioFast(view, pfn, PINS - 1, pin)) throw new Error('not pinned');
      folioAddPin(view, pfn);
      putPage(view, pfn);
      gupPutFolio(view, pfn, 1, pin);
      if (tryGrabFolio(view, pfn, 1, pin) !== 0) throw new Error('not pinned');
      putPage(view, pfn);
      unpinFolio(view, pfn, PINS);
    }
    between();
    // Each begins elsewhere, so that all come to drop last references at a time.
    const block = turn / 4 + (index * BLOCKS) / threads;
    if (turn % 4 === 0 && turn / 4 < BLOCKS) putPage(view, control[MAILBOX + (block % BLOCKS)]!);
  }
}

/** Pins a thread takes, and drops, in a round. */
const ROUND_PINS = TURNS * 2 * (PINS + 1);

/** Runs rounds until told to stop, or until something was lost. */
function own(base: Package, shared: Shared, side: Side): void {
  const { threads, control } = side;
  const phys = base.createPhys({ frames: FRAMES, shared: true });
  const view = shared.attachPhys(shared.sharePhys(phys));
  control[SMALL] = base.allocPages(phys, 0, 0);
  control[LARGE] = base.allocPages(phys, base.GFP_COMP, ORDER);
  parentPort!.postMessage(shared.sharePhys(phys));
  const free = phys.freeFrames;
  for (let round = 1; Atomics.load(control, STOP) === 0 && Atomics.load(control, LOST) === 0; round++) {
    for (let i = 0; i < BLOCKS; i++) {
      const pfn = base.allocPages(phys, base.GFP_COMP, i % 3);
      base.getPage(phys, pfn, threads - 1);
      control[MAILBOX + i] = pfn;
    }
    Atomics.store(control, DONE, 0);
    Atomics.store(control, ROUND, round);
    Atomics.notify(control, ROUND);
    guard(control, () => takePart(shared, view, side, () => shared.reapShared(phys)));
    while (Atomics.load(control, DONE) < threads - 1) guard(control, () => shared.reapShared(phys));
    guard(control, () => checkRound(base, shared, phys, control, free, round * threads * ROUND_PINS));
    if (Atomics.load(control, LOST) === 0) Atomics.add(control, GOOD, 1);
  }
  Atomics.store(control, STOP, 1);
  Atomics.store(control, ROUND, -1);
  Atomics.notify(control, ROUND);
}

/** Throws unless all is as it was before the first round, and `pins` were taken and dropped. */
function checkRound(base: Package, shared: Shared, phys: Phys, control: Int32Array, free: number, pins: number): void {
  shared.reapShared(phys);
  const found = [
    base.pageRefCount(phys, control[SMALL]!),
    base.pageRefCount(phys, control[LARGE]!),
    base.folioPincount(phys, control[LARGE]!),
    phys.freeFrames,
    phys.nrFollPinAcquired,
    phys.nrFollPinReleased,
  ].join();
  const expected = [1, 1, 0, free, pins, pins].join();
  if (found !== expected) throw new Error(`expected ${expected}, found ${found}`);
  base.checkPhys(phys);
}

/** A thread that is not the owner: takes part in each round once. */
function visit(shared: Shared, view: SharedPhys, side: Side): void {
  const { control } = side;
  for (let round = 1; ; round++) {
    Atomics.wait(control, ROUND, round - 1);
    if (Atomics.load(control, ROUND) !== round) return;
    guard(control, () => takePart(shared, view, side, () => undefined));
    Atomics.add(control, DONE, 1);
  }
}

/** What throws because of a lost count is a loss. */
function guard(control: Int32Array, call: () => void): void {
  try {
    call();
  } catch (error) {
    if (Atomics.exchange(control, LOST, 1) === 0) parentPort!.postMessage(String(error));
  }
}

async function run(side: Side): Promise<void> {
  const [base, shared] = await load(side.replacements);
  if (side.handle === null) own(base, shared, side);
  else visit(shared, shared.attachPhys(side.handle), side);
}

if (workerData !== null) await run(workerData);
