import { describe, expect, it } from 'vitest';
import { FOLL_PIN, FOLL_WRITE } from '@mmkit/base';
import { linux6_18, MM_CPUMASK, MM_ROOT } from '@mmkit/aspace';
import { folioTrylock } from '@mmkit/filemap';
import { checkMachine, createMachine, createProcess, forkProcess, load, store, translate } from '@mmkit/kernel';
import type { Machine, Process } from '@mmkit/kernel';
import { mmap } from '@mmkit/mm';
import { pinUserPagesFast } from '@mmkit/gup';
import {
  createDecoded,
  createEntry,
  createTranslation,
  E_USER,
  E_WRITE,
  ENTRY_LEAF,
  leafIndex,
  leafTable,
  setDecoded,
  tlbFlushAll,
  tlbInsert,
  writeEntry,
} from '@mmkit/pgtable';
import {
  allocPages,
  clearFlag,
  frameWordIndex,
  frameWords,
  freePages,
  getPage,
  GFP_USER,
  HOT_MAPCOUNT,
  HOT_REFCOUNT,
  HOT_WORDS,
  PG_ANON_EXCLUSIVE,
  PG_TABLE,
  setFlag,
  tryGrabFolio,
} from '@mmkit/phys';
import { downReadTrylock, upRead } from '@mmkit/rwsem';
import { eraseVma, vmaLookup } from '@mmkit/vma';
import { ANON, formats, PAGE, RW, testedFormat, thrown } from './builds.ts';

/** A machine with two processes: `process` has written page 0 of its buffer and read page 1; `child` is its fork. */
class Bench {
  readonly machine: Machine;
  readonly process: Process;
  readonly address: number;
  /** Frame of page 0. */
  readonly pfn: number;

  constructor(policy = linux6_18) {
    this.machine = createMachine({ ramBytes: 64 * PAGE, cpus: 2, format: testedFormat(), policy });
    this.process = createProcess(this.machine)!;
    this.address = mmap(this.process.mm, 0, 4 * PAGE, RW, ANON);
    store(this.machine, this.process, this.address, Uint8Array.of(1), 0, 1);
    load(this.machine, this.process, this.address + PAGE, new Uint8Array(1), 0, 1);
    this.pfn = translate(this.machine, this.process, this.address);
    checkMachine(this.machine);
  }

  fork(): Process {
    const child = forkProcess(this.machine, this.process).process!;
    checkMachine(this.machine);
    return child;
  }

  pin(): number {
    return pinUserPagesFast(this.process.mm, this.address, 1, FOLL_WRITE, new Uint32Array(1));
  }

  table(): number {
    return leafTable(this.machine.memory.tables, this.process.mm.words[MM_ROOT]!, this.address);
  }

  /** Makes page `page` of the buffer map `pfn`. */
  map(page: number, pfn: number, flags: number): void {
    const { tables, format } = this.machine.memory;
    const decoded = createDecoded();
    const entry = createEntry();
    setDecoded(decoded, ENTRY_LEAF, pfn, flags);
    format.encode(decoded, 0, entry);
    writeEntry(tables, this.table(), leafIndex(format, this.address) + page, entry);
  }

  /** Puts a translation of page `page` to `pfn` into the TLB of `cpu`. */
  cache(cpu: number, page: number, pfn: number, flags: number, root = this.process.mm.words[MM_ROOT]!): void {
    const translation = createTranslation();
    translation.pfn = pfn;
    translation.shift = 12;
    translation.flags = flags;
    tlbInsert(this.machine.memory.tlbs[cpu]!, root, this.address + page * PAGE, translation);
  }

  free(): number {
    const { phys } = this.machine.memory;
    const pfn = allocPages(phys, GFP_USER, 0);
    freePages(phys, pfn, 0);
    return pfn;
  }

  addHot(pfn: number, word: number, more: number): void {
    const { hot } = this.machine.memory.phys;
    hot[pfn * HOT_WORDS + word] = hot[pfn * HOT_WORDS + word]! + more;
  }

  check(): string {
    return thrown(() => checkMachine(this.machine));
  }
}

