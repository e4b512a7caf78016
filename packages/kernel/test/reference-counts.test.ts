/** E.1 row by row, where anonymous memory brings its states about: reference count, map count, pin count; B.22 #11, #12. */
import { describe, expect, it } from 'vitest';
import { FOLL_WRITE } from '@mmkit/base';
import { mmapReadTrylock, mmapReadUnlock } from '@mmkit/aspace';
import type { Machine, Process } from '@mmkit/kernel';
import { MADV_HUGEPAGE, MAP_FIXED, PROT_READ } from '@mmkit/mm';
import {
  compoundHead,
  folioEntireMapcount,
  folioMapcount,
  folioMaybeDmaPinned,
  folioPincount,
  pageRefCount,
} from '@mmkit/phys';
import { ANON, builds, Cpu, endAll, PAGE, RW, setUp } from './builds.ts';

/** Pages of a huge page. */
const NR = 512;
const HUGE = NR * PAGE;
/** Where a huge page may begin. */
const AT = 64 * HUGE;

describe.each(builds)('%s build', (_name, api) => {
  const counts = ({ memory: { phys } }: Machine, pfn: number): number[] => [
    pageRefCount(phys, pfn),
    folioMapcount(phys, pfn),
    folioPincount(phys, pfn),
  ];

  /** A process whose first page was written to: its frame. */
  function written(): { machine: Machine; process: Process; address: number; pfn: number } {
    const made = setUp(api);
    const cpu = new Cpu(api, made.machine);
    cpu.poke(made.process, made.address, 1);
    return { ...made, pfn: cpu.pfn(made.process, made.address) };
  }

  /** A process with one huge page, written to: its first frame. */
  function writtenHuge(): { machine: Machine; process: Process; pfn: number } {
    const machine = api.createMachine({ ramBytes: 8 * HUGE });
    const process = api.createProcess(machine)!;
    expect(api.mmap(process.mm, AT, HUGE, RW, ANON | MAP_FIXED)).toBe(AT);
    expect(api.madvise(process.mm, AT, HUGE, MADV_HUGEPAGE)).toBe(0);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, AT, 1);
    return { machine, process, pfn: compoundHead(machine.memory.phys, cpu.pfn(process, AT)) };
  }

  /** `times` calls for one page, by the fast walk. */
  function grab(
    name: 'pin' | 'get',
    process: Process,
    address: number,
    times: number,
    flags = FOLL_WRITE,
  ): Uint32Array {
    const page = new Uint32Array(1);
    for (let i = 0; i < times; i++) expect(api[`${name}UserPagesFast`](process.mm, address, 1, flags, page)).toBe(1);
    return page;
  }

  it('E.1: anon 4K mapped once: 1, 1', () => {
    const { machine, pfn } = written();
    expect(counts(machine, pfn)).toEqual([1, 1, 0]);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('E.1: anon 4K mapped by parent and child: 2, 2', () => {
    const { machine, process, pfn } = written();
    api.forkProcess(machine, process);
    expect(counts(machine, pfn)).toEqual([2, 2, 0]);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('E.1: anon 4K with one pin: 1025, 1', () => {
    const { machine, process, address, pfn } = written();
    expect(grab('pin', process, address, 1)[0]).toBe(pfn);
    expect(counts(machine, pfn)).toEqual([1025, 1, 0]);
  });

  it('E.1: anon 4K with 3 pins and 2 references: 3075, 1', () => {
    const { machine, process, address, pfn } = written();
    grab('pin', process, address, 3);
    grab('get', process, address, 2);
    expect(counts(machine, pfn)).toEqual([3075, 1, 0]);
  });

  it('E.1: anon 4K pinned, then unmapped: 1024, 0; the last unpin frees it', () => {
    const { machine, process, address, pfn } = written();
    const page = grab('pin', process, address, 1);
    expect(api.munmap(process.mm, address, PAGE)).toBe(0);
    expect(counts(machine, pfn)).toEqual([1024, 0, 0]);
    api.unpinUserPages(machine.memory, page, 1);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('E.1: anon THP mapped once by a large entry: 1, 1 (entire), 0', () => {
    const { machine, pfn } = writtenHuge();
    expect([...counts(machine, pfn), folioEntireMapcount(machine.memory.phys, pfn)]).toEqual([1, 1, 0, 1]);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it.each(['slow', 'fast'] as const)(
    'E.1, B.22 #11: all 512 pages of a THP pinned by one call, %s: 512; references +512, 512 pins',
    (way) => {
      const { machine, process, pfn } = writtenHuge();
      const pages = new Uint32Array(NR);
      const { stat, phys } = machine.memory;
      const faults = stat.pgfault;
      // The slow path, which looks up page by page, is asked where mmap_lock is held.
      if (way === 'fast') expect(api.pinUserPagesFast(process.mm, AT, NR, FOLL_WRITE, pages)).toBe(NR);
      else {
        mmapReadTrylock(process.mm);
        expect(api.pinUserPages(process.mm, AT, NR, FOLL_WRITE, pages)).toBe(NR);
        mmapReadUnlock(process.mm);
      }
      expect([...pages]).toEqual(Array.from({ length: NR }, (_, page) => pfn + page));
      expect(counts(machine, pfn)).toEqual([513, 1, 512]);
      expect([stat.pgfault, phys.nrFollPinAcquired]).toEqual([faults, NR]);
      api.unpinUserPages(machine.memory, pages, NR);
      expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
    },
  );

  it('B.22 #12: 511 of them unpinned: 1 pin is left, wherever in the folio', () => {
    const { machine, process, pfn } = writtenHuge();
    const pages = new Uint32Array(NR);
    expect(api.pinUserPagesFast(process.mm, AT, NR, FOLL_WRITE, pages)).toBe(NR);
    api.unpinUserPages(machine.memory, pages, NR - 1);
    expect(counts(machine, pfn)).toEqual([2, 1, 1]);
    expect(folioMaybeDmaPinned(machine.memory.phys, pfn)).toBe(true);
    api.unpinUserPages(machine.memory, pages.subarray(NR - 1), 1);
    expect(counts(machine, pfn)).toEqual([1, 1, 0]);
    expect(folioMaybeDmaPinned(machine.memory.phys, pfn)).toBe(false);
  });

  it('E.1: … then its large entry split: 1024 (512 maps, 512 pins), 512, 512', () => {
    const { machine, process, pfn } = writtenHuge();
    const pages = new Uint32Array(NR);
    expect(api.pinUserPagesFast(process.mm, AT, NR, FOLL_WRITE, pages)).toBe(NR);
    expect(api.mprotect(process.mm, AT + PAGE, PAGE, PROT_READ)).toBe(0);
    expect([...counts(machine, pfn), folioEntireMapcount(machine.memory.phys, pfn)]).toEqual([1024, 512, 512, 0]);
    api.checkMachine(machine);
    api.unpinUserPages(machine.memory, pages, NR);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('E.1: the zero page after any number of pins: unchanged', () => {
    const { machine, process, address } = setUp(api);
    const { phys } = machine.memory;
    const cpu = new Cpu(api, machine);
    cpu.peek(process, address);
    const before = counts(machine, phys.zeroPfn);
    const page = grab('pin', process, address, 7, 0);
    expect([page[0], counts(machine, phys.zeroPfn)]).toEqual([phys.zeroPfn, before]);
    for (let i = 0; i < 7; i++) api.unpinUserPages(machine.memory, page, 1);
    expect([counts(machine, phys.zeroPfn), phys.nrFollPinAcquired]).toEqual([before, 0]);
  });

  it('E.1: folio_maybe_dma_pinned of a mapped page: 1023 references no, 1024 yes', () => {
    const { machine, process, address, pfn } = written();
    grab('get', process, address, 1022);
    expect([pageRefCount(machine.memory.phys, pfn), folioMaybeDmaPinned(machine.memory.phys, pfn)]).toEqual([
      1023,
      false,
    ]);
    grab('get', process, address, 1);
    expect(folioMaybeDmaPinned(machine.memory.phys, pfn)).toBe(true);
  });
});
