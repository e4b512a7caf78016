/** gup-fast, B.11: what the walk takes, where it stops, and what the slow path does with the rest. */
import { describe, expect, it } from 'vitest';
import {
  linux6_18,
  MM_ROOT,
  MM_WRITE_PROTECT_SEQ,
  mmapIsLocked,
  mmapWriteTrylock,
  pageAnonExclusive,
  zapPageRange,
} from '@mmkit/aspace';
import {
  EEXIST,
  EFAULT,
  EINVAL,
  FOLL_FORCE,
  FOLL_NOFAULT,
  FOLL_NOWAIT,
  FOLL_WRITE,
  P_GUP_RECHECK,
  P_GUP_UNSHARE,
} from '@mmkit/base';
import { VM_FAULT_OOM } from '@mmkit/fault';
import { getUserPagesFast, pinUserPagesFast } from '@mmkit/gup/sched';
import {
  createDecoded,
  createEntry,
  E_DIRTY,
  E_PROTNONE,
  E_RIGHTS,
  E_SPECIAL,
  E_USER,
  E_USER_TABLE,
  E_WRITE,
  E_YOUNG,
  ENTRY_TABLE,
  leafIndex,
  levelIndex,
  readEntry,
  setDecoded,
  tableAt,
  writeEntry,
} from '@mmkit/pgtable';
import {
  allocPagesNowait,
  checkPhys,
  countFrames,
  folioAddRmapPtes,
  folioPincount,
  getPage,
  GFP_COMP,
  GFP_HIGHUSER_MOVABLE,
  HOT_OWNER,
  HOT_REFCOUNT,
  HOT_WORDS,
  OWNER_ANON,
  pageRefCount,
  PG_ANON_EXCLUSIVE,
  PG_REFERENCED,
  setFlag,
  testFlag,
} from '@mmkit/phys';
import { spawn, stepTask, TASK_DONE } from '@mmkit/task';
import { VM_MAYREAD, VM_MAYWRITE, VM_READ } from '@mmkit/vma';
import { AT, builds, codeOf, PAGE, schedBuilds, space } from './builds.ts';
import type { Hooks, Space } from './builds.ts';

const READ_ONLY = VM_READ | VM_MAYREAD | VM_MAYWRITE;
const WRITABLE = E_USER | E_YOUNG | E_DIRTY | E_WRITE;

/** Pages taken by the fast walk, and by the slow path. */
function share(s: Space): [number, number] {
  return [s.memory.stat.gupFast, s.memory.stat.gupSlow];
}

