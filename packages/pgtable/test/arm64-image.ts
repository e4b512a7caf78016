/** Hand-made images for arm64's MMU: the tables on the path of one address, and nothing else. */
import { bigintHigh, bigintLow, wordsToBigint } from '@mmkit/base';
import { abortSyndrome, arm64Mmu, createTranslation, physicalAddress, translate } from '@mmkit/pgtable';
import type { Arm64Mode, Mmu, TableMemory, Translation } from '@mmkit/pgtable';

/** Where the tables are: 1 GiB. */
const RAM = 0x4000_0000n;

class Ram implements TableMemory {
  readonly pages: Map<number, Int32Array>;

  constructor() {
    this.pages = new Map();
  }

  words(pfn: number): Int32Array | null {
    return this.pages.get(pfn) ?? null;
  }

  wordIndex(): number {
    return 0;
  }
}

export interface Image {
  readonly mmu: Mmu;
  readonly memory: TableMemory;
  /** What the last walk found. */
  readonly out: Translation;
  readonly root: bigint;
  /** How a walk ends: 0 or FAULT_*. */
  walk(access: number, va?: bigint, root?: bigint): number;
  /** ESR_EL1 of a walk that faults. */
  esr(access: number, va?: bigint, root?: bigint): number;
  /** Physical address, -1n after a fault. */
  pa(access: number, va?: bigint): bigint;
  get(level: number): bigint;
  set(level: number, value: bigint): void;
}

/** The MMU in `mode` over tables whose entry for `va` at `level` is `leaf`; `tables`: bits of the tables above. */
export function arm64Image(mode: Arm64Mode, leaf: bigint, { level = 0, va = 0n, tables = 0n } = {}): Image {
  const mmu = arm64Mmu(mode);
  const ram = new Ram();
  const out = createTranslation();
  const pageShift = BigInt(mmu.pageShift);
  const first = Number(RAM >> pageShift);
  const place = (l: number): [Int32Array, number] => {
    const words = ram.pages.get(first + mmu.levels - 1 - l)!;
    const bits = l === mmu.levels - 1 ? mmu.rootBits : mmu.indexBits;
    return [words, Number(BigInt.asUintN(bits, va >> BigInt(mmu.shifts[l]!))) * 2];
  };
  const set = (l: number, value: bigint): void => {
    const [words, at] = place(l);
    words[at] = bigintLow(value);
    words[at + 1] = bigintHigh(value);
  };
  for (let l = mmu.levels - 1; l >= level; l--) {
    ram.pages.set(first + mmu.levels - 1 - l, new Int32Array(2 ** (mmu.pageShift - 2)));
    set(l, l > level ? (BigInt(first + mmu.levels - l) << pageShift) | tables | 3n : leaf);
  }
  const walk = (access: number, at = va, root = RAM): number => translate(mmu, ram, root, at, access, out);
  return {
    mmu,
    memory: ram,
    out,
    root: RAM,
    walk,
    esr: (access, at, root) => abortSyndrome(walk(access, at, root), access, out.level),
    pa: (access, at = va) => {
      const fault = walk(access, at);
      return fault === 0 ? physicalAddress(mmu, out, at) : -1n;
    },
    get: (l) => {
      const [words, at] = place(l);
      return wordsToBigint(words[at]!, words[at + 1]!);
    },
    set,
  };
}
