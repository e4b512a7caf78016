import { describe, expect, it } from 'vitest';
import { linux3_14, linux4_8, zapPageRange } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { EFAULT, EHWPOISON, ENOMEM, ERESTARTSYS } from '@mmkit/base';
import {
  FAULT_FLAG_WRITE,
  VM_FAULT_HWPOISON,
  VM_FAULT_MAJOR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
} from '@mmkit/fault';
import {
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_HWPOISON,
  FOLL_NOWAIT,
  FOLL_TOUCH,
  FOLL_WRITE,
} from '@mmkit/gup/classic';
import { E_SPECIAL, E_WRITE } from '@mmkit/pgtable';
import {
  compoundHead,
  folioMapcount,
  HOT_MAPCOUNT,
  HOT_WORDS,
  MAX_PAGE_ORDER,
  PG_DIRTY,
  PG_LOCKED,
  PG_REFERENCED,
  readBytes,
  testFlag,
  writeBytes,
} from '@mmkit/phys';
import { VM_HUGEPAGE, VM_IO, VM_MAYREAD, VM_MAYWRITE, VM_PFNMAP, VM_READ, VM_WRITE } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { AT, builds, codeOf, PAGE, RW, space } from './builds.ts';
import type { Build, Hooks, Space } from './builds.ts';

const READ_ONLY = VM_READ | VM_MAYREAD | VM_MAYWRITE;

/** Every build with the rules of both kernels. */
const eras = builds.flatMap(([name, build]) =>
  [linux3_14, linux4_8].map((policy): [string, string, Build, Policy] => [name, policy.name, build, policy]),
);

const counters = (): { min_flt: number; maj_flt: number } => ({ min_flt: 0, maj_flt: 0 });

/** The call with mmap_sem held for reading, nonblocking NULL. */
function get(s: Space, start: number, nr: number, flags: number, pages: Uint32Array | null, tsk = counters()): number {
  return s.locked(() => s.build.classic.__get_user_pages(tsk, s.mm, start, nr, flags, pages, null, null));
}

