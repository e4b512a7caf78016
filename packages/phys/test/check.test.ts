import { FOLL_PIN } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  checkPhys,
  COLD_NEXT,
  COLD_PREV,
  createPhys,
  drainPages,
  freePages,
  frameWordIndex,
  frameWords,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  HOT_REFCOUNT,
  PG_BUDDY,
  PG_DIRTY,
  PG_PCP,
  putPage,
  setFlag,
  tryGrabFolio,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { expectRefused, snapshot } from './support.ts';

/** Frames 2 (used, one pin), 3 and 4 (single, free), 5 (used), 6.. (free blocks of orders 1 and 3). */
function machine(): Phys {
  const phys = createPhys({ frames: 64 });
  for (let pfn = 2; pfn < 6; pfn++) expect(allocPages(phys, 0, 0)).toBe(pfn);
  const block = allocPages(phys, 0, 3);
  freePages(phys, 4, 0);
  freePages(phys, 3, 0);
  freePages(phys, block, 3);
  tryGrabFolio(phys, 2, 1, FOLL_PIN);
  checkPhys(phys);
  return phys;
}

/** Breakage → code of checkPhys. */
const BROKEN: readonly (readonly [string, string, (phys: Phys) => void])[] = [
  [
    'freeFrames too small',
    'BAD_COUNT',
    (phys) => {
      phys.freeFrames--;
    },
  ],
  [
    'a list whose bit is clear',
    'BAD_LIST',
    (phys) => {
      phys.freeOrders &= ~(1 << 3);
    },
  ],
  [
    'a bit whose list is empty',
    'BAD_LIST',
    (phys) => {
      phys.freeOrders |= 1 << 9;
    },
  ],
  [
    'a block on the wrong list',
    'BAD_LIST',
    (phys) => {
      phys.hot[8 * 4 + HOT_FLAGS] = PG_BUDDY;
    },
  ],
  [
    'a negative link',
    'BAD_LIST',
    (phys) => {
      phys.freeHeads[3] = -8;
    },
  ],
  [
    'a list that loops',
    'BAD_LIST',
    (phys) => {
      phys.cold[8 * 4 + COLD_NEXT] = 8;
    },
  ],
  [
    'a wrong back link',
    'BAD_LIST',
    (phys) => {
      phys.cold[8 * 4 + COLD_PREV] = 6;
    },
  ],
  [
    'a block lost from its list',
    'BAD_LIST',
    (phys) => {
      phys.freeHeads[3] = 0;
      phys.freeOrders &= ~(1 << 3);
    },
  ],
  [
    'a used frame among the single ones',
    'BAD_LIST',
    (phys) => {
      phys.hot[3 * 4 + HOT_FLAGS] = 0;
    },
  ],
  [
    'a loop of single frames',
    'BAD_LIST',
    (phys) => {
      phys.cold[4 * 4 + COLD_NEXT] = 3;
    },
  ],
  [
    'a single frame lost',
    'BAD_LIST',
    (phys) => {
      phys.cold[3 * 4 + COLD_NEXT] = 0;
    },
  ],
  [
    'a single frame in none of the lists',
    'BAD_LIST',
    (phys) => {
      phys.hot[5 * 4 + HOT_FLAGS] = PG_PCP;
      phys.hot[20] = 0;
    },
  ],
  [
    'a free frame with a reference',
    'BAD_FREE',
    (phys) => {
      phys.hot[8 * 4 + HOT_REFCOUNT] = 1;
    },
  ],
  [
    'a free frame that is mapped',
    'BAD_FREE',
    (phys) => {
      phys.hot[9 * 4 + HOT_MAPCOUNT] = 1;
    },
  ],
  [
    'a free frame with an owner',
    'BAD_FREE',
    (phys) => {
      phys.hot[3 * 4 + HOT_OWNER] = 5;
    },
  ],
  [
    'a free frame with flags',
    'BAD_FREE',
    (phys) => {
      phys.hot[10 * 4 + HOT_FLAGS] = PG_DIRTY;
    },
  ],
  [
    'a block not aligned',
    'BAD_FREE',
    (phys) => {
      phys.hot[2 * 4 + HOT_FLAGS] = 2 << 28;
    },
  ],
  [
    'a block beyond the frontier',
    'BAD_FREE',
    (phys) => {
      phys.frontier = 12;
      phys.freeHeads[3] = 0;
      phys.freeOrders = 2;
    },
  ],
  [
    'a used frame without references',
    'BAD_COUNT',
    (phys) => {
      phys.hot[5 * 4 + HOT_REFCOUNT] = 0;
    },
  ],
  [
    'E.3 #4: fewer references than mappings',
    'BAD_COUNT',
    (phys) => {
      phys.hot[5 * 4 + HOT_MAPCOUNT] = 2;
    },
  ],
  [
    'a negative map count',
    'BAD_COUNT',
    (phys) => {
      phys.hot[5 * 4 + HOT_MAPCOUNT] = -1;
    },
  ],
  [
    'E.3 #11: a pin counted but not there',
    'BAD_COUNT',
    (phys) => {
      phys.nrFollPinAcquired++;
    },
  ],
  [
    'E.3 #11: more pins released than acquired',
    'BAD_COUNT',
    (phys) => {
      phys.nrFollPinReleased = 2;
    },
  ],
  [
    'E.3 #8: the zero page dirty',
    'BAD_ZERO_PAGE',
    (phys) => {
      setFlag(phys, phys.zeroPfn, PG_DIRTY);
    },
  ],
  [
    'E.3 #8: the zero page written',
    'BAD_ZERO_PAGE',
    (phys) => {
      frameWords(phys, 1)[frameWordIndex(phys, 1) + 1023] = 1;
    },
  ],
];

describe('checkPhys', () => {
  it.each(BROKEN)('finds %s', (_, code, breakIt) => {
    const phys = machine();
    breakIt(phys);
    expectRefused(phys, code, () => checkPhys(phys));
  });

  it('E.3 #15: finds two free buddies that are not merged', () => {
    const phys = createPhys({ frames: 64 });
    const block = allocPages(phys, 0, 2);
    freePages(phys, block, 2);
    const at = block * 4;
    phys.hot[at + HOT_FLAGS] = PG_BUDDY | (1 << 28);
    phys.hot[at + 8 + HOT_FLAGS] = PG_BUDDY | (1 << 28);
    phys.freeHeads[2] = 0;
    phys.freeOrders = 2;
    phys.cold[2 * 4 + COLD_NEXT] = block;
    phys.cold[at + COLD_PREV] = 2;
    phys.cold[at + COLD_NEXT] = block + 2;
    phys.cold[at + 8 + COLD_PREV] = block;
    expectRefused(phys, 'BAD_FREE', () => checkPhys(phys));
  });

  it('accepts mappings of the zero page, which are not counted, and 1024 plain references', () => {
    const phys = machine();
    phys.hot[phys.zeroPfn * 4 + HOT_MAPCOUNT] = 5;
    phys.hot[5 * 4 + HOT_REFCOUNT] = 5000;
    checkPhys(phys);
  });

  it('changes nothing', () => {
    const phys = machine();
    putPage(phys, 5);
    drainPages(phys);
    const before = snapshot(phys);
    checkPhys(phys);
    expect(snapshot(phys)).toEqual(before);
  });
});