describe.each(builds)('%s: what is taken', (_, build) => {
  const { gup } = build;

  function process(present: number, hooks: Hooks = {}): Space {
    const s = space(build, hooks);
    s.map(AT, 24);
    s.touch(AT, present);
    return s;
  }

  it.each(['getUserPagesFast', 'pinUserPagesFast'] as const)(
    '%s: pages that are there, in order, without a fault or a lock',
    (name) => {
      const s = process(4);
      mmapWriteTrylock(s.mm);
      const faults = s.memory.stat.pgfault;
      const pages = new Uint32Array(4);
      expect(gup[name](s.mm, AT, 4, FOLL_WRITE, pages)).toBe(4);
      expect([...pages]).toEqual([0, 1, 2, 3].map((i) => s.entry(AT + i * PAGE).pfn));
      expect(share(s)).toEqual([4, 0]);
      expect(s.memory.stat.pgfault).toBe(faults);
      expect(s.sched.cpus[0]!.irqOwner).toBe(null);
    },
  );

  it('over the end of a leaf table', () => {
    const s = process(20);
    const pages = new Uint32Array(20);
    const { format } = s.memory;
    expect([leafIndex(format, AT + 15 * PAGE), leafIndex(format, AT + 16 * PAGE)]).toEqual([
      2 ** format.indexBits - 1,
      0,
    ]);
    expect(gup.pinUserPagesFast(s.mm, AT, 20, FOLL_WRITE, pages)).toBe(20);
    expect([...pages]).toEqual(Array.from({ length: 20 }, (_, i) => s.entry(AT + i * PAGE).pfn));
    expect(share(s)).toEqual([20, 0]);
  });

  it('start is rounded down to its page', () => {
    const s = process(2);
    const pages = new Uint32Array(1);
    expect(gup.pinUserPagesFast(s.mm, AT + PAGE + 0xabc, 1, FOLL_WRITE, pages)).toBe(1);
    expect(pages[0]).toBe(s.entry(AT + PAGE).pfn);
  });

  it('pages are marked referenced', () => {
    const s = process(1);
    const pages = new Uint32Array(1);
    gup.pinUserPagesFast(s.mm, AT, 1, 0, pages);
    expect(testFlag(s.phys, pages[0]!, PG_REFERENCED)).toBe(true);
  });

  it('A.16 #30: 2 there, 1 absent, then a hole: 3, the error is hidden', () => {
    const s = space(build);
    s.map(AT, 3);
    s.touch(AT, 2);
    expect(gup.getUserPagesFast(s.mm, AT, 4, FOLL_WRITE, new Uint32Array(4))).toBe(3);
    expect(share(s)).toEqual([2, 1]);
  });

  it('A.16 #31: the first page in a hole: -EFAULT', () => {
    const s = space(build);
    s.map(AT + PAGE, 1);
    expect(gup.getUserPagesFast(s.mm, AT, 2, 0, new Uint32Array(2))).toBe(-EFAULT);
  });

  it('an error after pages of the fast walk is a short count', () => {
    const s = process(2, { before: () => VM_FAULT_OOM });
    expect(gup.pinUserPagesFast(s.mm, AT, 4, FOLL_WRITE, new Uint32Array(4))).toBe(2);
  });

  it('nothing there yet: all by the slow path, mmap_lock given back', () => {
    const s = process(0);
    const pages = new Uint32Array(3);
    expect(gup.pinUserPagesFast(s.mm, AT, 3, FOLL_WRITE, pages)).toBe(3);
    expect(share(s)).toEqual([0, 3]);
    expect(mmapIsLocked(s.mm)).toBe(false);
    for (const pfn of pages) expect(s.refs(pfn)).toBe(1025);
  });

  it('flags it does not know: -EINVAL', () => {
    expect(gup.getUserPagesFast(process(1).mm, AT, 1, FOLL_NOWAIT, new Uint32Array(1))).toBe(-EINVAL);
  });
});

