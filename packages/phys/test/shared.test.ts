/**
 * Sharing: references and pins are taken and dropped by several threads and the owner without loss. Each atomic change
 * is shown to matter by the same run on the package with a plain one in its place.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { FOLL_GET, FOLL_PIN } from '@mmkit/base';
import { describe, expect, it, vi } from 'vitest';
import {
  allocPages,
  checkPhys,
  createPhys,
  folioPincount,
  freePages,
  GFP_COMP,
  HOT_FLAGS,
  HOT_REFCOUNT,
  pageRefCount,
} from '../src/index.ts';
import { attachPhys, getPage, putPage, reapShared, sharePhys, tryGrabFolioFast, unpinFolio } from '../src/shared.ts';
import { CONTROL_WORDS, GOOD, LOST, type Replacement, type Side, STOP } from './shared-worker.ts';
import { refusal } from './support.ts';

const THREADS = 3;
const MANY_ROUNDS = 100;
/** A busy machine takes long; a run ends as soon as it has seen enough. */
const LIMIT_MS = 100_000;
const TIMEOUT = LIMIT_MS + 20_000;
/** A round takes some milliseconds; a lost count may leave a list that never ends. */
const STALLED_MS = 20_000;

/** Runs the threads until something is lost, for `rounds` rounds, or for LIMIT_MS. */
async function run(rounds: number, replacements: readonly Replacement[]): Promise<{ loss: string; good: number }> {
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  const workers: Worker[] = [];
  let loss = '';
  let failed: unknown;
  const start = (index: number, handle: Side['handle']): void => {
    const worker = new Worker(new URL('shared-worker.ts', import.meta.url), {
      workerData: { index, handle, threads: THREADS, replacements, control } satisfies Side,
      execArgv: ['--conditions=@mmkit/source'],
    });
    workers.push(worker);
    worker.on('error', (error) => {
      failed ??= error;
    });
    worker.on('message', (message: string | NonNullable<Side['handle']>) => {
      if (typeof message === 'string') loss = message;
      else for (let i = 1; i < THREADS; i++) start(i, message);
    });
  };
  start(0, null);
  const limit = Date.now() + LIMIT_MS;
  let good = 0;
  let last = Date.now();
  while (failed === undefined && loss === '' && good < rounds && Date.now() < limit) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
    if (good !== control[GOOD] || good === 0) last = Date.now();
    good = control[GOOD]!;
    if (Date.now() - last > STALLED_MS) loss = 'a round that never ends';
  }
  Atomics.store(control, STOP, 1);
  const clean = failed === undefined && loss === '';
  await Promise.all(workers.map((worker) => (clean ? once(worker, 'exit') : worker.terminate())));
  if (failed !== undefined) throw failed;
  if (loss === '' && control[LOST] !== 0) loss = 'a loss in the last round';
  return { loss, good };
}

/** `words[at] = value`, some time after `words[at]` was read as `name`. */
function plain(name: string, words: string, at: string, value: string): string {
  return `const ${name} = ${words}[${at}]!; for (let i = 0; i < 20; i++) Atomics.load(${words}, 0); ${words}[${at}] = ${value};`;
}

const REFS = '/src/shared-refs.ts';
const PHYS = '/src/shared-phys.ts';

/** Where the package changes a shared word, and what a plain change would be. */
const PLACES: readonly (Replacement & { what: string })[] = [
  {
    what: 'taking references',
    file: REFS,
    line: 'const seen = Atomics.compareExchange(words, at, count, count + more);',
    text: `${plain('now', 'words', 'at', 'now + more')} const seen = count;`,
  },
  {
    what: 'dropping references',
    file: REFS,
    line: 'const seen = Atomics.compareExchange(hot, at, count, count - refs);',
    text: `${plain('seen', 'hot', 'at', 'seen - refs')} count = seen; break;`,
  },
  {
    what: 'pinning a large folio',
    file: REFS,
    line: 'Atomics.add(cold, tailWord(head, TAIL_PINCOUNT), refs);',
    text: `{ ${plain('pins', 'cold', 'tailWord(head, TAIL_PINCOUNT)', 'pins + refs')} }`,
  },
  {
    what: 'unpinning a large folio',
    file: REFS,
    line: 'const seen = Atomics.compareExchange(cold, at, pins, pins - refs);',
    text: `${plain('seen', 'cold', 'at', 'seen - refs')} break;`,
  },
  {
    what: 'counting pins taken',
    file: REFS,
    line: 'Atomics.add(sharing, SHARED_ACQUIRED, refs);',
    text: `{ ${plain('pins', 'sharing', 'SHARED_ACQUIRED', 'pins + refs')} }`,
  },
  {
    what: 'counting pins dropped',
    file: REFS,
    line: 'Atomics.add(view.sharing, SHARED_RELEASED, refs);',
    text: plain('pins', 'view.sharing', 'SHARED_RELEASED', 'pins + refs'),
  },
  {
    what: 'collecting pins taken',
    file: PHYS,
    line: 'phys.nrFollPinAcquired += Atomics.exchange(sharing, SHARED_ACQUIRED, 0) >>> 0;',
    text: `${plain('taken', 'sharing', 'SHARED_ACQUIRED', '0')} phys.nrFollPinAcquired += taken;`,
  },
  {
    what: 'collecting pins dropped',
    file: PHYS,
    line: 'phys.nrFollPinReleased += Atomics.exchange(sharing, SHARED_RELEASED, 0) >>> 0;',
    text: `${plain('dropped', 'sharing', 'SHARED_RELEASED', '0')} phys.nrFollPinReleased += dropped;`,
  },
  {
    what: 'putting a block on the list',
    file: PHYS,
    line: 'const seen = Atomics.compareExchange(sharing, SHARED_FREED, first, pfn);',
    text: `${plain('now', 'sharing', 'SHARED_FREED', 'pfn')} const seen = first;`,
  },
  {
    what: 'taking the list',
    file: PHYS,
    line: 'let pfn = Atomics.exchange(sharing, SHARED_FREED, 0);',
    text: `${plain('taken', 'sharing', 'SHARED_FREED', '0')} let pfn = taken;`,
  },
];

