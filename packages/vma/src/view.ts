/**
 * Views: a reader that takes several steps sees one state of the tree, however it changes meanwhile. Linux: a section
 * under rcu_read_lock over a tree with MT_FLAGS_USE_RCU. A view is read like a tree (lookups, cursors, holes, checks). It
 * costs the writer a copy of each node the view sees, once, on the way to a change; nothing while no view is open.
 * Opening and closing need the owner's lock, reading does not.
 */
import { InvariantError } from '@mmkit/base';
import { SHIFT, freeNode } from './node.ts';
import { RangeTree, checkOpen } from './tree.ts';

/**
 * Opens a view of the tree as it is now. Close it with `closeRangeView`: until then the nodes it sees are not used
 * again. A view of a view is refused with `InvariantError('RANGE_VIEW')`.
 */
export function openRangeView<V>(tree: RangeTree<V>): RangeTree<V> {
  checkChangeable(tree);
  const { pool } = tree;
  const view = new RangeTree<V>(pool, pool.epoch);
  view.root = tree.root;
  view.height = tree.height;
  view.size = tree.size;
  view.older = pool.newest;
  pool.newest = view;
  pool.seen = pool.epoch++;
  return view;
}

/**
 * Ends a view: reading it from now on throws `InvariantError('VIEW_CLOSED')`, as does closing it twice. Closing a tree
 * throws `InvariantError('NOT_A_VIEW')`. A node of its that left the tree goes to the next older view that sees it, or
 * is free.
 */
export function closeRangeView<V>(view: RangeTree<V>): void {
  if (view.epoch < 0) throw new InvariantError('NOT_A_VIEW', 'the tree itself is not a view');
  checkOpen(view);
  const { pool } = view;
  const { older, retired } = view;
  for (const node of retired) {
    if (older !== null && pool.stamps[node >> SHIFT]! <= older.epoch) older.retired.push(node);
    else freeNode(pool, node);
  }
  retired.length = 0;
  if (pool.newest === view) {
    pool.newest = older;
    pool.seen = older === null ? -1 : older.epoch;
  } else {
    let newer = pool.newest!;
    while (newer.older !== view) newer = newer.older!;
    newer.older = older;
  }
  view.older = null;
  // For cursors that stand in it.
  view.version++;
  view.root = -1;
  view.size = 0;
}

/** Throws `InvariantError('RANGE_VIEW')` for a view, which does not change. */
export function checkChangeable<V>(tree: RangeTree<V>): void {
  if (tree.epoch >= 0) throw new InvariantError('RANGE_VIEW', 'a view cannot be changed, nor viewed');
}
