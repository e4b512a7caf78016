/** The tables of a case in simulated RAM, and what a walk changes in them. */
import type { TableMemory } from '@mmkit/pgtable';
import { createPhys, frameBytes, frameWordIndex, frameWords, zeroFrame } from '@mmkit/phys';
import type { Phys } from '@mmkit/phys';
import { RAM_SIZE } from './format.ts';
import type { Change, Hex } from './format.ts';
import type { Region } from './machines.ts';

export type PageSize = 4096 | 16384 | 65536;

/** A page that holds words of the image. */
interface Page {
  /** Its frame, counted from the start of RAM. */
  readonly frame: number;
  /** The RAM. */
  readonly live: BigUint64Array;
  /** What it held before the last probe. */
  readonly before: BigUint64Array;
}

/** RAM for one image after the other: making 2 GiB of it, sparse as it is, costs more than all probes of a case. */
export class Image implements TableMemory {
  readonly phys: Phys;
  /** The first page frame of RAM. Set by `load`. */
  base: number;
  /** By ascending address; all other pages are zero. `load` only. */
  pages: readonly Page[];
  /** What answers outside RAM. Set by `load`. */
  regions: readonly Region[];

  constructor(pageSize: PageSize) {
    this.phys = createPhys({ frames: Number(RAM_SIZE) / pageSize, pageSize });
    this.base = 0;
    this.pages = [];
    this.regions = [];
  }

  /** Makes RAM, which starts at physical address `ramBase`, hold the words of `mem` and nothing else. */
  load(ramBase: bigint, mem: Readonly<Record<Hex, Hex>>, regions: readonly Region[]): void {
    const { phys } = this;
    this.regions = regions;
    for (const { frame } of this.pages) zeroFrame(phys, frame);
    this.base = Number(ramBase) / phys.pageSize;
    const found = new Map<number, BigUint64Array>();
    for (const [key, value] of Object.entries(mem)) {
      const offset = Number(BigInt(key) - ramBase);
      const frame = Math.floor(offset / phys.pageSize);
      const live = found.get(frame) ?? liveWords(phys, frame);
      found.set(frame, live);
      live[(offset % phys.pageSize) / 8] = BigInt(value);
    }
    const pages = [...found].map(([frame, live]) => ({ frame, live, before: live.slice() }));
    this.pages = pages.sort((a, b) => a.frame - b.frame);
  }

  /** True when something answers at page frame `pfn`. */
  answers(pfn: number): boolean {
    return this.isRam(pfn) || this.regionOf(pfn) !== undefined;
  }

  /** What is written to a page outside RAM is lost. */
  words(pfn: number): Int32Array | null {
    if (this.isRam(pfn)) return frameWords(this.phys, pfn - this.base);
    const region = this.regionOf(pfn);
    return region === undefined ? null : new Int32Array(this.phys.pageSize / 4).fill(region.word);
  }

  wordIndex(pfn: number): number {
    return this.isRam(pfn) ? frameWordIndex(this.phys, pfn - this.base) : 0;
  }

  isRam(pfn: number): boolean {
    return pfn >= this.base && pfn < this.base + this.phys.frames;
  }

  regionOf(pfn: number): Region | undefined {
    const address = pfn * this.phys.pageSize;
    return this.regions.find(({ start, end }) => address >= start && address < end);
  }

  /** The words changed since the last call, by ascending address; they are put back unless `keep`. */
  takeChanges(keep: boolean): Change[] {
    const changes: Change[] = [];
    for (const { frame, live, before } of this.pages) {
      if (Buffer.compare(bytesOf(live), bytesOf(before)) === 0) continue;
      const start = BigInt((this.base + frame) * this.phys.pageSize);
      before.forEach((word, i) => {
        if (word !== live[i]) changes.push([hexText(start + BigInt(i * 8)), hexText(word), hexText(live[i]!)]);
      });
      if (keep) before.set(live);
      else live.set(before);
    }
    return changes;
  }
}

/** `0x` and lower-case digits. */
export function hexText(value: bigint): Hex {
  return `0x${value.toString(16)}`;
}

/** The 64-bit words of a frame, in place. */
function liveWords(phys: Phys, frame: number): BigUint64Array {
  const { buffer, byteOffset, length } = frameBytes(phys, frame, 1)!;
  return new BigUint64Array(buffer, byteOffset, length / 8);
}

function bytesOf({ buffer, byteOffset, byteLength }: BigUint64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
