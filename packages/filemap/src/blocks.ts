/**
 * Which block of the device holds a page of a file: the part of a file system this package needs (Linux: ext4_map_blocks,
 * its delayed allocation and unwritten extents). A block is one page long. A new block reads as zeros until something
 * has been written to it: `unwritten`.
 *
 * Differs from Linux: nothing of this is kept on the device, and no room is set aside for pages that are dirty in the
 * cache, so that the device may turn out to be full only when they are written back. Locks: inode.ts.
 */
import { checkInteger, ENOSPC } from '@mmkit/base';
import { noteWrite } from '@mmkit/task';
import { Inode } from './inode.ts';

/** Where on the device the page at `index` can be read, bytes; -1: nowhere, it reads as zeros (a hole, or unwritten). */
export function mapBlock(inode: Inode, index: number): number {
  return inode.unwritten.has(index) ? -1 : (inode.blocks.get(index) ?? -1);
}

/** Where on the device the page at `index` is to be written, bytes, an unwritten block where there was none; -ENOSPC. */
export function allocateBlock(inode: Inode, index: number): number {
  const device = inode.device!;
  const { phys, sched } = inode.files;
  const { pageSize } = phys;
  // Files share the device's blocks, whoever holds which inode.
  noteWrite(sched, device);
  let offset = inode.blocks.get(index) ?? device.freeBlocks.pop();
  if (offset === undefined) {
    offset = device.nextBlock;
    if (offset + pageSize > device.backend.size) return -ENOSPC;
    device.nextBlock = offset + pageSize;
  }
  if (!inode.blocks.has(index)) {
    inode.blocks.set(index, offset);
    inode.unwritten.add(index);
  }
  return offset;
}

/** The block at `index` has been written to: it holds what it reads as. */
export function markWritten(inode: Inode, index: number): void {
  inode.unwritten.delete(index);
}

/** Gives back the blocks at [first, end); the caller knows that no I/O to them is under way. */
export function freeBlocks(inode: Inode, first: number, end: number): void {
  for (const [index, offset] of inode.blocks) {
    if (index < first || index >= end) continue;
    inode.blocks.delete(index);
    inode.unwritten.delete(index);
    noteWrite(inode.files.sched, inode.device!);
    inode.device!.freeBlocks.push(offset);
  }
}

/**
 * Makes bytes [offset, offset + size) of the device, which begin and end with a block, the content of an empty file.
 * RangeError when they do not, or do not lie on the device. Blocks that other files have are not looked for.
 */
export function addExtent(inode: Inode, offset: number, size: number): void {
  const device = inode.device!;
  const { pageSize } = inode.files.phys;
  const length = Math.ceil(size / pageSize) * pageSize;
  checkInteger('size', size, 0, device.backend.size);
  checkInteger('offset', offset, 0, device.backend.size - length);
  if (offset % pageSize !== 0) throw new RangeError(`offset: expected a multiple of ${pageSize}, got ${offset}`);
  for (let at = 0; at < length; at += pageSize) inode.blocks.set(at / pageSize, offset + at);
  inode.size = size;
  device.nextBlock = Math.max(device.nextBlock, offset + length);
}

/** A run of bytes of a file that lie one after the other on the device, or nowhere. */
export interface Extent {
  /** Where on the device the first lies, bytes; -1: they read as zeros. */
  readonly offset: number;
  /** Bytes, 1 or more. */
  readonly length: number;
}

/** The longest run from byte `pos` of the file on, at most `length` bytes (1 or more), its blocks as `map` gives them. */
export function mapExtent(inode: Inode, pos: number, length: number, map: typeof mapBlock): Extent {
  const { pageSize } = inode.files.phys;
  const inPage = pos % pageSize;
  const index = (pos - inPage) / pageSize;
  const first = map(inode, index);
  let pages = 1;
  while (pages * pageSize < inPage + length) {
    if (map(inode, index + pages) !== (first < 0 ? -1 : first + pages * pageSize)) break;
    pages++;
  }
  return { offset: first < 0 ? -1 : first + inPage, length: Math.min(length, pages * pageSize - inPage) };
}
