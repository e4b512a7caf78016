/**
 * Making files (Linux: memfd_create(2), creating and opening a file of a file system). There are no directories and no
 * descriptors: an OpenFile is what a descriptor would stand for, its path is what /proc/PID/maps shows.
 */
import { checkInteger } from '@mmkit/base';
import { fileRmap } from '@mmkit/aspace/sched';
import { addExtent, BlockDevice, createInode, F_SEAL_SEAL, OpenFile } from '@mmkit/filemap';
import type { Machine } from './machine.ts';

/** createMemfd: the file may be sealed; without it none of its seals can change, as of any file in /dev/shm. */
export const MFD_ALLOW_SEALING = 0x2;
/** Longest name of a memfd: what a file name may have, less `memfd:`. */
const MFD_NAME_MAX_LEN = 249;

/**
 * Makes a file in memory, `size` bytes of nothing, open for reading and writing (memfd_create(2); tmpfs and shared
 * anonymous memory are the same to memory management). `flags` is 0 or MFD_ALLOW_SEALING; `name`, up to 249 characters, is for
 * people: files may share one.
 */
export function createMemfd(machine: Machine, size: number = 0, flags: number = 0, name: string = ''): OpenFile {
  checkInteger('size', size, 0, Number.MAX_SAFE_INTEGER);
  if (flags !== 0 && flags !== MFD_ALLOW_SEALING) throw new RangeError(`flags: expected 0 or 2, got ${String(flags)}`);
  if (name.length > MFD_NAME_MAX_LEN) throw new RangeError(`name: expected at most ${MFD_NAME_MAX_LEN} characters`);
  const { memory } = machine;
  const inode = createInode(memory.files, null, fileRmap(memory));
  inode.size = size;
  if (flags === 0) inode.seals = F_SEAL_SEAL;
  return new OpenFile(inode, true, true, `/memfd:${name} (deleted)`);
}

export interface DiskFileOptions {
  /** Bytes of the file; default 0. */
  readonly size?: number;
  /** Byte of the device, a multiple of the page size, where its contents are; without it the file is one hole. */
  readonly offset?: number;
  /** Where /proc/PID/maps says it is; default `/file` and its inode's number. */
  readonly path?: string;
}

/**
 * Makes a file on `device`, open for reading and writing. The device then belongs to the files on it: new blocks are taken
 * from the end of the last extent on. RangeError for bad options, a device of another machine, and one whose logical block
 * is larger than a page.
 */
export function createDiskFile(machine: Machine, device: BlockDevice, options: DiskFileOptions = {}): OpenFile {
  const { size = 0, offset, path } = options;
  const { memory } = machine;
  checkInteger('size', size, 0, Number.MAX_SAFE_INTEGER);
  if (device.phys !== memory.phys) throw new RangeError('device: expected one of this machine');
  checkInteger('device.logicalBlockSize', device.logicalBlockSize, 1, memory.phys.pageSize);
  const inode = createInode(memory.files, device, fileRmap(memory));
  if (offset === undefined) inode.size = size;
  else addExtent(inode, offset, size);
  return new OpenFile(inode, true, true, path ?? `/file${inode.id}`);
}