describe.each(eras)('%s, %s: __get_user_pages', (_name, _kernel, build, policy) => {
  const { put_page } = build.classic;
  const machine = (hooks: Hooks = {}): Space => space(build, hooks, { policy });

  it('A.16 #1: nr 0 is 0 at any address, nothing touched, no fault', () => {
    const s = machine();
    const free = s.phys.freeFrames;
    for (const start of [0, AT, 2 ** 52]) expect(get(s, start, 0, FOLL_WRITE | FOLL_GET, new Uint32Array(0))).toBe(0);
    expect([s.phys.freeFrames, s.memory.stat.pgfault]).toEqual([free, 0]);
  });

  it('A.16 #2: WRITE|GET of 3 untouched pages: 3 zeroed anonymous pages, 2 references each, min_flt +3', () => {
    const s = machine();
    s.map(AT, 3);
    const pages = new Uint32Array(3);
    const tsk = counters();
    expect(get(s, AT, 3, FOLL_WRITE | FOLL_GET, pages, tsk)).toBe(3);
    expect(new Set(pages).size).toBe(3);
    const bytes = new Uint8Array(PAGE);
    for (const pfn of pages) {
      expect([s.refs(pfn), s.maps(pfn)]).toEqual([2, 1]);
      readBytes(s.phys, pfn, 0, bytes, 0, PAGE);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
    }
    expect(tsk).toEqual({ min_flt: 3, maj_flt: 0 });
  });

  it('A.16 #3: the same without WRITE: three times the zero page, a reference each, entries special and read-only', () => {
    const s = machine();
    s.map(AT, 3);
    const pages = new Uint32Array(3);
    const tsk = counters();
    expect(get(s, AT, 3, FOLL_GET, pages, tsk)).toBe(3);
    const zero = s.phys.zeroPfn;
    expect([...pages]).toEqual([zero, zero, zero]);
    expect(s.refs(zero)).toBe(4);
    for (let i = 0; i < 3; i++) expect(s.entry(AT + i * PAGE).flags & (E_SPECIAL | E_WRITE)).toBe(E_SPECIAL);
    expect(tsk.min_flt).toBe(3);
    // G.10: each must be given back.
    for (const pfn of pages) put_page(s.memory, pfn);
    expect(s.refs(zero)).toBe(1);
  });

  it('A.16 #4: again, the pages being there: 3, no fault, nothing counted', () => {
    const s = machine();
    s.map(AT, 3);
    const [first, second] = [new Uint32Array(3), new Uint32Array(3)];
    get(s, AT, 3, FOLL_WRITE | FOLL_GET, first);
    const faults = s.memory.stat.pgfault;
    const tsk = counters();
    expect(get(s, AT, 3, FOLL_WRITE | FOLL_GET, second, tsk)).toBe(3);
    expect(second).toEqual(first);
    expect([s.memory.stat.pgfault, tsk.min_flt]).toEqual([faults, 0]);
    for (const pfn of first) expect(s.refs(pfn)).toBe(3);
  });

  it('A.16 #5: 4 pages over a VMA of 2 and a hole: 2, slots beyond untouched', () => {
    const s = machine();
    s.map(AT, 2);
    const pages = new Uint32Array(4).fill(0xdead);
    expect(get(s, AT, 4, FOLL_WRITE | FOLL_GET, pages)).toBe(2);
    expect([...pages.subarray(2)]).toEqual([0xdead, 0xdead]);
  });

  it('A.16 #6: 4 pages from a hole on: -EFAULT', () => {
    const s = machine();
    s.map(AT + PAGE, 3);
    const pages = new Uint32Array(4).fill(0xdead);
    expect(get(s, AT, 4, FOLL_WRITE | FOLL_GET, pages)).toBe(-EFAULT);
    expect([...pages]).toEqual([0xdead, 0xdead, 0xdead, 0xdead]);
  });

  it('A.16 #7: WRITE on read-only private memory without FORCE: -EFAULT, no page table changed', () => {
    const s = machine();
    s.map(AT, 1, READ_ONLY);
    const free = s.phys.freeFrames;
    expect(get(s, AT, 1, FOLL_WRITE | FOLL_GET, new Uint32Array(1))).toBe(-EFAULT);
    expect([s.phys.freeFrames, s.memory.stat.pgfault]).toEqual([free, 0]);
  });

  it('A.16 #8 without its file: WRITE|FORCE on read-only private memory: own page, entry read-only', () => {
    const s = machine();
    s.map(AT, 1, READ_ONLY);
    const pages = new Uint32Array(1);
    expect(get(s, AT, 1, FOLL_WRITE | FOLL_FORCE | FOLL_GET, pages)).toBe(1);
    expect(s.entry(AT).pfn).toBe(pages[0]);
    expect(s.entry(AT).flags & E_WRITE).toBe(0);
    expect(pages[0]).not.toBe(s.phys.zeroPfn);
  });

  it('A.16 #11: a read of PROT_NONE memory: -EFAULT; with FORCE the zero page', () => {
    const s = machine();
    s.map(AT, 1, VM_MAYREAD | VM_MAYWRITE);
    const pages = new Uint32Array(1);
    expect(get(s, AT, 1, FOLL_GET, pages)).toBe(-EFAULT);
    expect(get(s, AT, 1, FOLL_GET | FOLL_FORCE, pages)).toBe(1);
    expect(pages[0]).toBe(s.phys.zeroPfn);
  });

  it.each([
    ['VM_IO', VM_IO],
    ['VM_PFNMAP', VM_PFNMAP],
  ])('A.16 #12: %s memory: -EFAULT, with FORCE too', (_, flag) => {
    const s = machine();
    s.map(AT, 1, RW | flag);
    for (const force of [0, FOLL_FORCE]) expect(get(s, AT, 1, FOLL_GET | force, new Uint32Array(1))).toBe(-EFAULT);
  });

  it('A.16 #13: a fault that gives SIGBUS: -EFAULT; as second page: 1', () => {
    const before = (_mm: unknown, address: number): number | null => (address === AT + PAGE ? VM_FAULT_SIGBUS : null);
    const s = machine({ before });
    s.map(AT, 2);
    expect(get(s, AT, 2, FOLL_GET, new Uint32Array(2))).toBe(1);
    expect(get(s, AT + PAGE, 1, FOLL_GET, new Uint32Array(1))).toBe(-EFAULT);
  });

  it('A.16 #14: out of memory on the first page: -ENOMEM; on the third: 2', () => {
    for (const [good, expected] of [
      [0, -ENOMEM],
      [2, 2],
    ] as const) {
      let faults = 0;
      const s = machine({ before: () => (faults++ < good ? null : VM_FAULT_OOM) });
      s.map(AT, 3);
      const tsk = counters();
      expect(get(s, AT, 3, FOLL_WRITE | FOLL_GET, new Uint32Array(3), tsk)).toBe(expected);
      // A.10: a fault that failed is not counted.
      expect(tsk.min_flt).toBe(good);
    }
  });

  it('A.16 #15: a fatal signal before the first page: -ERESTARTSYS; after two: 2', () => {
    const s = machine();
    s.map(AT, 3);
    expect(s.killed(() => get(s, AT, 3, FOLL_GET, new Uint32Array(3)))).toBe(-ERESTARTSYS);
    let faults = 0;
    const dying = machine({
      after: (mm, result) => {
        if (++faults === 2) mm.memory.sched.current.killed = true;
        return result;
      },
    });
    dying.map(AT, 4);
    // It comes while the second page is faulted in. A.3 #8: from 3.16 on that page is not looked up any more.
    expect(get(dying, AT, 4, FOLL_GET, new Uint32Array(4))).toBe(policy === linux3_14 ? 2 : 1);
    dying.sched.current.killed = false;
  });

  it('A.16 #23: FOLL_DUMP of untouched anonymous memory: -EFAULT, a hole; no page table made', () => {
    const s = machine();
    s.map(AT, 1);
    const free = s.phys.freeFrames;
    expect(get(s, AT, 1, FOLL_DUMP | FOLL_FORCE | FOLL_GET, new Uint32Array(1))).toBe(-EFAULT);
    expect(s.phys.freeFrames).toBe(free);
  });

  it('A.16 #24: FOLL_DUMP of a zero page that is there: -EFAULT', () => {
    const s = machine();
    s.map(AT, 1);
    s.touch(AT, 1, 0);
    expect(get(s, AT, 1, FOLL_DUMP | FOLL_GET, new Uint32Array(1))).toBe(-EFAULT);
  });

  it('A.16 #26: a poisoned page: -EFAULT; with FOLL_HWPOISON -EHWPOISON', () => {
    const s = machine({ before: () => VM_FAULT_HWPOISON });
    s.map(AT, 1);
    expect(get(s, AT, 1, FOLL_GET, new Uint32Array(1))).toBe(-EFAULT);
    expect(get(s, AT, 1, FOLL_GET | FOLL_HWPOISON, new Uint32Array(1))).toBe(-EHWPOISON);
  });

  it('A.16 #29: nr (unsigned long)-1 over a VMA of 2 pages: 2', () => {
    const s = machine();
    s.map(AT, 2);
    const pages = new Uint32Array(2);
    expect(get(s, AT, -1, FOLL_WRITE | FOLL_GET, pages)).toBe(2);
    expect(s.entry(AT + PAGE).pfn).toBe(pages[1]);
  });

  it('G.1: a negative nr that meets more pages than there are slots: PAGES_OVERRUN, every reference given back', () => {
    const s = machine();
    s.map(AT, 3);
    const pfns = s.touch(AT, 3);
    expect(codeOf(() => get(s, AT, -1, FOLL_GET, new Uint32Array(2)))).toBe('PAGES_OVERRUN');
    for (const pfn of pfns) expect(s.refs(pfn)).toBe(1);
  });
});

