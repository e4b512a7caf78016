/** The manual page __get_user_pages(9), sentence by sentence, in its order. */
import { describe, expect, it } from 'vitest';
import {
  linux3_14,
  MM_ROOT,
  mmapIsLocked,
  mmapReadTrylock,
  mmapReadUnlock,
  mmapWriteTrylock,
  mmapWriteUnlock,
  zapPageRange,
} from '@mmkit/aspace';
import { mmapWriteLock } from '@mmkit/aspace/sched';
import { EFAULT, ENOMEM } from '@mmkit/base';
import { VM_FAULT_OOM } from '@mmkit/fault';
import type { Inode } from '@mmkit/filemap';
import { FOLL_FORCE, FOLL_GET, FOLL_TOUCH, FOLL_WRITE } from '@mmkit/gup/classic';
import * as classicSched from '@mmkit/gup/classic/sched';
import { ACCESS_READ, ACCESS_USER, createTranslation, hwWalk } from '@mmkit/pgtable';
import { PG_DIRTY, readBytes, testFlag, writeBytes } from '@mmkit/phys';
import { runAll, spawn, stepTask, TASK_DONE, TASK_WAITING } from '@mmkit/task';
import type { Task } from '@mmkit/task';
import { eraseVma, VM_MAYREAD, VM_MAYWRITE, VM_READ } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { AT, builds, codeOf, newMm, PAGE, schedBuilds, space } from './builds.ts';
import type { Hooks, Space } from './builds.ts';
import { Disk, fileApi, LATENCY, SHARED } from './files.ts';

describe.each(builds)('%s: the manual page', (name, build) => {
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

  // nonblocking.

  /** A process with a file of 8 pages mapped at AT, none of which is cached. */
  function withDisk(): { s: Space; disk: Disk; inode: Inode } {
    const s = space(build, {}, { policy: linux3_14 });
    const disk = new Disk(name, s);
    const inode = disk.file();
    disk.map(inode, AT, SHARED);
    return { s, disk, inode };
  }

  it('nonblocking NULL: the call waits for the disk', () => {
    const { s, disk } = withDisk();
    const pages = new Uint32Array(2);
    expect(get(s, AT, 2, FOLL_GET, pages)).toBe(2);
    expect([s.sched.now, disk.byte(pages[1]!)]).toEqual([2 * LATENCY, 2]);
  });

  it('nonblocking not NULL, all pages there: it is left alone, and mmap_sem is held on return', () => {
    const { s } = withDisk();
    const pages = new Uint32Array(2);
    get(s, AT, 2, FOLL_GET, pages);
    const nonblocking = { value: 1 as 0 | 1 };
    s.locked(() => {
      expect(__get_user_pages(null, s.mm, AT, 2, FOLL_GET, pages, null, nonblocking)).toBe(2);
      expect(mmapIsLocked(s.mm)).toBe(true);
    });
    expect(nonblocking.value).toBe(1);
  });

  it('nonblocking not NULL and a page on disk: it is set to 0, and nobody waits for the disk with mmap_sem held', () => {
    const { s, disk } = withDisk();
    const nonblocking = { value: 1 as 0 | 1 };
    let held = false;
    disk.onTransfer = () => (held = mmapIsLocked(s.mm));
    s.locked(() => {
      expect(__get_user_pages(null, s.mm, AT, 2, FOLL_GET, new Uint32Array(2), null, nonblocking)).toBe(0);
    });
    expect([nonblocking.value, held]).toEqual([0, false]);
    // Without nonblocking it is held.
    disk.map(disk.file(), AT + 16 * PAGE, SHARED);
    get(s, AT + 16 * PAGE, 1, FOLL_GET, new Uint32Array(1));
    expect(held).toBe(true);
  });

  it('a page of the page cache is invalidated and read again: another page is there, the one got lives on', () => {
    const { s, inode } = withDisk();
    const files = fileApi(name);
    const [first, second] = [new Uint32Array(1), new Uint32Array(1)];
    get(s, AT, 1, FOLL_GET, first);
    files.punchHole(inode, 0, PAGE);
    get(s, AT, 1, FOLL_GET, second);
    expect(second[0]).not.toBe(first[0]);
    expect([byteOf(s, first[0]!), byteOf(s, second[0]!), s.refs(first[0]!)]).toEqual([1, 0, 1]);
  });

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

describe.each(schedBuilds)('%s: the manual page, with somebody else about', (name, build) => {
  it('nonblocking not NULL: mmap_sem, once given up, is not waited for, whoever has it now', () => {
    const s = space(build, {}, { policy: linux3_14 });
    const disk = new Disk(name, s);
    disk.map(disk.file(), AT, SHARED);
    const nonblocking = { value: 1 as 0 | 1 };
    function* reader(): Task<number> {
      if (!mmapReadTrylock(s.mm)) throw new Error('mmap_sem is not free');
      return yield* classicSched.__get_user_pages(null, s.mm, AT, 2, FOLL_GET, new Uint32Array(2), null, nonblocking);
    }
    const call = spawn(s.sched, 'call', reader());
    while (call.state !== TASK_WAITING) stepTask(s.sched, call);
    expect(mmapIsLocked(s.mm)).toBe(false);
    // A writer that never gives it back.
    const writer = spawn(s.sched, 'writer', mmapWriteLock(s.mm));
    runAll(s.sched);
    expect([call.state, call.result, nonblocking.value, writer.state]).toEqual([TASK_DONE, 0, 0, TASK_DONE]);
  });
});
