import { describe, expect, it } from 'vitest';
import { EAGAIN, EINVAL, ENOMEM, FOLL_LONGTERM, FOLL_WRITE } from '@mmkit/base';
import { linux6_18, type Mm } from '@mmkit/aspace';
import type { IoUring, Machine, Process } from '@mmkit/kernel';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  MAP_FIXED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
} from '@mmkit/mm';
import {
  failAllocations,
  folioPincount,
  folioTestLarge,
  HOT_REFCOUNT,
  HOT_WORDS,
  pageMapCount,
  pageRefCount,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_MLOCKED,
  PG_SWAPBACKED,
  pinReport,
  testFlag,
} from '@mmkit/phys';
import { ANON, builds, Cpu, endAll, PAGE, RW } from './builds.ts';

/** Pages of a huge page. */
const NR = 512;
const HUGE = NR * PAGE;
/** Where the tests map: a huge page's first byte. */
const AT = 64 * HUGE;
const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED;

describe.each(builds)('%s build: huge pages', (_name, api) => {
  /** `huge` huge pages of memory from AT on, advised, nothing touched. */
  class World {
    readonly machine: Machine;
    readonly process: Process;
    readonly cpu: Cpu;

    constructor(huge = 1, options: { ram?: number; advise?: boolean; policy?: typeof linux6_18 } = {}) {
      const { ram = 16, advise = true, policy = linux6_18 } = options;
      this.machine = api.createMachine({ ramBytes: ram * HUGE, policy });
      this.process = api.createProcess(this.machine)!;
      this.process.capIpcLock = true;
      this.process.mm.capIpcLock = true;
      this.cpu = new Cpu(api, this.machine);
      const mapped = api.mmap(this.process.mm, AT, huge * HUGE, RW, ANON | MAP_FIXED);
      if (mapped !== AT || (advise && this.advise(MADV_HUGEPAGE, 0, huge * NR) !== 0))
        throw new Error('no memory mapped');
    }

    advise(advice: number, page: number, pages: number): number {
      const result = api.madvise(this.process.mm, AT + page * PAGE, pages * PAGE, advice);
      api.checkMachine(this.machine);
      return result;
    }

    /** Stores a byte at the start of `page`, and says how many faults that took. */
    write(page: number, process = this.process, byte = 1): number {
      return this.faults(() => {
        const error = this.cpu.poke(process, AT + page * PAGE, byte);
        if (error !== 0) throw new Error(`store: ${error}`);
      });
    }

    fork(): Process {
      return api.forkProcess(this.machine, this.process).process!;
    }

    read(page: number, process = this.process): number {
      return this.cpu.peek(process, AT + page * PAGE);
    }

    faults(call: () => void): number {
      const { stat } = this.machine.memory;
      const before = stat.pgfault;
      call();
      api.checkMachine(this.machine);
      return stat.pgfault - before;
    }

    pfn(page: number, process = this.process): number {
      return this.cpu.pfn(process, AT + page * PAGE);
    }

    pfns(process = this.process): number[] {
      return Array.from({ length: NR }, (_, page) => this.pfn(page, process));
    }

    /** True while one entry maps the huge page: its frame has no map count of its own. */
    isHuge(page = 0): boolean {
      const { phys } = this.machine.memory;
      const pfn = this.pfn(page);
      return folioTestLarge(phys, pfn) && phys.hot[pfn * 4 + 2] === 0;
    }

    flag(page: number, flag: number): boolean {
      const { phys } = this.machine.memory;
      const pfn = this.pfn(page);
      return testFlag(phys, flag === PG_ANON_EXCLUSIVE ? pfn : pfn - (folioTestLarge(phys, pfn) ? pfn % NR : 0), flag);
    }
  }

  /** Ends all processes: nothing is left but the huge zero page. */
  function end(w: World): void {
    const zero = w.machine.memory.hugeZeroPfn < 0 ? 0 : NR;
    expect(endAll(api, w.machine)).toEqual({ used: zero, pins: 0 });
  }

  it('FACTS 34: a read maps the huge zero page, without a page counted; the first store gets a huge page in one fault', () => {
    const w = new World();
    const { memory } = w.machine;
    expect([w.faults(() => expect(w.read(7)).toBe(0)), w.process.mm.anonPages]).toEqual([1, 0]);
    expect(w.faults(() => expect(w.read(511)).toBe(0))).toBe(0);
    expect(w.pfn(7)).toBe(memory.hugeZeroPfn + 7);
    expect([w.write(9), w.process.mm.anonPages, w.isHuge()]).toEqual([1, NR, true]);
    expect([w.read(8), w.read(9), w.write(511)]).toEqual([0, 1, 0]);
    expect([memory.stat.thpFaultAlloc, pageRefCount(memory.phys, w.pfn(0))]).toEqual([1, 1]);
    end(w);
  });

  it('N.3: no huge page without advice, after MADV_NOHUGEPAGE, where prctl forbids it, or where the VMA has no room', () => {
    const plain = new World(1, { advise: false });
    const advised = new World();
    advised.advise(MADV_NOHUGEPAGE, 0, NR);
    const forbidden = new World();
    forbidden.process.mm.thpDisabled = true;
    const never = new World();
    never.machine.memory.transparentHugepage = 'never';
    const small = new World();
    api.munmap(small.process.mm, AT + 511 * PAGE, PAGE);
    for (const w of [plain, advised, forbidden, never, small]) {
      expect([w.write(3), w.process.mm.anonPages]).toEqual([1, 1]);
      end(w);
    }
    const always = new World(1, { advise: false });
    always.machine.memory.transparentHugepage = 'always';
    expect([always.write(3), always.process.mm.anonPages]).toEqual([1, NR]);
    end(always);
  });

  it('N.3: without memory for a huge page a small one is mapped; the huge zero page gives way to small ones', () => {
    const w = new World();
    w.read(0);
    failAllocations(w.machine.memory.phys, { order: 9 });
    expect([w.write(2), w.process.mm.anonPages, w.machine.memory.stat.thpFaultFallback]).toEqual([1, 1, 1]);
    expect([w.pfn(1), w.pfn(3)]).toEqual([w.machine.memory.phys.zeroPfn, w.machine.memory.phys.zeroPfn]);
    end(w);
  });

  it.each([
    ['munmap', (w: World) => api.munmap(w.process.mm, AT + 5 * PAGE, PAGE)],
    ['MADV_DONTNEED', (w: World) => w.advise(MADV_DONTNEED, 5, 1)],
    ['MADV_GUARD_INSTALL', (w: World) => w.advise(MADV_GUARD_INSTALL, 5, 1)],
    ['mprotect', (w: World) => api.mprotect(w.process.mm, AT + 5 * PAGE, PAGE, PROT_READ)],
    ['MADV_NOHUGEPAGE', (w: World) => w.advise(MADV_NOHUGEPAGE, 5, 1)],
    ['mremap', (w: World) => (api.mremap(w.process.mm, AT + 5 * PAGE, PAGE, PAGE, MOVE, AT + 9 * HUGE) > 0 ? 0 : -1)],
  ])(
    'N.21: %s of one page splits the entry, not the folio: the others keep their frames, all is dirty',
    (_what, call) => {
      const w = new World();
      w.write(0);
      w.write(511);
      const { phys, stat } = w.machine.memory;
      const before = w.pfns();
      expect(w.flag(0, PG_DIRTY)).toBe(false);
      expect(call(w)).toBe(0);
      api.checkMachine(w.machine);
      expect(stat.thpSplitPmd).toBe(1);
      for (const page of [0, 4, 6, 511]) {
        expect([w.pfn(page), w.flag(page, PG_ANON_EXCLUSIVE), w.flag(page, PG_DIRTY)]).toEqual([
          before[page],
          true,
          true,
        ]);
        expect([folioTestLarge(phys, w.pfn(page)), pageMapCount(phys, w.pfn(page))]).toEqual([true, 1]);
      }
      expect([w.write(6), w.read(511)]).toEqual([0, 1]);
      end(w);
    },
  );

  it('N.14: mprotect of all of it keeps the entry; exclusive, it is writable again at once (OBSERVED 3)', () => {
    const w = new World();
    w.write(0);
    expect(api.mprotect(w.process.mm, AT, HUGE, PROT_READ)).toBe(0);
    expect(w.cpu.poke(w.process, AT, 2)).toBeLessThan(0);
    expect(api.mprotect(w.process.mm, AT, HUGE, RW)).toBe(0);
    expect([w.write(0), w.isHuge(), w.machine.memory.stat.thpSplitPmd]).toEqual([0, true, 0]);
    end(w);
  });

  it('N.14: mremap to another huge page moves the entry whole; elsewhere it is split', () => {
    const w = new World();
    w.write(1);
    const before = w.pfns();
    const aligned = AT + 8 * HUGE;
    expect(api.mremap(w.process.mm, AT, HUGE, HUGE, MOVE, aligned)).toBe(aligned);
    api.checkMachine(w.machine);
    expect([w.cpu.pfn(w.process, aligned + PAGE), w.machine.memory.stat.thpSplitPmd]).toEqual([before[1], 0]);
    const shifted = AT + 16 * HUGE + PAGE;
    expect(api.mremap(w.process.mm, aligned, HUGE, HUGE, MOVE, shifted)).toBe(shifted);
    api.checkMachine(w.machine);
    expect([w.cpu.pfn(w.process, shifted + PAGE), w.machine.memory.stat.thpSplitPmd]).toEqual([before[1], 1]);
    expect(w.cpu.peek(w.process, shifted + PAGE)).toBe(1);
    end(w);
  });

  it('N.10: fork shares the huge page by its entry; a store splits that entry and copies one page', () => {
    const w = new World();
    w.write(0);
    w.write(9);
    const before = w.pfns();
    const child = w.fork();
    expect([w.pfns(child), w.flag(0, PG_ANON_EXCLUSIVE), w.machine.memory.stat.thpSplitPmd]).toEqual([
      before,
      false,
      0,
    ]);
    expect([w.write(9, w.process, 5), w.read(9, child)]).toEqual([1, 1]);
    expect([w.pfn(9) === before[9], w.pfn(8), w.pfn(10)]).toEqual([false, before[8], before[10]]);
    end(w);
  });

  it('D.2: one page of it pinned, then fork: the child has copies of all, the parent keeps its frames and writes on', () => {
    const w = new World();
    w.write(0);
    const before = w.pfns();
    const page = new Uint32Array(1);
    expect(api.pinUserPagesFast(w.process.mm, AT + 7 * PAGE, 1, FOLL_WRITE | FOLL_LONGTERM, page)).toBe(1);
    const child = w.fork();
    api.checkMachine(w.machine);
    expect(w.pfns()).toEqual(before);
    expect(w.pfns(child).filter((pfn) => before.includes(pfn))).toEqual([]);
    expect([w.write(7), w.write(100), w.read(0, child)]).toEqual([0, 0, 1]);
    api.unpinUserPages(w.machine.memory, page, 1);
    end(w);
  });

  it.each([
    ['6.18', true, true],
    ['6.12', false, false],
  ])('OBSERVED 5: pages of a split one whose other sharer has gone are reused on %s', (_kernel, reuseLarge, reused) => {
    const w = new World(1, { policy: { ...linux6_18, reuseLarge } });
    w.write(0);
    w.advise(MADV_DONTNEED, 511, 1);
    const before = w.pfn(3);
    const child = w.fork();
    api.exitProcess(w.machine, child);
    w.write(3);
    expect(w.pfn(3) === before).toBe(reused);
    end(w);
  });

  it('OBSERVED 5: a single page left of it is copied, so that the rest is freed', () => {
    const w = new World();
    w.write(0);
    const child = w.fork();
    api.exitProcess(w.machine, child);
    w.advise(MADV_DONTNEED, 1, 511);
    const before = w.pfn(0);
    w.write(0);
    expect([w.pfn(0) === before, w.process.mm.anonPages]).toEqual([false, 1]);
    end(w);
  });

  it('N.4: the sole owner of a shared huge page takes it over by its entry', () => {
    const w = new World();
    w.write(0);
    const before = w.pfn(3);
    api.exitProcess(w.machine, w.fork());
    expect([w.write(3), w.pfn(3), w.isHuge()]).toEqual([1, before, true]);
    end(w);
  });

  it('6.18: a table that MADV_DONTNEED empties is freed, so that the next fault may map a huge page again', () => {
    for (const [reclaimTables, pages] of [
      [true, NR],
      [false, 1],
    ] as const) {
      const w = new World(1, { policy: { ...linux6_18, reclaimTables } });
      w.write(0);
      w.advise(MADV_DONTNEED, 0, 1);
      w.advise(MADV_DONTNEED, 0, NR);
      w.write(2);
      expect(w.process.mm.anonPages).toBe(pages);
      end(w);
    }
  });

  describe('MADV_COLLAPSE, as 6.18 answered', () => {
    // What it returns, and the first byte of the huge page; null: there is none.
    const rows: readonly [string, number, number | null, (w: World) => void][] = [
      ['untouched, nothing ever written', -EINVAL, null, () => {}],
      ['no table', -EINVAL, null, (w) => void w.write(NR)],
      ['one page', 0, 1, (w) => void w.write(0)],
      ['an empty table', 0, 0, (w) => [w.write(0), w.advise(MADV_DONTNEED, 0, 1)]],
      ['zero pages only', 0, 0, (w) => [w.write(NR), w.read(1)]],
      ['shared with a child', 0, 1, (w) => [w.write(0), w.fork()]],
      ['PROT_READ', 0, 1, (w) => [w.write(0), api.mprotect(w.process.mm, AT, HUGE, PROT_READ)]],
      ['PROT_NONE', 0, 1, (w) => [w.write(0), api.mprotect(w.process.mm, AT, HUGE, PROT_NONE)]],
      ['a guard', -EINVAL, null, (w) => [w.write(0), w.advise(MADV_GUARD_INSTALL, 5, 1)]],
      ['MADV_FREE', 0, 1, (w) => [w.write(0), w.write(1), w.advise(MADV_FREE, 0, 1)]],
      ['MADV_NOHUGEPAGE', -EINVAL, null, (w) => [w.write(0), w.advise(MADV_NOHUGEPAGE, 0, NR)]],
      ['mlocked', 0, 0, (w) => [api.mlock(w.process.mm, AT, HUGE)]],
    ];

    it.each(rows)('%s: %d', (_what, result, first, prepare) => {
      const w = new World(2, { advise: false });
      prepare(w);
      expect(w.advise(MADV_COLLAPSE, 0, NR)).toBe(result);
      api.mprotect(w.process.mm, AT, HUGE, RW);
      if (first === null) return end(w);
      expect([w.isHuge(), w.flag(0, PG_SWAPBACKED), w.flag(0, PG_DIRTY)]).toEqual([true, true, false]);
      expect([w.read(0), w.read(5), w.process.mm.anonPages % NR < 2]).toEqual([first, 0, true]);
      end(w);
    });

    it('D.2: EAGAIN while a page is pinned, with everything as before; done after the unpin', () => {
      const w = new World(1, { advise: false });
      w.write(0);
      w.write(3);
      const page = new Uint32Array(1);
      expect(api.pinUserPagesFast(w.process.mm, AT, 1, FOLL_WRITE | FOLL_LONGTERM, page)).toBe(1);
      const before = [w.pfn(0), w.pfn(3), w.machine.memory.stat.thpCollapseAlloc];
      expect(w.advise(MADV_COLLAPSE, 0, NR)).toBe(-EAGAIN);
      expect([w.pfn(0), w.pfn(3), w.machine.memory.stat.thpCollapseAlloc]).toEqual(before);
      api.unpinUserPages(w.machine.memory, page, 1);
      expect(w.advise(MADV_COLLAPSE, 0, NR)).toBe(0);
      expect([w.isHuge(), w.read(0), w.read(3), w.process.mm.anonPages]).toEqual([true, 1, 1, NR]);
      end(w);
    });

    it('the huge zero page, and a huge page, are left as they are; a range without a whole one', () => {
      const w = new World(2);
      w.read(0);
      expect([w.advise(MADV_COLLAPSE, 0, NR), w.process.mm.anonPages]).toEqual([0, 0]);
      w.write(0);
      const before = w.pfn(0);
      expect([w.advise(MADV_COLLAPSE, 0, NR), w.pfn(0)]).toEqual([0, before]);
      expect([w.advise(MADV_COLLAPSE, 0, 1), w.advise(MADV_COLLAPSE, 5, 8)]).toEqual([0, -EINVAL]);
      failAllocations(w.machine.memory.phys, { order: 9 });
      w.advise(MADV_DONTNEED, 3, 1);
      expect([w.advise(MADV_COLLAPSE, 0, NR), w.pfn(0)]).toEqual([-ENOMEM, before]);
      end(w);
    });
  });

  it('6.18: MADV_COLD, MADV_PAGEOUT and MADV_FREE of a part make small pages of it; zeroes become the zero page', () => {
    for (const advice of [MADV_COLD, MADV_PAGEOUT, MADV_FREE]) {
      const w = new World();
      w.write(0);
      w.write(9);
      const { phys } = w.machine.memory;
      const kept = [w.pfn(0), w.pfn(9)];
      expect(w.advise(advice, 0, 4)).toBe(0);
      expect([w.pfn(0), w.pfn(9), folioTestLarge(phys, kept[0]!), w.pfn(1)]).toEqual([...kept, false, phys.zeroPfn]);
      expect([w.process.mm.anonPages, w.read(0), w.read(9), w.read(1), w.write(9), w.write(1)]).toEqual([
        2, 1, 1, 0, 0, 1,
      ]);
      end(w);
    }
  });

  it('6.18: a huge page that others map or hold is not split by advice; MADV_FREE of all of it frees it lazily', () => {
    const shared = new World();
    shared.write(0);
    shared.fork();
    expect([shared.advise(MADV_COLD, 0, 4), shared.isHuge()]).toEqual([0, true]);
    const held = new World();
    held.write(0);
    const page = new Uint32Array(1);
    api.pinUserPagesFast(held.process.mm, AT, 1, FOLL_WRITE, page);
    expect([held.advise(MADV_FREE, 0, 4), held.isHuge()]).toEqual([0, true]);
    api.unpinUserPages(held.machine.memory, page, 1);
    expect([held.advise(MADV_FREE, 0, NR), held.isHuge(), held.flag(0, PG_SWAPBACKED)]).toEqual([0, true, false]);
    end(shared);
    end(held);
  });

  it('6.18: mlock of it whole; munlock, or DONTNEED_LOCKED, of one page unlocks the folio; mprotect does not', () => {
    const w = new World();
    w.write(0);
    expect([api.mlock(w.process.mm, AT, HUGE), w.flag(0, PG_MLOCKED)]).toEqual([0, true]);
    expect([api.mprotect(w.process.mm, AT, HUGE / 2, PROT_READ), w.flag(0, PG_MLOCKED)]).toEqual([0, true]);
    expect([api.munlock(w.process.mm, AT, PAGE), w.flag(1, PG_MLOCKED)]).toEqual([0, false]);
    // Mapped by single entries, a part of it is left to reclaim; all of it is not.
    expect([api.mlock(w.process.mm, AT, PAGE), w.flag(0, PG_MLOCKED)]).toEqual([0, false]);
    end(w);
    const other = new World();
    expect([api.mlock(other.process.mm, AT, HUGE), other.flag(0, PG_MLOCKED), other.isHuge()]).toEqual([0, true, true]);
    expect([other.advise(MADV_DONTNEED_LOCKED, 0, 1), other.flag(1, PG_MLOCKED)]).toEqual([0, false]);
    end(other);
    const split = new World();
    split.write(0);
    split.advise(MADV_DONTNEED, 511, 1);
    split.write(511);
    expect([api.mlock(split.process.mm, AT, HUGE), split.flag(0, PG_MLOCKED), split.flag(511, PG_MLOCKED)]).toEqual([
      0,
      false,
      true,
    ]);
    end(split);
  });

  it('mincore: every page of a huge page, and of the huge zero page, is in memory', () => {
    const w = new World(2);
    w.read(0);
    const vec = new Uint8Array(600);
    expect(api.mincore(w.process.mm, AT + 100 * PAGE, 600 * PAGE, vec)).toBe(0);
    expect([...vec.subarray(0, 412), ...vec.subarray(412)].map(Number)).toEqual([
      ...Array(412).fill(1),
      ...Array(188).fill(0),
    ]);
    w.write(NR);
    api.mincore(w.process.mm, AT + 100 * PAGE, 600 * PAGE, vec);
    expect(vec.every((byte) => byte === 1)).toBe(true);
    end(w);
  });

  describe('E.1, B.6, B.11: pins', () => {
    it('512 pages at once, fast: references and pins of the folio, one lookup, no fault', () => {
      const w = new World();
      w.write(0);
      const { phys, stat } = w.machine.memory;
      const pages = new Uint32Array(NR);
      expect(w.faults(() => expect(api.pinUserPagesFast(w.process.mm, AT, NR, FOLL_WRITE, pages)).toBe(NR))).toBe(0);
      expect([[...pages], stat.gupFast]).toEqual([w.pfns(), NR]);
      expect([folioPincount(phys, pages[0]!), pageRefCount(phys, pages[0]!)]).toEqual([NR, 1 + NR]);
      w.advise(MADV_DONTNEED, 511, 1);
      expect([folioPincount(phys, pages[0]!), pageRefCount(phys, pages[0]!)]).toEqual([NR, 511 + NR]);
      api.unpinUserPages(w.machine.memory, pages, NR);
      end(w);
    });

    it('the same, slow: marked accessed and dirty', () => {
      const w = new World();
      w.write(0);
      const { phys, stat } = w.machine.memory;
      const pages = new Uint32Array(NR);
      const call = (): number => api.pinUserPagesUnlocked(w.process.mm, AT, NR, pages, FOLL_WRITE);
      expect(w.faults(() => expect(call()).toBe(NR))).toBe(0);
      expect([[...pages], stat.gupSlow]).toEqual([w.pfns(), NR]);
      expect([folioPincount(phys, pages[0]!), pageRefCount(phys, pages[0]!)]).toEqual([NR, 1 + NR]);
      api.unpinUserPages(w.machine.memory, pages, NR);
      end(w);
    });

    it('slow, with room for three references: three pages; then none', () => {
      const w = new World();
      w.write(0);
      const { phys } = w.machine.memory;
      const pages = new Uint32Array(8);
      const at = w.pfn(0) * HOT_WORDS + HOT_REFCOUNT;
      phys.hot[at] = 0x7fff_ffff - 3;
      expect(api.getUserPagesUnlocked(w.process.mm, AT + PAGE, 8, pages, FOLL_WRITE)).toBe(3);
      expect([...pages.subarray(0, 3)]).toEqual(w.pfns().slice(1, 4));
      expect(api.getUserPagesUnlocked(w.process.mm, AT + PAGE, 8, pages, FOLL_WRITE)).toBe(-ENOMEM);
      expect(phys.hot[at]).toBe(0x7fff_ffff);
      phys.hot[at] = 1;
      end(w);
    });

    const paths = [
      [
        'fast',
        (mm: Mm, start: number, pages: Uint32Array) => api.pinUserPagesFast(mm, start, 2 * NR, FOLL_WRITE, pages),
      ],
      [
        'slow',
        (mm: Mm, start: number, pages: Uint32Array) => api.pinUserPagesUnlocked(mm, start, 2 * NR, pages, FOLL_WRITE),
      ],
    ] as const;
    it.each(paths)('%s: a huge page across which the pins begin and end, and small ones around it', (_, pinThem) => {
      const w = new World(3);
      w.advise(MADV_NOHUGEPAGE, 0, NR);
      const pages = new Uint32Array(2 * NR);
      const first = NR - 3;
      expect(pinThem(w.process.mm, AT + first * PAGE, pages)).toBe(2 * NR);
      expect([...pages]).toEqual(Array.from({ length: 2 * NR }, (_, i) => w.pfn(first + i)));
      expect([w.isHuge(NR), w.isHuge(2 * NR)]).toEqual([true, true]);
      api.unpinUserPages(w.machine.memory, pages, 2 * NR);
      end(w);
    });

    it('B.15 #3: a read pin of a shared one unshares a page of it; the zero page is pinned for a short time as it is', () => {
      const w = new World(2);
      w.write(0);
      w.fork();
      const before = w.pfn(0);
      const page = new Uint32Array(1);
      expect(api.pinUserPagesFast(w.process.mm, AT, 1, 0, page)).toBe(1);
      expect([page[0] === before, w.pfn(0), w.flag(0, PG_ANON_EXCLUSIVE)]).toEqual([false, page[0], true]);
      api.unpinUserPages(w.machine.memory, page, 1);
      w.read(NR);
      expect(api.pinUserPagesFast(w.process.mm, AT + NR * PAGE, 1, 0, page)).toBe(1);
      expect(page[0]).toBe(w.machine.memory.hugeZeroPfn);
      api.checkMachine(w.machine);
      api.unpinUserPages(w.machine.memory, page, 1);
      expect(api.pinUserPagesFast(w.process.mm, AT + NR * PAGE, 1, FOLL_LONGTERM, page)).toBe(1);
      expect(page[0]).not.toBe(w.machine.memory.hugeZeroPfn);
      api.unpinUserPages(w.machine.memory, page, 1);
      end(w);
    });
  });

  it('D.1, as 6.18 counted: registered buffers keep one pin of each huge page, and are charged for it once, whole', () => {
    const w = new World(4);
    w.advise(MADV_NOHUGEPAGE, 3 * NR, NR);
    for (let page = 0; page < 4 * NR; page++) w.write(page === 0 ? 0 : page, w.process, 1);
    const { phys } = w.machine.memory;
    const rows: readonly [string, readonly (readonly [number, number])[], number, number][] = [
      ['a huge page', [[0, 512]], 1, 512],
      ['two huge pages', [[0, 1024]], 2, 1024],
      ['across two', [[256, 512]], 2, 1024],
      ['one page of it', [[0, 1]], 1, 512],
      ['8 pages of it', [[8, 8]], 1, 512],
      ['a half, one, a quarter', [[256, 1152]], 3, 1536],
      [
        'two buffers',
        [
          [0, 8],
          [16, 8],
        ],
        2,
        512,
      ],
      ['huge, then small', [[1532, 8]], 8, 516],
      ['small', [[1540, 4]], 4, 4],
    ];
    for (const [what, parts, pins, charged] of rows) {
      const ring: IoUring = api.createIoUring(w.machine);
      const acquired = phys.nrFollPinAcquired - phys.nrFollPinReleased;
      const iovecs = parts.map(([page, pages]) => ({ address: AT + page * PAGE, length: pages * PAGE }));
      expect([what, api.registerBuffers(ring, w.process, iovecs)]).toEqual([what, 0]);
      const held = phys.nrFollPinAcquired - phys.nrFollPinReleased - acquired;
      expect([what, held, w.process.mm.pinnedVm]).toEqual([what, pins, charged]);
      // Where a ledger is kept: what was pinned and given back again was the ring's.
      expect(pinReport(phys).length).toBe(phys.pinLedger === null ? 0 : 1);
      api.checkMachine(w.machine);
      expect(api.unregisterBuffers(ring)).toBe(0);
      expect([what, w.process.mm.pinnedVm, phys.nrFollPinAcquired - phys.nrFollPinReleased]).toEqual([
        what,
        0,
        acquired,
      ]);
    }
    end(w);
  });
});