/** Pages of 16 and 64 KiB have none: a huge page would be larger than the largest block. */
const withHugePages = eras.filter(([, , { format }]) => format.indexBits <= MAX_PAGE_ORDER);

describe.each(withHugePages)('%s, %s: __get_user_pages of huge pages', (_name, _kernel, build, policy) => {
  const { put_page } = build.classic;

  /** A machine with one huge page of memory, nothing touched; its first byte and its pages. */
  function hugeMachine(): { s: Space; at: number; nr: number; vma: Vma } {
    const at = build.format.spans[1]!;
    const nr = at / PAGE;
    const s = space(build, {}, { policy, frames: 4 * nr });
    return { s, at, nr, vma: s.map(at, nr, RW | VM_HUGEPAGE) };
  }

  it('A.16 #21: pages and vmas NULL, a whole huge page: all its pages by one fault, no reference kept', () => {
    const { s, at, nr } = hugeMachine();
    const tsk = counters();
    expect(get(s, at, nr, FOLL_WRITE, null, tsk)).toBe(nr);
    expect([s.memory.stat.thpFaultAlloc, tsk.min_flt]).toEqual([1, 1]);
    const before = s.phys.freeFrames;
    zapPageRange(s.mm, at, at + nr * PAGE);
    expect(s.phys.freeFrames).toBeGreaterThanOrEqual(before + nr);
  });

  it('A.16 #22: pages NULL, vmas not: the same, the VMA of each page', () => {
    const { s, at, nr, vma } = hugeMachine();
    const vmas: (Vma | null)[] = Array(nr).fill(null);
    const call = (): number => build.classic.__get_user_pages(null, s.mm, at, nr, FOLL_WRITE, null, vmas, null);
    expect(s.locked(call)).toBe(nr);
    expect(vmas.every((one) => one === vma)).toBe(true);
    expect(s.memory.stat.pgfault).toBe(1);
  });

  it('A.16 #35: a page of a huge page: its head has a reference more, and the map counts are as before (from 4.5 on)', () => {
    const { s, at } = hugeMachine();
    const pages = new Uint32Array(1);
    expect(get(s, at + 3 * PAGE, 1, FOLL_WRITE | FOLL_GET, pages)).toBe(1);
    const head = compoundHead(s.phys, pages[0]!);
    expect(pages[0]).toBe(head + 3);
    expect([s.refs(head), folioMapcount(s.phys, head), s.phys.hot[pages[0]! * HOT_WORDS + HOT_MAPCOUNT]]).toEqual([
      2, 1, 0,
    ]);
    put_page(s.memory, pages[0]!);
    expect(s.refs(head)).toBe(1);
  });
});

