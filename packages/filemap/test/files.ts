/** A machine with files, and a naive picture of the page tables that map them. */
import * as plain from '@mmkit/filemap';
import type { BlockDevice, BlockDeviceOptions, FileCache, Inode } from '@mmkit/filemap';
import {
  allocPages,
  checkPhys,
  compoundHead,
  createPhys,
  folioAddRmapPtes,
  folioRemoveRmapPtes,
  getPage,
  GFP_KERNEL,
  PG_DIRTY,
  putPage,
  testFlag,
} from '@mmkit/phys';
import type { Phys } from '@mmkit/phys';
import { createLockdep, createSched, runPending } from '@mmkit/task';
import type { Sched } from '@mmkit/task';
import { pattern, rmapFor } from './builds.ts';

export const PAGE = 4096;
/** Bytes of the device. */
export const DISK: number = 32 * PAGE;

export class Bench {
  readonly api: typeof plain;
  readonly sched: Sched;
  readonly phys: Phys;
  readonly files: FileCache;
  /** The device's bytes, `pattern(DISK, 3)` at first. */
  readonly disk: Uint8Array;
  readonly device: BlockDevice;
  /** What the port was told: `unmap first end cows` and `clean index`. */
  readonly calls: string[];
  /** Indexes of pages that a mapping has: true when its entry is dirty. For one file. */
  readonly mapped: Map<number, boolean>;
  /** Called after the port has unmapped a range. */
  afterUnmap: () => void;
  /** The file `mapped` is about. */
  mappedFile: Inode | null;

  constructor(api: typeof plain, options: BlockDeviceOptions, frames: number) {
    this.api = api;
    this.sched = createSched({ cpus: 2, lockdep: createLockdep() });
    this.phys = createPhys({ frames });
    this.files = api.createFileCache(this.sched, this.phys);
    this.disk = pattern(DISK, 3);
    this.device = api.createBlockDevice(this.sched, this.phys, api.createMemoryBackend(this.disk), options);
    this.calls = [];
    this.mapped = new Map();
    this.afterUnmap = () => {};
    this.mappedFile = null;
  }

  /** A file of `size` bytes: shmem, or on the device with its contents from byte `offset` on (absent: a hole). */
  file(kind: 'disk' | 'shmem', size = 0, offset?: number): Inode {
    const unmap = (first: number, end: number, evenCows: boolean): void => {
      this.calls.push(`unmap ${first} ${end} ${evenCows}`);
      for (const index of this.mapped.keys()) if (index >= first && index < end) this.unmap(index);
      this.afterUnmap();
    };
    const clean = (_pfn: number, index: number): boolean => {
      this.calls.push(`clean ${index}`);
      const dirty = this.mapped.get(index) === true;
      if (dirty) this.mapped.set(index, false);
      return dirty;
    };
    const inode = this.api.createInode(
      this.files,
      kind === 'disk' ? this.device : null,
      rmapFor(this.api, unmap, clean),
    );
    if (offset === undefined) inode.size = size;
    else this.api.addExtent(inode, offset, size);
    return inode;
  }

  /** Maps the cached page at `index`; `dirty`: by an entry with the dirty bit. */
  map(inode: Inode, index: number, dirty = false): number {
    const pfn = inode.pages.get(index)!;
    getPage(this.phys, pfn);
    folioAddRmapPtes(this.phys, pfn);
    this.mappedFile = inode;
    this.mapped.set(index, dirty);
    return pfn;
  }

  private unmap(index: number): void {
    const pfn = this.mappedFile!.pages.get(index)!;
    if (this.mapped.get(index) === true) this.api.folioMarkDirty(this.files, pfn);
    this.mapped.delete(index);
    folioRemoveRmapPtes(this.phys, pfn);
    putPage(this.phys, pfn);
  }

  /** `length` bytes of the file at `pos`; throws unless that many are read. */
  read(inode: Inode, pos: number, length: number): Uint8Array {
    const into = new Uint8Array(length).fill(0xee);
    const got = this.api.filemapRead(inode, pos, into, 0, length);
    if (got !== length) throw new Error(`read ${got} of ${length}`);
    return into;
  }

  write(inode: Inode, pos: number, bytes: Uint8Array): number {
    return this.api.filemapWrite(inode, pos, bytes, 0, bytes.length);
  }

  fsync(inode: Inode): number {
    return this.api.filemapWriteAndWait(inode, 0, Infinity);
  }

  /** Cached and dirty pages. */
  stat(inode: Inode): number[] {
    const { cached, dirty } = this.api.cacheStat(inode, 0, Infinity);
    return [cached, dirty];
  }

  /** Lets every event happen. */
  settle(): void {
    while (runPending(this.sched));
  }

  /** Takes all free frames but `left`, to make allocations fail; gives them back when called. */
  hog(left: number): () => void {
    const taken: number[] = [];
    while (this.phys.freeFrames > left) taken.push(allocPages(this.phys, GFP_KERNEL, 0));
    return () => {
      for (const pfn of taken) putPage(this.phys, pfn);
    };
  }

  /** What must hold of a file while no call is under way: counts, owners, blocks. Throws. */
  check(inode: Inode): void {
    checkPhys(this.phys);
    let dirty = 0;
    for (const [index, pfn] of inode.pages) {
      if (this.api.folioInode(this.files, pfn) !== inode) throw new Error(`page ${index} has another owner`);
      if (inode.device !== null && testFlag(this.phys, compoundHead(this.phys, pfn), PG_DIRTY)) dirty++;
    }
    if (dirty !== inode.nrDirty) throw new Error(`nrDirty is ${inode.nrDirty}, found ${dirty}`);
    for (const index of inode.unwritten) if (!inode.blocks.has(index)) throw new Error(`${index}: unwritten, no block`);
    const blocks = [...inode.blocks.values(), ...this.device.freeBlocks];
    if (new Set(blocks).size !== blocks.length) throw new Error('a block is used twice');
  }
}

export function bench(api: typeof plain, options: BlockDeviceOptions = {}, frames = 128): Bench {
  return new Bench(api, options, frames);
}
