/**
 * Changes of the range tree: insert, erase, move a range's bounds. Each goes down to the one leaf concerned, decides
 * there whether the change is allowed (nothing is written before), and repairs the summaries on the way up. Inside a
 * leaf an insert only shortens one hole and an erase only makes one longer, so a summary is computed anew only if that
 * hole was the largest, or if the change was at a leaf's edge (saves a quarter of the time).
 * Linux: mas_store and mas_erase without replacing several entries at once. No locking: the owner's lock, for writing.
 */
import { InvariantError, checkInteger } from '@mmkit/base';
import { MIN_FILL, RangeNode, WIDTH, childAt, firstEndAbove, largestGap, valueAt } from './node.ts';
import type { RangeTree } from './tree.ts';

/**
 * Adds the range [start, end) with its value. Throws `RangeError` for bounds that are not integers with
 * 0 ≤ start < end < 2^53, `InvariantError('RANGE_OVERLAP')` if a range already covers part of it.
 */
export function insertRange<V>(tree: RangeTree<V>, start: number, end: number, value: V): void {
  checkBounds(start, end);
  const right = insertBelow(tree, tree.root, start, end, value);
  if (right !== null) {
    const root = new RangeNode<V>(false);
    addChild(root, 0, tree.root);
    addChild(root, 1, right);
    tree.root = root;
  }
  tree.size++;
  tree.version++;
}

/** Removes the range that starts at `start` and returns its value. Throws `InvariantError('RANGE_ABSENT')`. */
export function eraseRange<V>(tree: RangeTree<V>, start: number): V {
  const value = eraseBelow(tree, tree.root, start);
  if (!tree.root.leaf && tree.root.count === 1) tree.root = childAt(tree.root, 0);
  tree.size--;
  tree.version++;
  return value;
}

/**
 * Gives the range that starts at `start` new bounds; its place in the order stays. Throws `RangeError` for bad bounds,
 * `InvariantError('RANGE_ABSENT')` if no range starts there, `InvariantError('RANGE_OVERLAP')` if a neighbour is hit.
 */
export function resizeRange<V>(tree: RangeTree<V>, start: number, newStart: number, newEnd: number): void {
  checkBounds(newStart, newEnd);
  resizeBelow(tree.root, start, newStart, newEnd);
  tree.version++;
}

function checkBounds(start: number, end: number): void {
  checkInteger('start', start, 0, Number.MAX_SAFE_INTEGER - 1);
  checkInteger('end', end, start + 1, Number.MAX_SAFE_INTEGER);
}

function overlap(start: number, end: number): InvariantError {
  return new InvariantError('RANGE_OVERLAP', `[${start}, ${end}) overlaps a range of the tree`);
}

/** The slot of the child (or range) that holds the range starting at `start`; throws if there cannot be one. */
function slotOf<V>(node: RangeNode<V>, start: number): number {
  const i = firstEndAbove(node, start);
  if (i === node.count || (node.leaf && node.starts[i] !== start)) {
    throw new InvariantError('RANGE_ABSENT', `no range starts at ${start}`);
  }
  return i;
}

/** Inserts below `node`; a node split off to its right is returned for the parent to take in. */
function insertBelow<V>(
  tree: RangeTree<V>,
  node: RangeNode<V>,
  start: number,
  end: number,
  value: V,
): RangeNode<V> | null {
  const i = firstEndAbove(node, start);
  if (node.leaf) {
    // Past the last slot only in the last leaf: a parent's end is its last leaf's, so slot i is the true successor.
    if (i < node.count && node.starts[i]! < end) throw overlap(start, end);
    tree.hole = holeBefore(node, i);
    return addSlot(node, i, start, end, 0, value);
  }
  const below = Math.min(i, node.count - 1);
  const child = childAt(node, below);
  const added = insertBelow(tree, child, start, end, value);
  const largest = tree.hole < 0 || tree.hole === node.gaps[below];
  if (added !== null || largest) refresh(node, below, child);
  return added === null ? null : addChild(node, below + 1, added);
}

function eraseBelow<V>(tree: RangeTree<V>, node: RangeNode<V>, start: number): V {
  const i = slotOf(node, start);
  if (node.leaf) {
    const value = valueAt(node, i);
    closeSlots(node, i, 1);
    tree.hole = holeBefore(node, i);
    return value;
  }
  const child = childAt(node, i);
  const value = eraseBelow(tree, child, start);
  if (child.count < MIN_FILL) refill(node, Math.max(i - 1, 0));
  else if (tree.hole < 0) refresh(node, i, child);
  else if (tree.hole > node.gaps[i]!) node.gaps[i] = tree.hole;
  return value;
}

/** The hole between slots `i − 1` and `i` of a leaf; −1 at its edges, where its bounds change with the slot. */
function holeBefore<V>(leaf: RangeNode<V>, i: number): number {
  return i > 0 && i < leaf.count ? leaf.starts[i]! - leaf.ends[i - 1]! : -1;
}