describe.each(builds)('%s: __get_user_pages, its arguments', (_, build) => {
  const { __get_user_pages, put_page, set_page_dirty, set_page_dirty_lock } = build.classic;

  it('A.1: start need not be aligned: the pages are those that contain start, start + 4096, …', () => {
    const s = space(build);
    s.map(AT, 3);
    const pfns = s.touch(AT, 3);
    const pages = new Uint32Array(2);
    expect(s.locked(() => __get_user_pages(null, s.mm, AT + 0xfff, 2, FOLL_GET, pages, null, null))).toBe(2);
    expect([...pages]).toEqual(pfns.slice(0, 2));
  });

  it('A.3 #14: vmas gets the VMA of each page', () => {
    const s = space(build);
    const one = s.map(AT, 2);
    const two = s.map(AT + 2 * PAGE, 1);
    const vmas: (Vma | null)[] = [];
    expect(s.locked(() => __get_user_pages(null, s.mm, AT, 3, FOLL_GET, new Uint32Array(3), vmas, null))).toBe(3);
    expect(vmas.length).toBe(3);
    for (const [i, vma] of [one, one, two].entries()) expect(vmas[i]).toBe(vma);
  });

  it('A.10: tsk null counts nothing; a major fault is counted as one', () => {
    const s = space(build, { after: (_mm, result) => result | VM_FAULT_MAJOR });
    s.map(AT, 2);
    const tsk = { min_flt: 0, maj_flt: 0 };
    s.locked(() => __get_user_pages(tsk, s.mm, AT, 1, FOLL_GET, new Uint32Array(1), null, null));
    s.locked(() => __get_user_pages(null, s.mm, AT + PAGE, 1, FOLL_GET, new Uint32Array(1), null, null));
    expect(tsk).toEqual({ min_flt: 0, maj_flt: 1 });
  });

  it('A.10: a fault that must be retried is counted too', () => {
    const s = space(build, { before: () => VM_FAULT_RETRY });
    s.map(AT, 1);
    const tsk = { min_flt: 0, maj_flt: 0 };
    const call = (): number =>
      __get_user_pages(tsk, s.mm, AT, 1, FOLL_GET | FOLL_NOWAIT, new Uint32Array(1), null, null);
    expect(s.locked(call)).toBe(0);
    expect(tsk.min_flt).toBe(1);
  });

  it('A.7: FOLL_TOUCH marks pages accessed; without it they are not', () => {
    const s = space(build);
    s.map(AT, 1);
    const [pfn] = s.touch(AT, 1);
    for (const touch of [0, FOLL_TOUCH]) {
      s.locked(() => __get_user_pages(null, s.mm, AT, 1, FOLL_GET | touch, new Uint32Array(1), null, null));
      expect(testFlag(s.phys, pfn!, PG_REFERENCED)).toBe(touch !== 0);
    }
  });

  it('A.1: pages and FOLL_GET go together: FLAGS, nothing changed', () => {
    const s = space(build);
    s.map(AT, 1);
    const call = (flags: number, pages: Uint32Array | null) => () =>
      s.locked(() => __get_user_pages(null, s.mm, AT, 1, flags, pages, null, null));
    expect(codeOf(call(FOLL_GET, null))).toBe('FLAGS');
    expect(codeOf(call(0, new Uint32Array(1)))).toBe('FLAGS');
    expect(codeOf(call(0x40, null))).toBe('FLAGS');
    expect(s.memory.stat.pgfault).toBe(0);
  });

  const bad: [string, unknown[]][] = [
    ['start', [null, null, NaN, 1, FOLL_GET, new Uint32Array(1), null, null]],
    ['nr_pages', [null, null, AT, 1.5, FOLL_GET, new Uint32Array(1), null, null]],
    ['gup_flags', [null, null, AT, 1, NaN, new Uint32Array(1), null, null]],
    ['gup_flags', [null, null, AT, 1, 0.5, new Uint32Array(1), null, null]],
    ['pages', [null, null, AT, 2, FOLL_GET, new Uint32Array(1), null, null]],
    ['pages', [null, null, AT, 1, FOLL_GET, [0], null, null]],
    ['vmas', [null, null, AT, 1, FOLL_GET, new Uint32Array(1), {}, null]],
  ];
  it.each(bad)('a bad %s: RangeError that names it, nothing changed', (name, args) => {
    const s = space(build);
    s.map(AT, 2);
    args[1] = s.mm;
    const call = __get_user_pages as (...args: unknown[]) => unknown;
    const error = codeOf(() => s.locked(() => call(...args)));
    expect(error).toBeInstanceOf(RangeError);
    expect((error as RangeError).message.startsWith(`${name}: `)).toBe(true);
    expect(s.memory.stat.pgfault).toBe(0);
  });

  it('A.15: put_page drops one reference; the last one frees an orphan', () => {
    const s = space(build);
    const vma = s.map(AT, 1);
    const pages = new Uint32Array(1);
    s.locked(() => __get_user_pages(null, s.mm, AT, 1, FOLL_WRITE | FOLL_GET, pages, null, null));
    put_page(s.memory, pages[0]!);
    expect([s.refs(pages[0]!), s.maps(pages[0]!)]).toEqual([1, 1]);
    expect(vma.end - vma.start).toBe(PAGE);
    expect(codeOf(() => put_page(s.memory, pages[0]!))).toBe('FREE_MAPPED');
  });

  it('A.15: set_page_dirty marks the page; set_page_dirty_lock takes its lock around that', () => {
    const s = space(build);
    s.map(AT, 2);
    const [one, two] = s.touch(AT, 2, FAULT_FLAG_WRITE);
    writeBytes(s.phys, one!, 0, Uint8Array.of(1), 0, 1);
    expect(testFlag(s.phys, one!, PG_DIRTY)).toBe(false);
    set_page_dirty(s.memory, one!);
    set_page_dirty_lock(s.memory, two!);
    for (const pfn of [one!, two!]) expect(testFlag(s.phys, pfn, PG_DIRTY)).toBe(true);
    expect(testFlag(s.phys, two!, PG_LOCKED)).toBe(false);
  });

  it('VM_WRITE alone may be written, not read', () => {
    const s = space(build);
    s.map(AT, 1, VM_WRITE | VM_MAYREAD | VM_MAYWRITE);
    const get = (flags: number): number =>
      s.locked(() => __get_user_pages(null, s.mm, AT, 1, flags, new Uint32Array(1), null, null));
    expect(get(FOLL_GET)).toBe(-EFAULT);
    expect(get(FOLL_GET | FOLL_WRITE)).toBe(1);
  });
});
