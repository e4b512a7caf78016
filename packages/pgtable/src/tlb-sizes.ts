/** Sizes of a TLB's parts, in a file of their own: the bundler writes a constant's number where another file uses it. */

/** Leaf tables remembered, a power of two. */
export const TABLES = 16;
/** Kinds of leaves remembered, a power of two. */
export const KINDS = 16;
