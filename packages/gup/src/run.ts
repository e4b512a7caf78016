/** A run of entries in one leaf table on gup-fast's way, the entry above it, and how far the walk has come. */
import type { EntryTest } from '@mmkit/pgtable';

export class Run {
  /** PFN of the leaf table. */
  readonly table: number;
  /** First entry. */
  readonly index: number;
  /** How many entries. */
  readonly count: number;
  /** PFN of the table above. */
  readonly above: number;
  /** Its entry that leads to the leaf table. */
  readonly aboveIndex: number;
  /** That entry's words, read once on the way down. */
  readonly aboveLo: number;
  readonly aboveHi: number;
  /** What an entry must be for the access wanted. */
  readonly test: EntryTest;
  /** What it must be to be writable. */
  readonly writeTest: EntryTest;
  /** Entries taken so far. */
  taken: number;

  constructor(
    table: number,
    index: number,
    count: number,
    above: number,
    aboveIndex: number,
    aboveLo: number,
    aboveHi: number,
    test: EntryTest,
    writeTest: EntryTest,
  ) {
    this.table = table;
    this.index = index;
    this.count = count;
    this.above = above;
    this.aboveIndex = aboveIndex;
    this.aboveLo = aboveLo;
    this.aboveHi = aboveHi;
    this.test = test;
    this.writeTest = writeTest;
    this.taken = 0;
  }
}