describe.each(builds)('%s: where the walk stops', (_, build) => {
  const { gup } = build;

  /** Three pages, the second made something else: fast takes the first, the slow path the others. */
  function second(change: (s: Space, pfn: number) => void, flags = 0, vm?: number): { s: Space; pages: Uint32Array } {
    const s = space(build);
    s.map(AT, 3, vm);
    const pfns = s.touch(AT, 3);
    change(s, pfns[1]!);
    const pages = new Uint32Array(3);
    expect(gup.pinUserPagesFast(s.mm, AT, 3, flags, pages)).toBe(3);
    expect(share(s)).toEqual([1, 2]);
    return { s, pages };
  }

  it('an empty entry', () => {
    second((s) => s.set(AT + PAGE, createEntry()));
  });

  it('an entry that is not writable, for a write', () => {
    second((s, pfn) => s.set(AT + PAGE, pfn, E_USER | E_YOUNG), FOLL_WRITE);
  });

  it('G.13: FORCE does not change that, the slow path honours it', () => {
    const s = space(build);
    s.map(AT, 1, READ_ONLY);
    expect(gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, new Uint32Array(1))).toBe(-EFAULT);
    expect(gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE | FOLL_FORCE, new Uint32Array(1))).toBe(1);
    expect(gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE | FOLL_FORCE, new Uint32Array(1))).toBe(1);
    expect(share(s)).toEqual([0, 2]);
  });

  it('the zero page, a special entry', () => {
    const { s, pages } = second((s) => {
      zapPageRange(s.mm, AT + PAGE, AT + 2 * PAGE);
      s.touch(AT + PAGE, 1, 0);
    });
    expect(pages[1]).toBe(s.phys.zeroPfn);
    expect(s.refs(s.phys.zeroPfn)).toBe(1);
  });

  it('a PROT_NONE entry', () => {
    second((s, pfn) => s.set(AT + PAGE, pfn, E_PROTNONE | E_YOUNG));
  });

  it('an entry user mode may not use', () => {
    second((s, pfn) => s.set(AT + PAGE, pfn, E_WRITE | E_YOUNG));
  });

  it('a read-only page that is not exclusive, for a pin; the slow path unshares it', () => {
    const s = space(build);
    s.map(AT, 2);
    s.touch(AT, 2);
    s.fork();
    s.touch(AT, 1);
    const old = s.entry(AT + PAGE).pfn;
    const pages = new Uint32Array(2);
    expect(gup.pinUserPagesFast(s.mm, AT, 2, 0, pages)).toBe(2);
    expect(share(s)).toEqual([1, 1]);
    expect(pages[1]).not.toBe(old);
    expect(pageAnonExclusive(s.phys, pages[1]!)).toBe(true);
    expect(s.refs(old)).toBe(1);
    expect([s.phys.nrFollPinAcquired, s.phys.nrFollPinReleased]).toEqual([3, 1]);
    checkPhys(s.phys);
  });

  it('a read-only exclusive page is taken, between others', () => {
    const s = space(build);
    s.map(AT, 4);
    const pfns = s.touch(AT, 4);
    s.set(AT + PAGE, pfns[1]!, E_USER | E_YOUNG);
    s.set(AT + 2 * PAGE, pfns[2]!, E_USER | E_YOUNG);
    const pages = new Uint32Array(4);
    expect(gup.pinUserPagesFast(s.mm, AT, 4, 0, pages)).toBe(4);
    expect([...pages]).toEqual(pfns);
    expect(share(s)).toEqual([4, 0]);
    expect(pfns.map((pfn) => s.refs(pfn))).toEqual([1025, 1025, 1025, 1025]);
    expect(pfns.map((pfn) => testFlag(s.phys, pfn, PG_REFERENCED))).toEqual([true, true, true, true]);
    expect(s.phys.nrFollPinAcquired).toBe(4);
  });

  it('a shared page is taken by a GET', () => {
    const s = space(build);
    s.map(AT, 2);
    s.touch(AT, 2);
    s.fork();
    expect(gup.getUserPagesFast(s.mm, AT, 2, 0, new Uint32Array(2))).toBe(2);
    expect(share(s)).toEqual([2, 0]);
  });

  it.each([1, 2, 3].slice(0, build.format.levels - 1))('no table at level %i', (level) => {
    const s = space(build);
    s.map(AT, 2);
    s.touch(AT, 2);
    const { tables, format } = s.memory;
    const table = tableAt(tables, s.mm.words[MM_ROOT]!, AT, level);
    const index = levelIndex(format, level, AT);
    const old = createEntry();
    readEntry(tables, table, index, old);
    writeEntry(tables, table, index, createEntry());
    expect(gup.pinUserPagesFast(s.mm, AT, 2, FOLL_NOFAULT, new Uint32Array(2))).toBe(-EFAULT);
    writeEntry(tables, table, index, old);
    expect(gup.pinUserPagesFast(s.mm, AT, 2, FOLL_NOFAULT, new Uint32Array(2))).toBe(2);
    expect(share(s)).toEqual([2, 0]);
  });

  it('B.7: pages of a large folio count on its head, a pin 1 there and 1 in its pin count', () => {
    const s = space(build);
    s.map(AT, 4);
    const head = allocPagesNowait(s.phys, GFP_HIGHUSER_MOVABLE | GFP_COMP, 2);
    for (let i = 0; i < 4; i++) {
      s.set(AT + i * PAGE, head + i, WRITABLE);
      s.phys.hot[(head + i) * HOT_WORDS + HOT_OWNER] = i === 0 ? OWNER_ANON : head;
      setFlag(s.phys, head + i, PG_ANON_EXCLUSIVE);
    }
    folioAddRmapPtes(s.phys, head, 4);
    getPage(s.phys, head, 3);
    const pages = new Uint32Array(4);
    expect(gup.pinUserPagesFast(s.mm, AT, 4, FOLL_WRITE, pages)).toBe(4);
    expect([...pages]).toEqual([head, head + 1, head + 2, head + 3]);
    expect(share(s)).toEqual([4, 0]);
    expect([pageRefCount(s.phys, head), folioPincount(s.phys, head)]).toEqual([8, 4]);
    checkPhys(s.phys);
    gup.unpinUserPages(s.memory, pages, 4);
    expect([pageRefCount(s.phys, head), folioPincount(s.phys, head)]).toEqual([4, 0]);
    expect(gup.getUserPagesFast(s.mm, AT, 4, 0, pages)).toBe(4);
    expect(pageRefCount(s.phys, head)).toBe(8);
    gup.putUserPages(s.memory, pages, 4);
    expect(pageRefCount(s.phys, head)).toBe(4);
  });

  it('a right that an upper level does not pass on; tables of riscv64 pass on all', () => {
    const s = space(build);
    s.map(AT, 1);
    s.touch(AT, 1);
    const { tables, format } = s.memory;
    const table = tableAt(tables, s.mm.words[MM_ROOT]!, AT, 2);
    const index = levelIndex(format, 2, AT);
    const [entry, decoded] = [createEntry(), createDecoded()];
    readEntry(tables, table, index, entry);
    format.decode(entry.lo, entry.hi, 2, decoded);
    expect(decoded.flags & E_RIGHTS).toBe(E_RIGHTS);
    decoded.flags &= ~E_WRITE;
    format.encode(decoded, 2, entry);
    writeEntry(tables, table, index, entry);
    readEntry(tables, table, index, entry);
    format.decode(entry.lo, entry.hi, 2, decoded);
    const passed = (decoded.flags & E_WRITE) !== 0 ? 1 : 0;
    expect(passed).toBe(format.name.startsWith('riscv64') ? 1 : 0);
    gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, new Uint32Array(1));
    expect(share(s)[0]).toBe(passed);
    gup.getUserPagesFast(s.mm, AT, 1, 0, new Uint32Array(1));
    expect(share(s)[0]).toBe(passed + 1);
  });

  it('a page without references, being freed, and one with too many', () => {
    for (const count of [0, 0x7fff_ffff - 1023]) {
      const s = space(build);
      s.map(AT, 2);
      const pfns = s.touch(AT, 2);
      s.phys.hot[pfns[1]! * HOT_WORDS + HOT_REFCOUNT] = count;
      expect(gup.pinUserPagesFast(s.mm, AT, 2, FOLL_WRITE, new Uint32Array(2))).toBe(1);
      expect(s.refs(pfns[1]!)).toBe(count);
      expect(share(s)).toEqual([1, 0]);
    }
  });

  it('a frame, or a table, beyond RAM: the slow path refuses it, with interrupts on again', () => {
    const beyond = 5000;
    for (const flags of [0, FOLL_WRITE]) {
      const s = space(build);
      s.map(AT, 2);
      s.touch(AT, 2);
      const call = (): number => gup.pinUserPagesFast(s.mm, AT, 2, flags, new Uint32Array(2));
      s.set(AT + PAGE, beyond, flags === 0 ? E_USER | E_YOUNG : WRITABLE);
      expect(codeOf(call)).toBeInstanceOf(RangeError);
      expect([share(s)[0], s.sched.cpus[0]!.irqOwner]).toEqual([1, null]);

      const t = space(build);
      t.map(AT, 1);
      t.touch(AT, 1);
      const { tables, format } = t.memory;
      const [entry, decoded] = [createEntry(), createDecoded()];
      setDecoded(decoded, ENTRY_TABLE, beyond, E_USER_TABLE);
      format.encode(decoded, 1, entry);
      const table = tableAt(tables, t.mm.words[MM_ROOT]!, AT, 1);
      writeEntry(tables, table, levelIndex(format, 1, AT), entry);
      expect(codeOf(() => gup.pinUserPagesFast(t.mm, AT, 1, flags, new Uint32Array(1)))).toBe('TABLE_OUTSIDE_RAM');
      expect([share(t)[0], t.sched.cpus[0]!.irqOwner]).toEqual([0, null]);
    }
  });

  it('no page more than asked for, read-only ones too', () => {
    const s = space(build);
    s.map(AT, 4);
    const pfns = s.touch(AT, 4);
    for (const [i, pfn] of pfns.entries()) s.set(AT + i * PAGE, pfn, E_USER | E_YOUNG);
    expect(gup.pinUserPagesFast(s.mm, AT, 2, 0, new Uint32Array(4))).toBe(2);
    expect(pfns.map((pfn) => s.refs(pfn))).toEqual([1025, 1025, 1, 1]);
  });

  it('E.3 #8: an entry for the zero page that does not say special: it is not counted as pinned', () => {
    const s = space(build);
    s.map(AT, 1);
    for (const flags of [0, FOLL_WRITE]) {
      s.set(AT, s.phys.zeroPfn, flags === 0 ? E_USER | E_YOUNG : WRITABLE);
      expect(gup.pinUserPagesFast(s.mm, AT, 1, flags, new Uint32Array(1))).toBe(1);
      expect([s.refs(s.phys.zeroPfn), s.phys.nrFollPinAcquired]).toEqual([1, 0]);
    }
  });

  it('the same with the policies off: nothing else changes', () => {
    const policy = { ...linux6_18, fastRecheck: false, writeProtectSeq: false, unshare: false };
    const s = space(build, {}, { policy });
    s.map(AT, 3);
    const pfns = s.touch(AT, 3);
    s.set(AT + PAGE, pfns[1]!, E_USER | E_YOUNG);
    s.mm.words[MM_WRITE_PROTECT_SEQ] = 1;
    const pages = new Uint32Array(3);
    expect(gup.pinUserPagesFast(s.mm, AT, 3, 0, pages)).toBe(3);
    expect([...pages]).toEqual(pfns);
    expect(share(s)).toEqual([3, 0]);
    expect(gup.pinUserPagesFast(s.mm, AT, 3, FOLL_WRITE, pages)).toBe(3);
    expect(share(s)).toEqual([4, 2]);
  });

  it('a special entry that is no zero page goes slow, and has no page', () => {
    const s = space(build);
    s.map(AT, 1);
    s.set(AT, 0x1234, E_USER | E_SPECIAL);
    expect(gup.getUserPagesFast(s.mm, AT, 1, 0, new Uint32Array(1))).toBe(-EEXIST);
  });
});

