import { ENOMEM } from '@mmkit/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { VmaTree } from '../src/index.ts';
import {
  STACK_GUARD_GAP,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_READ,
  VM_SEALED,
  VM_WRITE,
  Vma,
  checkVmaTree,
  createVmaTree,
  eraseVma,
  findVma,
  findVmaIntersection,
  insertVma,
  mapCountAllows,
  nextVma,
  prevVma,
  resizeVma,
  splitVma,
  startGap,
  unmappedArea,
  vmaIsAccessible,
  vmaIsAnonymous,
  vmaLookup,
  vmasIn,
} from '../src/index.ts';
import { codeOf, naiveHoles } from './naive.ts';

const PAGE = 4096;
const BASE = 0x7f00_0000_0000;

/** A VMA of pages [from, to) above BASE. */
function vmaOf(from: number, to: number): Vma {
  return new Vma(BASE + from * PAGE, BASE + to * PAGE, VM_READ | VM_WRITE, from);
}

/** Three VMAs: pages 0–3, 8–9 and 10–19. */
function small(): { tree: VmaTree; a: Vma; b: Vma; c: Vma } {
  const tree = createVmaTree();
  const [a, b, c] = [vmaOf(0, 4), vmaOf(8, 10), vmaOf(10, 20)];
  for (const vma of [c, a, b]) insertVma(tree, vma);
  return { tree, a, b, c };
}

/** Everything that may not change when a call is refused. */
function state(tree: VmaTree): unknown[] {
  checkVmaTree(tree);
  return vmasIn(tree, 0, 2 ** 47).map((v) => [v, v.start, v.end, v.flags, v.pgoff, v.file, v.anonVma, v.tree === tree]);
}

describe('finding VMAs', () => {
  it('find_vma: the first VMA that ends above the address, whether or not it contains it', () => {
    const { tree, a, b, c } = small();
    expect(findVma(tree, 0)).toBe(a);
    expect(findVma(tree, a.end - 1)).toBe(a);
    expect(findVma(tree, a.end)).toBe(b);
    expect(findVma(tree, b.end)).toBe(c);
    expect(findVma(tree, c.end)).toBe(null);
  });

  it('vma_lookup: only the VMA that contains the address, to the byte', () => {
    const { tree, a, b } = small();
    expect(vmaLookup(tree, a.start)).toBe(a);
    expect(vmaLookup(tree, a.start - 1)).toBe(null);
    expect(vmaLookup(tree, a.end - 1)).toBe(a);
    expect(vmaLookup(tree, a.end)).toBe(null);
    expect(vmaLookup(tree, b.start - 1)).toBe(null);
  });

  it('find_vma_intersection: the first VMA with a byte in [start, end)', () => {
    const { tree, a, b } = small();
    expect(findVmaIntersection(tree, 0, a.start)).toBe(null);
    expect(findVmaIntersection(tree, 0, a.start + 1)).toBe(a);
    expect(findVmaIntersection(tree, a.end, b.start)).toBe(null);
    expect(findVmaIntersection(tree, a.end, b.start + 1)).toBe(b);
  });

  it('next, previous and the list of a span are in address order', () => {
    const { tree, a, b, c } = small();
    expect([nextVma(tree, a), nextVma(tree, b), nextVma(tree, c)]).toEqual([b, c, null]);
    expect([prevVma(tree, a), prevVma(tree, b), prevVma(tree, c)]).toEqual([null, a, b]);
    expect(vmasIn(tree, a.end - 1, c.start + 1)).toEqual([a, b, c]);
    expect(vmasIn(tree, a.end, c.start)).toEqual([b]);
    expect(vmasIn(tree, 0, a.start)).toEqual([]);
  });

  it('an address that is not a safe integer of 0 or more throws RangeError', () => {
    const { tree } = small();
    for (const bad of [-1, 0.5, NaN, 2 ** 53, Infinity]) {
      expect(codeOf(() => findVma(tree, bad))).toBe('RangeError');
      expect(codeOf(() => vmaLookup(tree, bad))).toBe('RangeError');
      expect(codeOf(() => findVmaIntersection(tree, bad, 1))).toBe('RangeError');
      expect(codeOf(() => findVmaIntersection(tree, 0, bad))).toBe('RangeError');
      expect(codeOf(() => vmasIn(tree, bad, 1))).toBe('RangeError');
      expect(codeOf(() => vmasIn(tree, 0, bad))).toBe('RangeError');
    }
  });
});

