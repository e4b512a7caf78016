/** A run of entries in one leaf table on gup-fast's way, the entry above it, and how far the walk has come. */
import type { EntryTest, Format } from '@mmkit/pgtable';
import { frameWordIndex, frameWords, Phys } from '@mmkit/phys';

export class Run {
  /** The words of the leaf table's chunk. */
  readonly words: Int32Array;
  /** Where the low word of the first entry is in them. An entry begins at an even index: its high word is at n ^ 1. */
  readonly first: number;
  /** How many entries. */
  readonly count: number;
  /** The same for the entry above, which leads to the leaf table; where it is not read again, what was read. */
  readonly aboveWords: Int32Array;
  readonly above: number;
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
    phys: Phys,
    format: Format,
    table: number,
    index: number,
    count: number,
    above: number,
    aboveIndex: number,
    aboveLo: number,
    aboveHi: number,
    recheckAbove: boolean,
    test: EntryTest,
    writeTest: EntryTest,
  ) {
    this.words = frameWords(phys, table);
    this.first = frameWordIndex(phys, table) + index * 2 + format.lowAt;
    this.count = count;
    this.aboveWords = recheckAbove ? frameWords(phys, above) : Int32Array.of(aboveLo, aboveHi);
    this.above = recheckAbove ? frameWordIndex(phys, above) + aboveIndex * 2 + format.lowAt : 0;
    this.aboveLo = aboveLo;
    this.aboveHi = aboveHi;
    this.test = test;
    this.writeTest = writeTest;
    this.taken = 0;
  }
}