function resizeBelow<V>(node: RangeNode<V>, start: number, newStart: number, newEnd: number): void {
  const i = slotOf(node, start);
  if (!node.leaf) {
    const child = childAt(node, i);
    resizeBelow(child, start, newStart, newEnd);
    refresh(node, i, child);
    return;
  }
  const { prev, next } = node;
  const floor = i > 0 ? node.ends[i - 1]! : prev !== null ? prev.ends[prev.count - 1]! : 0;
  const ceiling = i + 1 < node.count ? node.starts[i + 1]! : next !== null ? next.starts[0]! : Infinity;
  if (newStart < floor || newEnd > ceiling) throw overlap(newStart, newEnd);
  node.starts[i] = newStart;
  node.ends[i] = newEnd;
}

/** Puts `child` into slot `at` of an inner node; the node split off is returned, or null. */
function addChild<V>(node: RangeNode<V>, at: number, child: RangeNode<V>): RangeNode<V> | null {
  return addSlot(node, at, child.starts[0]!, child.ends[child.count - 1]!, largestGap(child), child);
}

function addSlot<V>(
  node: RangeNode<V>,
  at: number,
  start: number,
  end: number,
  gap: number,
  slot: RangeNode<V> | V,
): RangeNode<V> | null {
  if (node.count === WIDTH) {
    const right = splitNode(node);
    if (at <= node.count) addSlot(node, at, start, end, gap, slot);
    else addSlot(right, at - node.count, start, end, gap, slot);
    return right;
  }
  openSlots(node, at, 1);
  setSlot(node, at, start, end, gap, slot);
  return null;
}

/** Brings the summary of child `i` of an inner node up to date. */
function refresh<V>(node: RangeNode<V>, i: number, child: RangeNode<V>): void {
  node.starts[i] = child.starts[0]!;
  node.ends[i] = child.ends[child.count - 1]!;
  node.gaps[i] = largestGap(child);
}

/** Child `j` or `j + 1` of `node` has too few slots: joins the two where they fit in one, else shares evenly. */
function refill<V>(node: RangeNode<V>, j: number): void {
  const left = childAt(node, j);
  const right = childAt(node, j + 1);
  if (left.count + right.count <= WIDTH) {
    moveSlots(right, 0, left, left.count, right.count);
    if (left.leaf) linkLeaves(left, right.next);
    closeSlots(node, j + 1, 1);
  } else {
    const half = (left.count + right.count) >> 1;
    if (left.count > half) moveSlots(left, half, right, 0, left.count - half);
    else moveSlots(right, 0, left, left.count, half - left.count);
    refresh(node, j + 1, right);
  }
  refresh(node, j, left);
}

/** Moves the upper half of a full node to a new one on its right. */
function splitNode<V>(node: RangeNode<V>): RangeNode<V> {
  const right = new RangeNode<V>(node.leaf);
  if (node.leaf) {
    linkLeaves(right, node.next);
    linkLeaves(node, right);
  }
  moveSlots(node, WIDTH / 2, right, 0, WIDTH / 2);
  return right;
}

function linkLeaves<V>(left: RangeNode<V>, right: RangeNode<V> | null): void {
  left.next = right;
  if (right !== null) right.prev = left;
}

/** Moves `n` slots from one node to another. */
function moveSlots<V>(from: RangeNode<V>, fromAt: number, to: RangeNode<V>, toAt: number, n: number): void {
  openSlots(to, toAt, n);
  for (let k = 0; k < n; k++) {
    const i = fromAt + k;
    setSlot(to, toAt + k, from.starts[i]!, from.ends[i]!, from.gaps[i]!, from.slots[i]!);
  }
  closeSlots(from, fromAt, n);
}

function setSlot<V>(
  node: RangeNode<V>,
  i: number,
  start: number,
  end: number,
  gap: number,
  slot: RangeNode<V> | V | null,
): void {
  node.starts[i] = start;
  node.ends[i] = end;
  node.gaps[i] = gap;
  node.slots[i] = slot;
}

/** Makes room for `n` slots at `at`; the caller fills them. */
function openSlots<V>(node: RangeNode<V>, at: number, n: number): void {
  const { leaf, starts, ends, gaps, slots } = node;
  for (let i = node.count - 1; i >= at; i--) {
    starts[i + n] = starts[i]!;
    ends[i + n] = ends[i]!;
    slots[i + n] = slots[i]!;
    if (!leaf) gaps[i + n] = gaps[i]!;
  }
  node.count += n;
}

/** Takes `n` slots out at `at`. */
function closeSlots<V>(node: RangeNode<V>, at: number, n: number): void {
  const { leaf, starts, ends, gaps, slots } = node;
  const count = node.count - n;
  for (let i = at; i < count; i++) {
    starts[i] = starts[i + n]!;
    ends[i] = ends[i + n]!;
    slots[i] = slots[i + n]!;
    if (!leaf) gaps[i] = gaps[i + n]!;
  }
  // What is left behind must not keep values alive.
  for (let i = count; i < node.count; i++) slots[i] = null;
  node.count = count;
}
