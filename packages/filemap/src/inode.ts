/**
 * Files as memory sees them (Linux: struct inode with its struct address_space, struct file): size, cached pages, the
 * locks around them and the VMAs that map them. Two kinds, told apart by `device`: a file on a block device, read in and
 * written back; and shmem (tmpfs, memfd, shared anonymous memory), whose pages have nothing behind them.
 *
 * | field | changed under |
 * |-------|---------------|
 * | size | iRwsem for writing |
 * | pages (i_pages) | the folio lock of the page; removal and I/O also under invalidateLock |
 * | iMmap | iMmapLock for writing |
 * | blocks, unwritten | iRwsem for writing; by writeback: under the folio lock, and when it has ended |
 * | nrDirty | with PG_dirty of the page, in one step |
 * | seals | iRwsem for writing |
 *
 * Lock order, outer to inner: iRwsem, mmap_lock, invalidateLock, folio lock, iMmapLock, page-table lock.
 */
import type { Task } from '@mmkit/base';
import { Phys } from '@mmkit/phys';
import { createRwsem, RwSem } from '@mmkit/rwsem';
import { I_MMAP_RWSEM, INODE_LOCK, INVALIDATE_LOCK, noteWrite, Sched } from '@mmkit/task';
import { Vma } from '@mmkit/vma';
import type { BlockDevice } from './blockdev.ts';
import { watchInode } from './watch.ts';

/**
 * Unmaps pages [first, end) of the file everywhere (unmap_mapping_range; `end` may be Infinity). `evenCows`: private
 * copies go too (truncation), else only the file's own pages (hole punching, invalidation).
 */
export type UnmapRange = (inode: Inode, first: number, end: number, evenCows: boolean) => void | Task<void>;

/** Write-protects and cleans every mapping of page `pfn` at `index` (folio_mkclean): true when one was dirty. */
export type Clean = (inode: Inode, pfn: number, index: number) => boolean | Task<boolean>;

/**
 * The port to the page tables that map a file's pages: `aspace` provides it, in the sched build as tasks. Both walk the
 * VMAs of `inode.iMmap` under its lock for reading.
 */
export interface Rmap {
  readonly unmapRange: UnmapRange;
  readonly clean: Clean;
}

/** All files of a machine. */
export class FileCache {
  readonly sched: Sched;
  readonly phys: Phys;
  /** By number, which frames keep in their owner word (`id << 2 | OWNER_FILE`); slot 0 is unused. */
  readonly inodes: (Inode | null)[];

  /**
   * Most pages of a folio of a disk file, as a power of two (MAX_PAGECACHE_ORDER; 9 as observed on 6.18); 0: small ones only.
   * The owner may change it before there are files.
   */
  maxOrder: number;

  constructor(sched: Sched, phys: Phys) {
    this.sched = sched;
    this.phys = phys;
    this.inodes = [null];
    this.maxOrder = 9;
  }
}

export class Inode {
  readonly files: FileCache;
  /** 1 and up. */
  readonly id: number;
  /** Where its blocks lie; null: shmem. */
  readonly device: BlockDevice | null;
  /** The port to page tables. */
  readonly rmap: Rmap;
  /** Bytes (i_size). */
  size: number;
  /**
   * Cached pages: PFN by page index (i_pages). The cache holds one reference of each, which the folio counts of which the page
   * is a part.
   */
  readonly pages: Map<number, number>;
  /** What is known of the blocks of its folios, by the folio's first PFN. buffers.ts only. */
  readonly buffers: Map<number, Uint8Array>;
  /** How many of them are in folios with PG_dirty; 0 for shmem, which has nowhere to write them. folioMarkDirty and its likes only. */
  nrDirty: number;
  /** Blocks of one page each: byte offset on the device by page index; absent: a hole. Empty for shmem. blocks.ts only. */
  readonly blocks: Map<number, number>;
  /** Indexes of blocks nothing was written to yet: they read as zeros. blocks.ts only. */
  readonly unwritten: Set<number>;
  /** The last failure to write a page back, which the next fsync reports: a negative errno, or 0 (AS_EIO, AS_ENOSPC). */
  writebackError: number;
  /** Serialises reads, writes and truncation of the file (i_rwsem). */
  readonly iRwsem: RwSem;
  /** Held for reading while a page is read in, for writing while pages are removed (invalidate_lock). */
  readonly invalidateLock: RwSem;
  /** Of iMmap (i_mmap_rwsem). */
  readonly iMmapLock: RwSem;
  /** The VMAs that map it (i_mmap). */
  readonly iMmap: Set<Vma>;
  /** VMAs of iMmap that could write to it: shared and VM_MAYWRITE (i_mmap_writable). Under iMmapLock. */
  mmapWritable: number;
  /** Shared anonymous memory: nobody but VMAs has it, and with the last of them it is gone. Set once, by its maker. */
  unnamed: boolean;
  /** F_SEAL_* bits. F_SEAL_SEAL from the start: shmem that was not made for sealing. */
  seals: number;

  constructor(files: FileCache, id: number, device: BlockDevice | null, rmap: Rmap) {
    this.files = files;
    this.id = id;
    this.device = device;
    this.rmap = rmap;
    this.size = 0;
    this.pages = new Map();
    this.buffers = new Map();
    this.nrDirty = 0;
    this.blocks = new Map();
    this.unwritten = new Set();
    this.writebackError = 0;
    this.iRwsem = createRwsem('i_rwsem', INODE_LOCK);
    this.invalidateLock = createRwsem('invalidate_lock', INVALIDATE_LOCK);
    this.iMmapLock = createRwsem('i_mmap_rwsem', I_MMAP_RWSEM);
    this.iMmap = new Set();
    this.mmapWritable = 0;
    this.unnamed = false;
    this.seals = 0;
  }
}

/** An open file (struct file): an inode and the right to read or write it. A VMA's `file` is one. */
export class OpenFile {
  readonly inode: Inode;
  /** Opened for reading (FMODE_READ). */
  readonly readable: boolean;
  /** Opened for writing (FMODE_WRITE). */
  readonly writable: boolean;
  /** What /proc/PID/maps calls it (d_path); '': nothing. */
  readonly path: string;

  constructor(inode: Inode, readable: boolean, writable: boolean, path: string = '') {
    this.inode = inode;
    this.readable = readable;
    this.writable = writable;
    this.path = path;
  }
}

/** Makes an empty cache for one machine. */
export function createFileCache(sched: Sched, phys: Phys): FileCache {
  return new FileCache(sched, phys);
}

/** Makes an empty file: on `device`, or shmem when null. */
export function createInode(files: FileCache, device: BlockDevice | null, rmap: Rmap): Inode {
  const inode = new Inode(files, files.inodes.length, device, rmap);
  noteWrite(files.sched, files);
  files.inodes.push(inode);
  if (files.sched.footprint !== null) watchInode(inode);
  return inode;
}
