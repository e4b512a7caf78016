/**
 * The tree's invariants, our counterpart of N.17's (mas_validate): for tests and for a machine's own checks. Time O(n).
 */
import { InvariantError } from '@mmkit/base';
import type { RangeNode } from './node.ts';
import { MIN_FILL, WIDTH, childAt, largestGap } from './node.ts';
import type { RangeTree } from './tree.ts';

/**
 * Throws `InvariantError('TREE_BROKEN')` unless: ranges are not empty, in order, and do not overlap; every node but the
 * root uses MIN_FILL to WIDTH slots and an inner root at least two; a parent's slot holds its child's first start, last
 * end and largest hole; all leaves are equally deep and linked in order; `size` is the number of ranges; slots not in
 * use hold nothing.
 */
export function checkTree<V>(tree: RangeTree<V>): void {
  const leaves: RangeNode<V>[] = [];
  const root = tree.root;
  must(root.leaf || root.count >= 2, 'an inner root has one child');
  let depth = 0;
  for (let node = root; !node.leaf; node = childAt(node, 0)) depth++;
  checkNode(root, depth, leaves);
  let size = 0;
  leaves.forEach((leaf, i) => {
    must(leaf.prev === (leaves[i - 1] ?? null), 'a leaf is not linked to its predecessor');
    must(leaf.next === (leaves[i + 1] ?? null), 'a leaf is not linked to its successor');
    size += leaf.count;
  });
  must(tree.size === size, `size is ${tree.size}, there are ${size} ranges`);
}

function checkNode<V>(node: RangeNode<V>, depth: number, leaves: RangeNode<V>[]): void {
  must(node.leaf === (depth === 0), 'leaves are not equally deep');
  must(node.count <= WIDTH, 'a node uses too many slots');
  if (node.leaf) leaves.push(node);
  for (let i = 0; i < node.count; i++) {
    must(node.starts[i]! < node.ends[i]!, 'a range is empty');
    must(i === 0 || node.ends[i - 1]! <= node.starts[i]!, 'ranges overlap or are out of order');
    if (node.leaf) continue;
    const child = childAt(node, i);
    must(child.count >= MIN_FILL, 'a node uses too few slots');
    must(node.starts[i] === child.starts[0], 'a summary has the wrong start');
    must(node.ends[i] === child.ends[child.count - 1], 'a summary has the wrong end');
    must(node.gaps[i] === largestGap(child), 'a summary has the wrong largest hole');
    checkNode(child, depth - 1, leaves);
  }
  for (let i = node.count; i < WIDTH; i++) must(node.slots[i] === null, 'an unused slot holds something');
}

function must(condition: boolean, message: string): void {
  if (!condition) throw new InvariantError('TREE_BROKEN', message);
}
