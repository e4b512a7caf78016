/** What the threads of the stress test and their main thread agree on. */

/** `line`, which stands once in the file whose path ends in `file`, becomes `text`. */
export interface Replacement {
  readonly file: string;
  readonly line: string;
  readonly text: string;
}

/** Words of `control`: 1: something is wrong; the others stop. */
export const WRONG = 0;
/** Threads that are ready; all begin together. */
export const READY = 1;
/** The pair. */
export const FIRST = 16;
export const SECOND = 32;
/** Operations done, and changes of the pair, of thread i: words 48 + 16 × i and the next. */
export const DONE = 48;

/** What a thread is started with. */
export interface Side {
  readonly words: Int32Array;
  readonly control: Int32Array;
  readonly index: number;
  readonly threads: number;
  readonly operations: number;
  readonly replacements: readonly Replacement[];
}
