/** The classes of Linux's memory-management locks and their order (reference E.4), and the order as text. */
import { Lockdep } from './lockdep.ts';
import type { LockClass } from './lockdep.ts';

/** inode->i_rwsem. */
export const INODE_LOCK: LockClass = Object.freeze({ name: 'inode lock' });
/** mm->mmap_lock. */
export const MMAP_LOCK: LockClass = Object.freeze({ name: 'mmap_lock' });
/** A VMA's own lock. */
export const VMA_LOCK: LockClass = Object.freeze({ name: 'vma lock' });
/** mapping->invalidate_lock; a fault takes it for reading. */
export const INVALIDATE_LOCK: LockClass = Object.freeze({ name: 'invalidate_lock' });
/** PG_locked of a folio. */
export const FOLIO_LOCK: LockClass = Object.freeze({ name: 'folio lock' });
/** mapping->i_mmap_rwsem. */
export const I_MMAP_RWSEM: LockClass = Object.freeze({ name: 'i_mmap_rwsem' });
/** anon_vma->root->rwsem. */
export const ANON_VMA_RWSEM: LockClass = Object.freeze({ name: 'anon_vma rwsem' });
/** The lock of a page table; the second of two has a subclass. */
export const PAGE_TABLE_LOCK: LockClass = Object.freeze({ name: 'page table lock' });
/** lruvec->lru_lock. */
export const LRUVEC_LOCK: LockClass = Object.freeze({ name: 'lruvec lock' });
/** mapping->i_pages. */
export const I_PAGES_LOCK: LockClass = Object.freeze({ name: 'i_pages lock' });
/** hugetlb's mutex of faults, one of a table by hash. */
export const HUGETLB_FAULT_MUTEX: LockClass = Object.freeze({ name: 'hugetlb fault mutex' });
/** hugetlb's lock of a VMA. */
export const HUGETLB_VMA_LOCK: LockClass = Object.freeze({ name: 'hugetlb vma lock' });
/** i_mmap_rwsem of a hugetlbfs file. */
export const HUGETLB_I_MMAP_RWSEM: LockClass = Object.freeze({ name: 'hugetlb i_mmap_rwsem' });
/** PG_locked of a hugetlb folio. */
export const HUGETLB_FOLIO_LOCK: LockClass = Object.freeze({ name: 'hugetlb folio lock' });

/** The second of two page-table locks: PAGE_TABLE_LOCK with SINGLE_DEPTH_NESTING. */
const PAGE_TABLE_LOCK_NESTED: LockClass = Object.freeze({ name: 'page table lock/1' });

/** The order of E.4 as chains, outer to inner, for `registerLockOrder`. hugetlb's locks have their own. */
export const LOCK_ORDER: readonly (readonly LockClass[])[] = Object.freeze([
  Object.freeze([
    INODE_LOCK,
    MMAP_LOCK,
    VMA_LOCK,
    INVALIDATE_LOCK,
    FOLIO_LOCK,
    I_MMAP_RWSEM,
    ANON_VMA_RWSEM,
    PAGE_TABLE_LOCK,
    PAGE_TABLE_LOCK_NESTED,
    LRUVEC_LOCK,
  ]),
  Object.freeze([PAGE_TABLE_LOCK_NESTED, I_PAGES_LOCK]),
  Object.freeze([
    MMAP_LOCK,
    HUGETLB_FAULT_MUTEX,
    HUGETLB_VMA_LOCK,
    HUGETLB_I_MMAP_RWSEM,
    HUGETLB_FOLIO_LOCK,
    PAGE_TABLE_LOCK,
  ]),
]);

/**
 * The order as a tree, one class a line, an inner class two columns right of its outer one. An order that follows from
 * others is left out; a class that stands in two places has its own inner classes at the first of them.
 */
export function formatLockOrder(lockdep: Lockdep): string {
  const inner = new Map([...lockdep.edges].map(([from, edges]) => [from, [...edges.keys()]]));
  const all = new Set<string>();
  const isInner = new Set<string>();
  for (const [from, names] of inner) {
    all.add(from);
    for (const name of names) {
      all.add(name);
      isInner.add(name);
    }
  }
  const below = (from: string, been: Set<string>): Set<string> => {
    for (const name of inner.get(from) ?? []) if (!been.has(name)) below(name, been.add(name));
    return been;
  };
  const lines: string[] = [];
  const shown = new Set<string>();
  const show = (name: string, depth: number): void => {
    const names = inner.get(name) ?? [];
    const more = names.length > 0 && shown.has(name);
    lines.push(`${'  '.repeat(depth)}${name}${more ? ' (above)' : ''}`);
    if (more) return;
    shown.add(name);
    for (const one of names) {
      if (!names.some((other) => other !== one && below(other, new Set()).has(one))) show(one, depth + 1);
    }
  };
  for (const name of all) if (!isInner.has(name)) show(name, 0);
  return lines.join('\n');
}
