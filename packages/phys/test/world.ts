/** Something that uses frames and can be moved: pages by number, each with a folio, and a `migrate` port over them. */
import { EAGAIN, EBUSY, ENOMEM } from '@mmkit/base';
import {
  allocPagesNowait,
  COLD_INDEX,
  copyFrame,
  createPhys,
  folioAddLru,
  folioAddRmapPtes,
  folioMapcount,
  folioMaybeDmaPinned,
  folioNrPages,
  folioOrder,
  folioRemoveRmapPtes,
  frameWordIndex,
  frameWords,
  getPage,
  GFP_COMP,
  GFP_HIGHUSER_MOVABLE,
  HOT_OWNER,
  OWNER_ANON,
  OWNER_KIND_MASK,
  OWNER_SHIFT,
  pageRefCount,
  putPage,
} from '../src/index.ts';
import type { Phys, PhysOptions } from '../src/index.ts';
import type { Build } from './builds.ts';

export class World {
  readonly phys: Phys;
  /** The page table: the folio of each page. */
  readonly table: Map<number, number>;
  /** The folios the port was asked to move. */
  readonly asked: number[];
  /** So many of the next calls say -EAGAIN. */
  fails: number;
  /** What the port says instead of trying, 0: it tries. */
  error: number;
  /** Called before each try. */
  before: (pfn: number) => void;
  /** Whether pages are put on the LRU. */
  lru: boolean;
  /** Number of the next page. */
  next: number;

  constructor(build: Build, options: PhysOptions) {
    this.table = new Map();
    this.asked = [];
    this.fails = 0;
    this.error = 0;
    this.before = () => {};
    this.lru = false;
    this.next = 1;
    this.phys = createPhys({ ...options, migrate: build.port((_: Phys, pfn: number) => this.migrate(pfn)) });
  }

  /** Uses a movable folio for a new page: its number, −1: there is no memory. */
  map(order: number = 0): number {
    const pfn = allocPagesNowait(this.phys, GFP_HIGHUSER_MOVABLE | GFP_COMP, order);
    if (pfn < 0) return -1;
    const page = this.next++;
    this.own(page, pfn);
    for (let i = 0; i < 1 << order; i++) {
      frameWords(this.phys, pfn + i)[frameWordIndex(this.phys, pfn + i)] = page * 2048 + i;
    }
    return page;
  }

  private own(page: number, pfn: number): void {
    this.table.set(page, pfn);
    this.phys.hot[pfn * 4 + HOT_OWNER] = (page << OWNER_SHIFT) | OWNER_ANON;
    this.phys.cold[pfn * 4 + COLD_INDEX] = page;
    const pages = folioNrPages(this.phys, pfn);
    if (pages > 1) getPage(this.phys, pfn, pages - 1);
    folioAddRmapPtes(this.phys, pfn, pages);
    if (this.lru) folioAddLru(this.phys, pfn);
  }

  /** Gives a page's folio up: its mappings, a reference each. */
  unmap(page: number): void {
    const pfn = this.table.get(page)!;
    this.table.delete(page);
    const pages = folioNrPages(this.phys, pfn);
    folioRemoveRmapPtes(this.phys, pfn, pages);
    putPage(this.phys, pfn, pages);
  }

  /** The page whose folio begins at `pfn`, 0: none. */
  pageAt(pfn: number): number {
    const owner = this.phys.hot[pfn * 4 + HOT_OWNER]!;
    const page = (owner & OWNER_KIND_MASK) === OWNER_ANON ? owner >> OWNER_SHIFT : 0;
    return this.table.get(page) === pfn ? page : 0;
  }

  /** Every page still has its contents; throws else. */
  verify(): void {
    for (const [page, pfn] of this.table) {
      for (let i = 0; i < folioNrPages(this.phys, pfn); i++) {
        const word = frameWords(this.phys, pfn + i)[frameWordIndex(this.phys, pfn + i)];
        if (word !== page * 2048 + i) throw new Error(`page ${page} at ${pfn} holds ${String(word)}`);
      }
      if (this.phys.cold[pfn * 4 + COLD_INDEX] !== page) throw new Error(`frame ${pfn} is not page ${page}'s`);
    }
  }

  /** The port: as Linux, only a folio with no reference but those expected (N.12). */
  private migrate(pfn: number): number {
    const { phys } = this;
    this.asked.push(pfn);
    this.before(pfn);
    if (this.error !== 0) return this.error;
    if (this.fails > 0) {
      this.fails--;
      return -EAGAIN;
    }
    const page = this.pageAt(pfn);
    if (page === 0) return -EBUSY;
    if (folioMaybeDmaPinned(phys, pfn) || pageRefCount(phys, pfn) !== folioMapcount(phys, pfn)) return -EAGAIN;
    const target = allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE | GFP_COMP, folioOrder(phys, pfn));
    if (target < 0) return -ENOMEM;
    for (let i = 0; i < folioNrPages(phys, pfn); i++) copyFrame(phys, target + i, pfn + i);
    this.unmap(page);
    this.own(page, target);
    return 0;
  }
}
