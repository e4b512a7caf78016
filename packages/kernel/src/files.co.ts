/**
 * Making files (Linux: memfd_create(2), creating and opening a file of a file system). There are no names and no
 * descriptors: an OpenFile is what a descriptor would stand for.
 */
import { checkInteger } from '@mmkit/base';
import { fileRmap } from '@mmkit/aspace/sched';
import { addExtent, BlockDevice, createInode, F_SEAL_SEAL, OpenFile } from '@mmkit/filemap';
import type { Machine } from './machine.ts';

/** createMemfd: the file may be sealed; without it none of its seals can change, as of any file in /dev/shm. */
export const MFD_ALLOW_SEALING = 0x2;

/**
 * Makes a file in memory, `size` bytes of nothing, open for reading and writing (memfd_create(2); tmpfs and shared
 * anonymous memory are the same to memory management). `flags` is 0 or MFD_ALLOW_SEALING.
 */
export function createMemfd(machine: Machine, size: number = 0, flags: number = 0): OpenFile {
  checkInteger('size', size, 0, Number.MAX_SAFE_INTEGER);
  if (flags !== 0 && flags !== MFD_ALLOW_SEALING) throw new RangeError(`flags: expected 0 or 2, got ${String(flags)}`);
  const { memory } = machine;
  const inode = createInode(memory.files, null, fileRmap(memory));
  inode.size = size;
  if (flags === 0) inode.seals = F_SEAL_SEAL;
  return new OpenFile(inode, true, true);
}

export interface DiskFileOptions {
  /** Bytes of the file; default 0. */
  readonly size?: number;
  /** Byte of the device, a multiple of the page size, where its contents are; without it the file is one hole. */
  readonly offset?: number;
}

/**
 * Makes a file on `device`, open for reading and writing. The device then belongs to the files on it: new blocks are taken
 * from the end of the last extent on. RangeError for bad options, a device of another machine, and one whose logical block
 * is larger than a page.
 */
export function createDiskFile(machine: Machine, device: BlockDevice, options: DiskFileOptions = {}): OpenFile {
  const { size = 0, offset } = options;
  const { memory } = machine;
  checkInteger('size', size, 0, Number.MAX_SAFE_INTEGER);
  if (device.phys !== memory.phys) throw new RangeError('device: expected one of this machine');
  checkInteger('device.logicalBlockSize', device.logicalBlockSize, 1, memory.phys.pageSize);
  const inode = createInode(memory.files, device, fileRmap(memory));
  if (offset === undefined) inode.size = size;
  else addExtent(inode, offset, size);
  return new OpenFile(inode, true, true);
}