describe.each(formats)('%s: checkMachine: each rule sees the state it is for', () => {
  it('a machine that has run is in order', () => {
    const bench = new Bench();
    bench.fork();
    bench.pin();
    expect(bench.check()).toBe('nothing');
  });

  it('LOCK_HELD: an mmap_lock', () => {
    const bench = new Bench();
    downReadTrylock(bench.process.mm.mmapLock);
    expect(bench.check()).toBe('LOCK_HELD');
    upRead(bench.machine.sched, bench.process.mm.mmapLock);
    expect(bench.check()).toBe('nothing');
  });

  it('LOCK_HELD: a folio lock, a page-table lock', () => {
    const bench = new Bench();
    folioTrylock(bench.machine.memory, bench.pfn);
    expect(bench.check()).toBe('LOCK_HELD');
    const other = new Bench();
    folioTrylock(other.machine.memory, other.table());
    expect(other.check()).toBe('LOCK_HELD');
  });

  it('TABLE_SHARED: two processes with one table', () => {
    const bench = new Bench();
    const other = createProcess(bench.machine)!;
    const { phys } = bench.machine.memory;
    const at = Math.floor(bench.address / 2 ** 39) * 2;
    const [from, to] = [bench.process.mm.words[MM_ROOT]!, other.mm.words[MM_ROOT]!];
    for (const word of [at, at + 1]) {
      frameWords(phys, to)[frameWordIndex(phys, to) + word] = frameWords(phys, from)[
        frameWordIndex(phys, from) + word
      ]!;
    }
    expect(bench.check()).toBe('TABLE_SHARED');
  });

  it('TABLE_NOT_MARKED, TABLE_LEAKED', () => {
    const bench = new Bench();
    clearFlag(bench.machine.memory.phys, bench.table(), PG_TABLE);
    expect(bench.check()).toBe('TABLE_NOT_MARKED');
    const other = new Bench();
    other.machine.memory.tables.allocTable();
    expect(other.check()).toBe('TABLE_LEAKED');
  });

  it('PTE_OUTSIDE_VMA: the VMA is gone, its pages are not', () => {
    const bench = new Bench();
    eraseVma(bench.process.mm.vmas, vmaLookup(bench.process.mm.vmas, bench.address)!);
    expect(bench.check()).toBe('PTE_OUTSIDE_VMA');
  });

  it('PTE_TO_FREE (E.3 #5)', () => {
    const bench = new Bench();
    bench.map(2, bench.free(), E_USER);
    expect(bench.check()).toBe('PTE_TO_FREE');
  });

  it('WRITABLE_NOT_EXCLUSIVE (E.3 #1)', () => {
    const bench = new Bench();
    clearFlag(bench.machine.memory.phys, bench.pfn, PG_ANON_EXCLUSIVE);
    expect(bench.check()).toBe('WRITABLE_NOT_EXCLUSIVE');
  });

  it('ZERO_PAGE (E.3 #8): mapped writable; counted as pinned', () => {
    const bench = new Bench();
    const { phys } = bench.machine.memory;
    bench.map(1, phys.zeroPfn, E_USER | E_WRITE);
    expect(bench.check()).toBe('ZERO_PAGE');
    const other = new Bench();
    getPage(other.machine.memory.phys, phys.zeroPfn, 1024);
    expect(other.check()).toBe('ZERO_PAGE');
  });

  it('RSS', () => {
    const bench = new Bench();
    bench.process.mm.anonPages++;
    expect(bench.check()).toBe('RSS');
  });

  it('MAPCOUNT: one too many, one too few', () => {
    const bench = new Bench();
    bench.addHot(bench.pfn, HOT_MAPCOUNT, -1);
    expect(bench.check()).toBe('MAPCOUNT');
    bench.addHot(bench.pfn, HOT_MAPCOUNT, 2);
    bench.addHot(bench.pfn, HOT_REFCOUNT, 1);
    expect(bench.check()).toBe('MAPCOUNT');
  });

  it('EXCLUSIVE_SHARED (E.3 #2)', () => {
    const bench = new Bench();
    bench.fork();
    setFlag(bench.machine.memory.phys, bench.pfn, PG_ANON_EXCLUSIVE);
    expect(bench.check()).toBe('EXCLUSIVE_SHARED');
  });

  it('PINNED_NOT_EXCLUSIVE (E.3 #3), unless the policy does not unshare', () => {
    for (const unshare of [true, false]) {
      const bench = new Bench({ ...linux6_18, unshare });
      bench.fork();
      tryGrabFolio(bench.machine.memory.phys, bench.pfn, 1, FOLL_PIN);
      expect(bench.check()).toBe(unshare ? 'PINNED_NOT_EXCLUSIVE' : 'nothing');
    }
  });

  it("REFCOUNT (E.3 #4): the mapping's reference is missing under what looks like a pin", () => {
    const bench = new Bench();
    getPage(bench.machine.memory.phys, bench.pfn, 1024);
    bench.addHot(bench.pfn, HOT_REFCOUNT, -1);
    expect(bench.check()).toBe('REFCOUNT');
  });

  it('PIN_COUNT (E.3 #11): a pin that the counters do not know; 1024 plain references look the same', () => {
    const bench = new Bench();
    bench.pin();
    bench.machine.memory.phys.nrFollPinReleased++;
    expect(bench.check()).toBe('PIN_COUNT');
    const other = new Bench();
    getPage(other.machine.memory.phys, other.pfn, 1024);
    expect(other.check()).toBe('PIN_COUNT');
  });

  it('TLB_TO_FREE (E.3 #5)', () => {
    const bench = new Bench();
    bench.cache(0, 2, bench.free(), E_USER);
    expect(bench.check()).toBe('TLB_TO_FREE');
  });

  it('TLB_STALE: nothing mapped there, another frame, a right too many, a process that is gone', () => {
    const stale: ((bench: Bench) => void)[] = [
      (bench) => bench.cache(0, 2, bench.pfn, E_USER),
      (bench) => bench.cache(0, 1, bench.pfn, E_USER),
      (bench) => bench.cache(0, 1, bench.machine.memory.phys.zeroPfn, E_USER | E_WRITE),
      (bench) => bench.cache(0, 0, bench.pfn, E_USER, bench.pfn),
      (bench) => bench.cache(0, -(2 ** 25), bench.pfn, E_USER),
    ];
    for (const breakIt of stale) {
      const bench = new Bench();
      breakIt(bench);
      expect(bench.check()).toBe('TLB_STALE');
      tlbFlushAll(bench.machine.memory.tlbs[0]!);
      expect(bench.check()).toBe('nothing');
    }
  });

  it('TLB_UNMASKED: a translation on a CPU that flushes do not reach', () => {
    const bench = new Bench();
    bench.cache(1, 0, bench.pfn, E_USER | E_WRITE);
    expect(bench.check()).toBe('TLB_UNMASKED');
    bench.process.mm.words[MM_CPUMASK] = 3;
    expect(bench.check()).toBe('nothing');
  });

  it('what checkPhys and checkVmaTree find comes through', () => {
    const bench = new Bench();
    bench.machine.memory.phys.zones[0]!.free++;
    expect(bench.check()).toBe('ZONE_FREE');
    const other = new Bench();
    vmaLookup(other.process.mm.vmas, other.address)!.end += PAGE;
    expect(other.check()).toBe('TREE_BROKEN');
  });
});
