/** One address of an x86-64 MMU with the entries on its way, made by hand. */
import { bigintHigh, bigintLow, wordsToBigint } from '@mmkit/base';
import { createPhys, frameWordIndex, frameWords, type Phys } from '@mmkit/phys';
import { createTranslation, physMemory, translate, type Translation, x86Mmu, type X86Mmu } from '@mmkit/pgtable';
import type { X86MmuOptions } from '@mmkit/pgtable';

/** Frames of RAM; the table of level n lies in frame n + 1. */
const ROOM = 16;
/** P, R/W, U/S. */
const OPEN = 0x7n;
/** In the low half of both modes; every index differs. */
export const ADDRESS = 0x1234_5678_9abcn;
/** What the leaf maps: page 0x12345 at level 0, so far aligned as its level needs. */
const FRAME = 0x12345n;

export class Image {
  readonly mmu: X86Mmu;
  readonly phys: Phys;
  readonly address: bigint;
  /** The last walk. */
  readonly found: Translation;

  /** Open tables for `address` down to an open leaf at `level`. */
  constructor(options: X86MmuOptions = {}, level = 0, address: bigint = ADDRESS) {
    this.mmu = x86Mmu(options);
    this.phys = createPhys({ frames: ROOM });
    this.address = address;
    this.found = createTranslation();
    for (let n = this.mmu.levels - 1; n > level; n--) this.set(n, (BigInt(n) << 12n) | OPEN);
    const frame = (FRAME >> BigInt(9 * level)) << BigInt(9 * level);
    this.set(level, (frame << 12n) | OPEN | (level > 0 ? 0x80n : 0n));
  }

  get root(): bigint {
    return BigInt(this.mmu.levels) << 12n;
  }

  at(level: number): number {
    const index = Number((this.address >> BigInt(12 + 9 * level)) & 511n);
    return frameWordIndex(this.phys, level + 1) + index * 2;
  }

  get(level: number): bigint {
    const words = frameWords(this.phys, level + 1);
    return wordsToBigint(words[this.at(level)]!, words[this.at(level) + 1]!);
  }

  set(level: number, value: bigint): void {
    const words = frameWords(this.phys, level + 1);
    words[this.at(level)] = bigintLow(value);
    words[this.at(level) + 1] = bigintHigh(value);
  }

  /** All entries from the root down to `level`. */
  path(level = 0): bigint[] {
    return Array.from({ length: this.mmu.levels - level }, (_, n) => this.get(this.mmu.levels - 1 - n));
  }

  walk(access: number, address: bigint = this.address): number {
    return translate(this.mmu, physMemory(this.phys), this.root, address, access, this.found);
  }
}