describe('insertVma and eraseVma', () => {
  it('an overlapping VMA throws VMA_OVERLAP and changes nothing', () => {
    const { tree } = small();
    const before = state(tree);
    for (const [from, to] of [
      [0, 1],
      [3, 5],
      [4, 9],
      [0, 20],
      [19, 30],
      [9, 11],
    ] as const) {
      const vma = vmaOf(from, to);
      expect(codeOf(() => insertVma(tree, vma))).toBe('VMA_OVERLAP');
      expect(vma.tree).toBe(null);
    }
    expect(state(tree)).toEqual(before);
  });

  it('a VMA is in one tree at most: VMA_ATTACHED', () => {
    const { tree, a } = small();
    expect(codeOf(() => insertVma(tree, a))).toBe('VMA_ATTACHED');
    expect(codeOf(() => insertVma(createVmaTree(), a))).toBe('VMA_ATTACHED');
    eraseVma(tree, a);
    insertVma(createVmaTree(), a);
  });

  it('bounds empty, off the page or above taskSize, and a bad pgoff, throw RangeError and change nothing', () => {
    const { tree } = small();
    const before = state(tree);
    const top = 2 ** 47;
    for (const [start, end, pgoff] of [
      [PAGE, PAGE, 0],
      [PAGE, 0, 0],
      [1, PAGE, 0],
      [0, PAGE + 1, 0],
      [-PAGE, PAGE, 0],
      [top - PAGE, top + PAGE, 0],
      [NaN, PAGE, 0],
      [0, PAGE, -1],
      [0, PAGE, 0.5],
    ] as const) {
      expect(codeOf(() => insertVma(tree, new Vma(start, end, 0, pgoff)))).toBe('RangeError');
    }
    expect(state(tree)).toEqual(before);
    insertVma(tree, new Vma(top - PAGE, top, 0, 0));
  });

  it('a VMA that is not in the tree cannot be erased, split or stepped from: VMA_ABSENT', () => {
    const { tree, a, b } = small();
    eraseVma(tree, a);
    const before = state(tree);
    const elsewhere = vmaOf(8, 10);
    insertVma(createVmaTree(), elsewhere);
    for (const vma of [a, vmaOf(8, 10), elsewhere]) {
      expect(codeOf(() => eraseVma(tree, vma))).toBe('VMA_ABSENT');
      expect(codeOf(() => splitVma(tree, vma, vma.start + PAGE))).toBe('VMA_ABSENT');
      expect(codeOf(() => nextVma(tree, vma))).toBe('VMA_ABSENT');
      expect(codeOf(() => prevVma(tree, vma))).toBe('VMA_ABSENT');
    }
    expect(state(tree)).toEqual(before);
    expect(vmaLookup(tree, b.start)).toBe(b);
  });

  it('mapCount counts the VMAs; N.16: vm.max_map_count is 65530', () => {
    const { tree, a } = small();
    expect([tree.mapCount, tree.maxMapCount]).toEqual([3, 65530]);
    tree.maxMapCount = 4;
    expect([mapCountAllows(tree, 1), mapCountAllows(tree, 2)]).toEqual([true, false]);
    eraseVma(tree, a);
    expect([tree.mapCount, mapCountAllows(tree, 2)]).toEqual([2, true]);
  });
});

describe('splitVma', () => {
  it('N.16: the upper half is new, has the same flags, file and anonVma, and pgoff further on', () => {
    const tree = createVmaTree();
    const file = {};
    const anonVma = {};
    const vma = new Vma(BASE, BASE + 8 * PAGE, VM_READ | VM_EXEC, 100, file, anonVma);
    insertVma(tree, vma);
    vma.anonChain = 3;
    vma.flagsHigh = VM_SEALED | 0;
    const upper = splitVma(tree, vma, BASE + 3 * PAGE);
    expect([upper.anonChain, upper.flagsHigh]).toEqual([3, VM_SEALED | 0]);
    expect([vma.start, vma.end, vma.pgoff]).toEqual([BASE, BASE + 3 * PAGE, 100]);
    expect([upper.start, upper.end, upper.pgoff]).toEqual([BASE + 3 * PAGE, BASE + 8 * PAGE, 103]);
    expect(upper.flags).toBe(VM_READ | VM_EXEC);
    expect(upper.file).toBe(file);
    expect(upper.anonVma).toBe(anonVma);
    expect(vmasIn(tree, 0, 2 ** 47)).toEqual([vma, upper]);
    expect([nextVma(tree, vma), prevVma(tree, upper), tree.mapCount]).toEqual([upper, vma, 2]);
    checkVmaTree(tree);
  });

  it('an address at or outside the bounds throws VMA_SPLIT, one off the page RangeError; nothing changes', () => {
    const { tree, b } = small();
    const before = state(tree);
    for (const address of [b.start, b.end, b.start - PAGE, b.end + PAGE, 0]) {
      expect(codeOf(() => splitVma(tree, b, address))).toBe('VMA_SPLIT');
    }
    for (const address of [b.start + 1, b.start + PAGE / 2, NaN, -PAGE]) {
      expect(codeOf(() => splitVma(tree, b, address))).toBe('RangeError');
    }
    expect(state(tree)).toEqual(before);
  });
});