describe('three threads that share a machine', () => {
  it(
    'take and drop references and pins, and free blocks, without loss',
    async () => {
      const { loss, good } = await run(MANY_ROUNDS, []);
      expect(loss).toBe('');
      expect(good).toBeGreaterThanOrEqual(MANY_ROUNDS);
    },
    TIMEOUT,
  );

  it.each(PLACES)(
    'lose some where $what is a plain change',
    async (place) => {
      const { loss } = await run(Infinity, [place]);
      expect(loss).not.toBe('');
    },
    TIMEOUT,
  );
});

describe('B.7: a grab looks again whether the page still belongs to the folio', () => {
  /**
   * Grabs a page of a folio of two that another thread splits before the count is changed: the counts of both pages.
   */
  function grabWhileSplit(page: number, refsOfTail: number, flags: number): { got: boolean; counts: number[] } {
    const phys = createPhys({ frames: 64, shared: true });
    const pfn = allocPages(phys, GFP_COMP, 1);
    const { compareExchange } = Atomics;
    vi.spyOn(Atomics, 'compareExchange').mockImplementationOnce((...args) => {
      for (const frame of [pfn, pfn + 1]) phys.hot[frame * 4 + HOT_FLAGS] = 0;
      phys.hot[(pfn + 1) * 4 + HOT_REFCOUNT] = refsOfTail;
      return Reflect.apply(compareExchange, Atomics, args);
    });
    const got = tryGrabFolioFast(attachPhys(sharePhys(phys)), pfn + page, 1, flags);
    vi.restoreAllMocks();
    return { got, counts: [pageRefCount(phys, pfn), pageRefCount(phys, pfn + 1)] };
  }

  it('split meanwhile: the reference goes to the page’s new folio', () => {
    expect(grabWhileSplit(1, 1, FOLL_GET)).toEqual({ got: true, counts: [1, 2] });
    expect(grabWhileSplit(1, 1, FOLL_PIN)).toEqual({ got: true, counts: [1, 1025] });
  });

  it('and freed: no reference', () => {
    expect(grabWhileSplit(1, 0, FOLL_GET)).toEqual({ got: false, counts: [1, 0] });
  });

  it('the head of a folio that became small: its pin counts 1024', () => {
    expect(grabWhileSplit(0, 1, FOLL_PIN)).toEqual({ got: true, counts: [1025, 1] });
  });
});

describe('sharePhys, reapShared', () => {
  it('a machine that is not shared is refused', () => {
    expect(refusal(() => sharePhys(createPhys({ frames: 64 })))).toBe('RangeError');
  });

  it('a handle is what a thread can be sent, and every view of it is the same machine', () => {
    const phys = createPhys({ frames: 64, shared: true });
    const pfn = allocPages(phys, 0, 0);
    const views = [attachPhys(sharePhys(phys)), attachPhys(structuredClone(sharePhys(phys)))];
    for (const view of views) getPage(view, pfn);
    expect(pageRefCount(phys, pfn)).toBe(3);
  });

  it('the last reference leaves the block as it is, with count 0, to the owner', () => {
    const phys = createPhys({ frames: 64, shared: true });
    const view = attachPhys(sharePhys(phys));
    const small = allocPages(phys, 0, 0);
    const large = allocPages(phys, GFP_COMP, 2);
    tryGrabFolioFast(view, large, 2, FOLL_PIN);
    for (const pfn of [small, large]) putPage(view, pfn);
    expect(folioPincount(phys, large)).toBe(2);
    unpinFolio(view, large + 1, 2);
    expect([phys.freeFrames, pageRefCount(phys, small), pageRefCount(phys, large)]).toEqual([57, 0, 0]);
    expect(refusal(() => getPage(view, small))).toBe('GET_FROM_ZERO');
    expect(tryGrabFolioFast(view, large + 1, 1, FOLL_PIN)).toBe(false);
    expect([phys.nrFollPinAcquired, phys.nrFollPinReleased]).toEqual([0, 0]);
    expect(reapShared(phys)).toBe(2);
    expect([phys.freeFrames, phys.nrFollPinAcquired, phys.nrFollPinReleased]).toEqual([62, 2, 2]);
    expect(reapShared(phys)).toBe(0);
    checkPhys(phys);
  });

  it('a block that cannot be freed stays on the list with those behind it', () => {
    const phys = createPhys({ frames: 64, shared: true });
    const view = attachPhys(sharePhys(phys));
    const first = allocPages(phys, 0, 0);
    const block = allocPages(phys, 0, 1);
    phys.hot[(block + 1) * 4 + HOT_REFCOUNT] = 1;
    for (const pfn of [first, block]) putPage(view, pfn);
    expect(refusal(() => reapShared(phys))).toBe('FREE_REFERENCED');
    expect(phys.freeFrames).toBe(59);
    phys.hot[(block + 1) * 4 + HOT_REFCOUNT] = 0;
    expect(reapShared(phys)).toBe(2);
    expect(phys.freeFrames).toBe(62);
    checkPhys(phys);
  });

  it('the owner frees what nobody else has with the plain entry', () => {
    const phys = createPhys({ frames: 64, shared: true });
    freePages(phys, allocPages(phys, 0, 3), 3);
    expect(phys.freeFrames).toBe(62);
  });
});
