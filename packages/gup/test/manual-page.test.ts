/**
 * The manual page __get_user_pages(9), sentence by sentence, in its order. Left to the tests of waiting: the sentences
 * about `nonblocking`, disk I/O and contention.
 */
import { describe, expect, it } from 'vitest';
import {
  MM_ROOT,
  mmapReadTrylock,
  mmapReadUnlock,
  mmapWriteTrylock,
  mmapWriteUnlock,
  zapPageRange,
} from '@mmkit/aspace';
import { EFAULT, ENOMEM } from '@mmkit/base';
import { VM_FAULT_OOM } from '@mmkit/fault';
import { FOLL_FORCE, FOLL_GET, FOLL_TOUCH, FOLL_WRITE } from '@mmkit/gup/classic';
import { ACCESS_READ, ACCESS_USER, createTranslation, hwWalk } from '@mmkit/pgtable';
import { PG_DIRTY, readBytes, testFlag, writeBytes } from '@mmkit/phys';
import { eraseVma, VM_MAYREAD, VM_MAYWRITE, VM_READ } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { AT, builds, codeOf, newMm, PAGE, space } from './builds.ts';
import type { Hooks, Space } from './builds.ts';

describe.each(builds)('%s: the manual page', (_, build) => {
  const { __get_user_pages, put_page, set_page_dirty, set_page_dirty_lock } = build.classic;

  /** A process with 4 writable pages at AT. */
  function process(hooks: Hooks = {}): Space {
    const s = space(build, hooks);
    s.map(AT, 4);
    return s;
  }

  function get(s: Space, start: number, nr: number, flags: number, pages: Uint32Array | null): number {
    return s.locked(() => __get_user_pages(null, s.mm, start, nr, flags, pages, null, null));
  }

  function loadAt(s: Space, address: number): number {
    const found = createTranslation();
    expect(hwWalk(s.memory.tables, s.mm.words[MM_ROOT]!, address, ACCESS_READ | ACCESS_USER, found)).toBe(0);
    return found.pfn;
  }

  function byteOf(s: Space, pfn: number): number {
    const byte = new Uint8Array(1);
    readBytes(s.phys, pfn, 0, byte, 0, 1);
    return byte[0]!;
  }

  // Arguments.

  it('tsk: the task whose faults are counted', () => {
    const s = process();
    const tsk = { min_flt: 0, maj_flt: 0 };
    s.locked(() => __get_user_pages(tsk, s.mm, AT, 2, FOLL_WRITE | FOLL_GET, new Uint32Array(2), null, null));
    expect(tsk).toEqual({ min_flt: 2, maj_flt: 0 });
  });

  it('mm: the address space that is looked at, whoever calls', () => {
    const s = process();
    const other = newMm(build, { memory: s.memory });
    const pages = new Uint32Array(1);
    get(s, AT, 1, FOLL_WRITE | FOLL_GET, pages);
    mmapReadTrylock(other);
    expect(__get_user_pages(null, other, AT, 1, FOLL_GET, new Uint32Array(1), null, null)).toBe(-EFAULT);
    expect(loadAt(s, AT)).toBe(pages[0]);
  });

  it('start: the user address the first page is at', () => {
    const s = process();
    const pages = new Uint32Array(1);
    get(s, AT + 2 * PAGE, 1, FOLL_WRITE | FOLL_GET, pages);
    expect(loadAt(s, AT + 2 * PAGE)).toBe(pages[0]);
  });

  it('nr_pages: that many pages from start on', () => {
    const s = process();
    const pages = new Uint32Array(4);
    expect(get(s, AT, 3, FOLL_WRITE | FOLL_GET, pages)).toBe(3);
    expect([0, 1, 2].map((i) => loadAt(s, AT + i * PAGE))).toEqual([...pages.subarray(0, 3)]);
    expect(pages[3]).toBe(0);
  });

  it('gup_flags: change how it is done', () => {
    const s = space(build);
    s.map(AT, 1, VM_READ | VM_MAYREAD | VM_MAYWRITE);
    expect(get(s, AT, 1, FOLL_GET | FOLL_WRITE, new Uint32Array(1))).toBe(-EFAULT);
    expect(get(s, AT, 1, FOLL_GET | FOLL_WRITE | FOLL_FORCE, new Uint32Array(1))).toBe(1);
  });

  it('pages: must have nr_pages slots', () => {
    const s = process();
    expect(codeOf(() => get(s, AT, 3, FOLL_GET, new Uint32Array(2)))).toBeInstanceOf(RangeError);
    expect(s.memory.stat.pgfault).toBe(0);
  });

  it('pages NULL: the caller only wants them faulted in', () => {
    const s = process();
    expect(get(s, AT, 3, FOLL_WRITE, null)).toBe(3);
    for (let i = 0; i < 3; i++) expect(s.refs(loadAt(s, AT + i * PAGE))).toBe(1);
  });

  it('vmas: the VMA of each page; or NULL', () => {
    const s = process();
    const second = s.map(AT + 4 * PAGE, 1);
    const vmas: (Vma | null)[] = [null, null];
    const pages = new Uint32Array(2);
    s.locked(() => __get_user_pages(null, s.mm, AT + 3 * PAGE, 2, FOLL_GET, pages, vmas, null));
    expect(vmas[0]!.end).toBe(second.start);
    expect(vmas[1]).toBe(second);
  });

  // Returns.

  it('returns the number of pages pinned', () => {
    const s = process();
    for (const nr of [1, 2, 4]) expect(get(s, AT, nr, FOLL_GET, new Uint32Array(nr))).toBe(nr);
  });

  it('which may be fewer than asked for', () => {
    expect(get(process(), AT + 2 * PAGE, 4, FOLL_GET, new Uint32Array(4))).toBe(2);
  });

  it('nr_pages 0: returns 0', () => {
    expect(get(process(), AT, 0, FOLL_GET, new Uint32Array(0))).toBe(0);
  });

  it('nr_pages negative: 0 says the page, true of the int of up to 3.8; the unsigned long it shows is a huge number', () => {
    expect(get(process(), AT, -1, FOLL_GET, new Uint32Array(4))).toBe(4);
    expect(get(process(), AT - PAGE, -1, FOLL_GET, new Uint32Array(4))).toBe(-EFAULT);
  });

  it('no page pinned: returns -errno', () => {
    expect(get(process(), AT - PAGE, 1, FOLL_GET, new Uint32Array(1))).toBe(-EFAULT);
    expect(get(process({ before: () => VM_FAULT_OOM }), AT, 1, FOLL_GET, new Uint32Array(1))).toBe(-ENOMEM);
  });

  it('each page returned must be released with put_page', () => {
    const s = process();
    const pages = new Uint32Array(4);
    get(s, AT, 4, FOLL_WRITE | FOLL_GET, pages);
    zapPageRange(s.mm, AT, AT + 4 * PAGE);
    const held = s.phys.freeFrames;
    for (const pfn of pages) put_page(s.memory, pfn);
    expect(s.phys.freeFrames).toBe(held + 4);
  });

  it('vmas are valid only while mmap_sem is held', () => {
    const s = process();
    const vmas: (Vma | null)[] = [];
    s.locked(() => {
      __get_user_pages(null, s.mm, AT, 1, FOLL_GET, new Uint32Array(1), vmas, null);
      expect(vmas[0]!.tree).toBe(s.mm.vmas);
    });
    eraseVma(s.mm.vmas, vmas[0]!);
    expect(vmas[0]!.tree).toBe(null);
  });

  it('must be called with mmap_sem held for reading or for writing', () => {
    const s = process();
    const call = (): number => __get_user_pages(null, s.mm, AT, 1, FOLL_GET, new Uint32Array(1), null, null);
    expect(codeOf(call)).toBe('LOCK_NOT_HELD');
    mmapReadTrylock(s.mm);
    expect(call()).toBe(1);
    mmapReadUnlock(s.mm);
    mmapWriteTrylock(s.mm);
    expect(call()).toBe(1);
    mmapWriteUnlock(s.mm);
    expect(codeOf(call)).toBe('LOCK_NOT_HELD');
  });

  // What is taken, and what that guarantees.

  it('takes a reference to the page each address corresponds to', () => {
    const s = process();
    const pfns = s.touch(AT, 4);
    get(s, AT, 4, FOLL_GET, new Uint32Array(4));
    expect(pfns.map((pfn) => s.refs(pfn))).toEqual([2, 2, 2, 2]);
  });

  it('that is, the page a user thread would access at that instant', () => {
    const s = process();
    const pages = new Uint32Array(4);
    get(s, AT, 4, FOLL_WRITE | FOLL_GET, pages);
    for (let i = 0; i < 4; i++) expect(loadAt(s, AT + i * PAGE + 0x7ff)).toBe(pages[i]);
  });

  it('does not guarantee that the page is still mapped afterwards, or that no other page is there', () => {
    const s = process();
    const pages = new Uint32Array(1);
    get(s, AT, 1, FOLL_WRITE | FOLL_GET, pages);
    zapPageRange(s.mm, AT, AT + PAGE);
    expect(s.maps(pages[0]!)).toBe(0);
    s.touch(AT, 1);
    expect(loadAt(s, AT)).not.toBe(pages[0]);
  });

  it('guarantees that the page is not freed', () => {
    const s = process();
    const pages = new Uint32Array(1);
    get(s, AT, 1, FOLL_WRITE | FOLL_GET, pages);
    zapPageRange(s.mm, AT, AT + PAGE);
    s.touch(AT, 4);
    expect(s.refs(pages[0]!)).toBe(1);
    expect([0, 1, 2, 3].map((i) => loadAt(s, AT + i * PAGE))).not.toContain(pages[0]);
  });

  it('the page holds data that was valid at some point in time', () => {
    const s = process();
    const [pfn] = s.touch(AT, 1);
    writeBytes(s.phys, pfn!, 0, Uint8Array.of(1), 0, 1);
    const pages = new Uint32Array(1);
    get(s, AT, 1, FOLL_GET, pages);
    zapPageRange(s.mm, AT, AT + PAGE);
    const [now] = s.touch(AT, 1);
    writeBytes(s.phys, now!, 0, Uint8Array.of(2), 0, 1);
    expect(byteOf(s, pages[0]!)).toBe(1);
  });

  // Writing.

  it('without FOLL_WRITE the page must not be written to: it may be the zero page, or shared by fork', () => {
    const s = process();
    s.touch(AT, 1);
    const child = s.fork();
    const pages = new Uint32Array(2);
    get(s, AT, 2, FOLL_GET, pages);
    expect(pages[0]).toBe(loadAt(child, AT));
    expect(pages[1]).toBe(s.phys.zeroPfn);
    get(s, AT, 2, FOLL_GET | FOLL_WRITE, pages);
    expect(pages[0]).not.toBe(loadAt(child, AT));
    expect(pages[1]).not.toBe(s.phys.zeroPfn);
  });

  it.each(['set_page_dirty', 'set_page_dirty_lock'] as const)(
    'a page written to is marked by %s before put_page',
    (name) => {
      const s = process();
      const pages = new Uint32Array(1);
      get(s, AT, 1, FOLL_WRITE | FOLL_GET, pages);
      expect(testFlag(s.phys, pages[0]!, PG_DIRTY)).toBe(false);
      writeBytes(s.phys, pages[0]!, 0, Uint8Array.of(9), 0, 1);
      const mark = { set_page_dirty, set_page_dirty_lock }[name];
      mark(s.memory, pages[0]!);
      put_page(s.memory, pages[0]!);
      expect(testFlag(s.phys, pages[0]!, PG_DIRTY)).toBe(true);
      expect(byteOf(s, loadAt(s, AT))).toBe(9);
    },
  );

  // In most cases.

  it('get_user_pages and get_user_pages_fast give the same pages', () => {
    const s = process();
    const [a, b, c] = [new Uint32Array(4), new Uint32Array(4), new Uint32Array(4)];
    get(s, AT, 4, FOLL_WRITE | FOLL_GET | FOLL_TOUCH, a);
    s.locked(() => build.gup.getUserPages(s.mm, AT, 4, FOLL_WRITE, b));
    build.gup.getUserPagesFast(s.mm, AT, 4, FOLL_WRITE, c);
    expect([b, c]).toEqual([a, a]);
    for (const pfn of a) expect(s.refs(pfn)).toBe(4);
  });
});