describe('unmappedArea', () => {
  it('the lowest or the highest free area inside the limits', () => {
    const { tree } = small();
    const limits = { low: BASE, high: BASE + 32 * PAGE };
    expect(unmappedArea(tree, 4 * PAGE, limits)).toBe(BASE + 4 * PAGE);
    expect(unmappedArea(tree, 5 * PAGE, limits)).toBe(BASE + 20 * PAGE);
    expect(unmappedArea(tree, 4 * PAGE, { ...limits, topDown: true })).toBe(BASE + 28 * PAGE);
    expect(unmappedArea(tree, 4 * PAGE, { ...limits, high: BASE + 20 * PAGE, topDown: true })).toBe(BASE + 4 * PAGE);
  });

  it('no room is -ENOMEM; limits are rounded inwards to pages', () => {
    const { tree } = small();
    expect(unmappedArea(tree, 4 * PAGE, { low: BASE, high: BASE + 20 * PAGE })).toBe(BASE + 4 * PAGE);
    expect(unmappedArea(tree, 5 * PAGE, { low: BASE, high: BASE + 20 * PAGE })).toBe(-ENOMEM);
    expect(unmappedArea(tree, 4 * PAGE, { low: BASE + 4 * PAGE + 1, high: BASE + 20 * PAGE })).toBe(-ENOMEM);
    expect(unmappedArea(tree, 4 * PAGE, { low: BASE, high: BASE + 8 * PAGE - 1, topDown: true })).toBe(-ENOMEM);
    expect(unmappedArea(tree, PAGE, { low: 2 * PAGE, high: PAGE })).toBe(-ENOMEM);
  });

  it('an aligned area needs a hole larger by align − pageSize, as in Linux', () => {
    const tree = createVmaTree();
    const huge = 2 ** 21;
    insertVma(tree, new Vma(0, huge, 0, 0));
    insertVma(tree, new Vma(2 * huge, 2 * huge + PAGE, 0, 0));
    for (const topDown of [false, true]) {
      expect(unmappedArea(tree, huge, { low: 0, high: 2 * huge, align: huge, topDown })).toBe(-ENOMEM);
      expect(unmappedArea(tree, PAGE, { low: 0, high: 2 * huge, align: huge, topDown })).toBe(huge);
    }
    expect(unmappedArea(tree, huge, { low: 0, high: 2 ** 40, align: huge })).toBe(3 * huge);
    expect(unmappedArea(tree, huge, { low: 0, high: 2 ** 40 + PAGE, align: huge, topDown: true })).toBe(2 ** 40 - huge);
  });

  it('A.3: the gap of a tree may be another: up to 4.11 there was none', () => {
    const tree = createVmaTree();
    const stack = new Vma(BASE, BASE + PAGE, VM_GROWSDOWN, 0);
    insertVma(tree, stack);
    tree.stackGuardGap = 2;
    expect([startGap(stack), unmappedArea(tree, PAGE, { low: 0, high: BASE, topDown: true })]).toEqual([
      BASE - 2 * PAGE,
      BASE - 3 * PAGE,
    ]);
    tree.stackGuardGap = 0;
    expect(unmappedArea(tree, PAGE, { low: 0, high: BASE, topDown: true })).toBe(BASE - PAGE);
  });

  it('FACTS-2 43: STACK_GUARD_GAP pages stay free below a VMA that grows down, whatever lies there', () => {
    const tree = createVmaTree();
    const gap = STACK_GUARD_GAP * PAGE;
    const stack = new Vma(BASE, BASE + PAGE, VM_GROWSDOWN, 0);
    expect(startGap(stack)).toBe(BASE);
    insertVma(tree, stack);
    expect([startGap(stack), STACK_GUARD_GAP]).toEqual([BASE - gap, 256]);
    const limits = { low: BASE - 2 * gap, high: BASE };
    expect(unmappedArea(tree, PAGE, { ...limits, topDown: true })).toBe(BASE - gap - PAGE);
    expect(unmappedArea(tree, gap, limits)).toBe(BASE - 2 * gap);
    for (const topDown of [true, false]) {
      expect(unmappedArea(tree, gap + PAGE, { ...limits, topDown })).toBe(-ENOMEM);
      // The gap may reach over what is there, or below 0.
      expect(unmappedArea(tree, PAGE, { low: BASE - gap, high: BASE, topDown })).toBe(-ENOMEM);
      expect(unmappedArea(tree, PAGE, { low: BASE - gap, high: BASE - PAGE, topDown })).toBe(-ENOMEM);
    }
    insertVma(tree, new Vma(BASE - 8 * PAGE, BASE - 4 * PAGE, 0, 0));
    const above = { low: BASE - 4 * PAGE, high: BASE + 4 * PAGE };
    expect(unmappedArea(tree, PAGE, above)).toBe(BASE + PAGE);
    // As measured: a search that has met the stack goes on below its gap, past room below another VMA.
    expect(unmappedArea(tree, PAGE, { ...limits, topDown: true })).toBe(BASE - gap - PAGE);
    const low = createVmaTree();
    const first = new Vma(PAGE, 2 * PAGE, VM_GROWSDOWN, 0);
    insertVma(low, first);
    expect(startGap(first)).toBe(0);
    expect(unmappedArea(low, PAGE, { low: 0, high: 2 * PAGE })).toBe(-ENOMEM);
  });

  it('a bad length, alignment or limit throws RangeError', () => {
    const { tree } = small();
    const limits = { low: 0, high: BASE };
    for (const length of [0, -PAGE, 1, PAGE + 1, NaN]) {
      expect(codeOf(() => unmappedArea(tree, length, limits))).toBe('RangeError');
    }
    for (const align of [0, 1, 3 * PAGE, PAGE / 2, -PAGE]) {
      expect(codeOf(() => unmappedArea(tree, PAGE, { ...limits, align }))).toBe('RangeError');
    }
    expect(codeOf(() => unmappedArea(tree, PAGE, { low: -1, high: BASE }))).toBe('RangeError');
    expect(codeOf(() => unmappedArea(tree, PAGE, { low: 0, high: 2 ** 53 }))).toBe('RangeError');
  });
});