describe.each(schedBuilds)('%s: B.11 #6 and #7, between grab and recheck', (_, build) => {
  /** A walk over 2 pages, stopped when it has grabbed the first. */
  function grabbed(
    get: typeof pinUserPagesFast,
    flags: number,
  ): { s: Space; pfns: number[]; end: () => unknown; step: () => number } {
    const s = space(build);
    s.map(AT, 2);
    const pfns = s.touch(AT, 2);
    const task = spawn(s.sched, 'walk', get(s.mm, AT, 2, flags, new Uint32Array(2)));
    const step = (): number => {
      stepTask(s.sched, task);
      return task.point;
    };
    while (step() !== P_GUP_RECHECK);
    const end = (): unknown => {
      while (task.state !== TASK_DONE) step();
      return task.result;
    };
    return { s, pfns, end, step };
  }

  it.each([
    ['pin', pinUserPagesFast, 1024],
    ['get', getUserPagesFast, 1],
  ] as const)(
    '%s: the entry has changed: the page is put back, the slow path takes what is there now',
    (_, get, unit) => {
      const { s, pfns, end } = grabbed(get, FOLL_WRITE);
      expect(s.refs(pfns[0]!)).toBe(1 + unit);
      zapPageRange(s.mm, AT, AT + PAGE);
      expect(s.refs(pfns[0]!)).toBe(unit);
      expect(end()).toBe(2);
      expect(share(s)).toEqual([0, 2]);
      expect(countFrames(s.phys).used).toBe(s.memory.format.levels + 2);
      expect(s.phys.nrFollPinAcquired - s.phys.nrFollPinReleased).toBe(unit === 1024 ? 2 : 0);
      checkPhys(s.phys);
    },
  );

  it('the entry above has changed though the entry has not (khugepaged): put back', () => {
    const { s, pfns, step } = grabbed(pinUserPagesFast, FOLL_WRITE);
    clearAbove(s);
    step();
    expect(s.refs(pfns[0]!)).toBe(1);
    expect(share(s)).toEqual([0, 0]);
  });

  it.each(['nothing', 'the entry', 'the entry above'])(
    'a read-only entry, %s changed: the same two checks, then PageAnonExclusive',
    (what) => {
      const s = space(build);
      s.map(AT, 1);
      const [pfn] = s.touch(AT, 1);
      s.set(AT, pfn!, E_USER | E_YOUNG);
      const task = spawn(s.sched, 'walk', pinUserPagesFast(s.mm, AT, 1, FOLL_NOFAULT, new Uint32Array(1)));
      const step = (): number => {
        stepTask(s.sched, task);
        return task.point;
      };
      while (step() !== P_GUP_RECHECK);
      expect(s.refs(pfn!)).toBe(1025);
      if (what === 'the entry') s.set(AT, pfn!, E_USER);
      if (what === 'the entry above') clearAbove(s);
      expect(step() === P_GUP_UNSHARE).toBe(what === 'nothing');
      expect(s.refs(pfn!)).toBe(what === 'nothing' ? 1025 : 1);
    },
  );

  /** khugepaged unhooks the leaf table of AT. */
  function clearAbove(s: Space): void {
    const { tables, format } = s.memory;
    const table = tableAt(tables, s.mm.words[MM_ROOT]!, AT, 1);
    writeEntry(tables, table, levelIndex(format, 1, AT), createEntry());
  }
});