describe('resizeVma', () => {
  it("gives a VMA other bounds, and moves its offset with the start; neighbours and the file's begin stop it", () => {
    const tree = createVmaTree();
    const vma = new Vma(BASE + 4 * PAGE, BASE + 8 * PAGE, 0, 2);
    insertVma(tree, vma);
    insertVma(tree, new Vma(BASE + 12 * PAGE, BASE + 13 * PAGE, 0, 0));
    resizeVma(tree, vma, BASE + 3 * PAGE, BASE + 12 * PAGE);
    expect([vma.start, vma.end, vma.pgoff]).toEqual([BASE + 3 * PAGE, BASE + 12 * PAGE, 1]);
    resizeVma(tree, vma, BASE + 6 * PAGE, BASE + 7 * PAGE);
    expect([vma.start, vma.end, vma.pgoff]).toEqual([BASE + 6 * PAGE, BASE + 7 * PAGE, 4]);
    for (const [start, end, code] of [
      [BASE + 6 * PAGE, BASE + 13 * PAGE, 'VMA_OVERLAP'],
      [BASE + PAGE, BASE + 7 * PAGE, 'RangeError'],
      [BASE + 6 * PAGE, BASE + 6 * PAGE, 'RangeError'],
      [BASE + 6 * PAGE + 1, BASE + 7 * PAGE, 'RangeError'],
      [BASE + 6 * PAGE, tree.taskSize + PAGE, 'RangeError'],
    ] as const) {
      expect(codeOf(() => resizeVma(tree, vma, start, end))).toBe(code);
      expect([vma.start, vma.end, vma.pgoff]).toEqual([BASE + 6 * PAGE, BASE + 7 * PAGE, 4]);
    }
    checkVmaTree(tree);
    eraseVma(tree, vma);
    expect(codeOf(() => resizeVma(tree, vma, BASE, BASE + PAGE))).toBe('VMA_ABSENT');
  });
});

describe('createVmaTree', () => {
  it('knows the page sizes of 4, 16 and 64 KiB, and refuses other options', () => {
    const tree = createVmaTree({ pageSize: 65536, taskSize: 2 ** 52, maxMapCount: 10 });
    expect([tree.pageSize, tree.taskSize, tree.maxMapCount]).toEqual([65536, 2 ** 52, 10]);
    expect(codeOf(() => insertVma(tree, new Vma(4096, 65536, 0, 0)))).toBe('RangeError');
    const vma = new Vma(65536, 4 * 65536, 0, 7);
    insertVma(tree, vma);
    expect(splitVma(tree, vma, 3 * 65536).pgoff).toBe(9);
    expect(codeOf(() => createVmaTree({ pageSize: 8192 as 4096 }))).toBe('RangeError');
    expect(codeOf(() => createVmaTree({ taskSize: 5000 }))).toBe('RangeError');
    expect(codeOf(() => createVmaTree({ maxMapCount: -1 }))).toBe('RangeError');
  });
});

describe('checkVmaTree', () => {
  const breaks: Record<string, (vma: Vma) => void> = {
    'a moved start': (vma) => void (vma.start += PAGE),
    'a moved end': (vma) => void (vma.end -= PAGE),
    'a VMA that does not know its tree': (vma) => void (vma.tree = null),
  };
  for (const [what, damage] of Object.entries(breaks)) {
    it(`finds ${what}`, () => {
      const { tree, c } = small();
      damage(c);
      expect(codeOf(() => checkVmaTree(tree))).toBe('TREE_BROKEN');
    });
  }
});

describe('helpers', () => {
  it('N.22: accessible is any of read, write, execute; anonymous is without a file', () => {
    for (const flags of [VM_READ, VM_WRITE, VM_EXEC]) expect(vmaIsAccessible(new Vma(0, PAGE, flags, 0))).toBe(true);
    expect(vmaIsAccessible(new Vma(0, PAGE, 0x70, 0))).toBe(false);
    expect(vmaIsAnonymous(new Vma(0, PAGE, 0, 0))).toBe(true);
    expect(vmaIsAnonymous(new Vma(0, PAGE, 0, 0, {}))).toBe(false);
  });
});

describe('VmaTree against a sorted array', () => {
  it('map, unmap, split and look up at random: 20,000 operations', () => {
    let operations = 0;
    const command = fc.tuple(fc.nat(4), fc.nat(400), fc.integer({ min: 1, max: 12 }), fc.nat(3));
    fc.assert(
      fc.property(fc.array(command, { minLength: 100, maxLength: 100 }), (commands) => {
        const tree = createVmaTree();
        let list: Vma[] = [];
        for (const [op, page, pages, power] of commands) {
          operations++;
          const address = BASE + page * PAGE;
          const at = list.find((v) => v.start <= address && address < v.end) ?? null;
          expect(vmaLookup(tree, address)).toBe(at);
          if (op === 0 && at !== null) {
            eraseVma(tree, at);
            list = list.filter((v) => v !== at);
          } else if (op === 1 && at !== null && address > at.start) {
            const pgoff = at.pgoff + (address - at.start) / PAGE;
            const upper = splitVma(tree, at, address);
            expect(upper.pgoff).toBe(pgoff);
            list.push(upper);
          } else {
            const topDown = op === 2;
            const limits = { low: address, high: BASE + 420 * PAGE, align: PAGE << power, topDown };
            const need = (pages + (1 << power) - 1) * PAGE;
            const sorted = list
              .map((v) => ({ start: v.start, end: v.end, value: 0 }))
              .sort((x, y) => x.start - y.start);
            const holes = naiveHoles(sorted, limits.low, limits.high).filter((h) => h.to - h.from >= need);
            const hole = topDown ? holes.at(-1) : holes[0];
            const start = unmappedArea(tree, pages * PAGE, limits);
            const top = hole === undefined ? 0 : hole.to - pages * PAGE;
            const wanted = topDown
              ? top - (top % limits.align)
              : Math.ceil((hole?.from ?? 0) / limits.align) * limits.align;
            expect(start).toBe(hole === undefined ? -ENOMEM : wanted);
            if (start < 0) continue;
            const vma = new Vma(start, start + pages * PAGE, VM_READ, page);
            insertVma(tree, vma);
            list.push(vma);
          }
        }
        checkVmaTree(tree);
        expect(vmasIn(tree, 0, 2 ** 47)).toEqual(list.sort((x, y) => x.start - y.start));
      }),
      { seed: 3, numRuns: 200 },
    );
    expect(operations).toBe(20_000);
  }, 30_000);
});
