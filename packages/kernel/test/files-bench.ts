/** A machine with a process and files, for tests of file system calls. */
import * as filemapPlain from '@mmkit/filemap';
import type { BlockDevice, BlockDeviceOptions, Inode, OpenFile } from '@mmkit/filemap';
import * as filemapSched from '@mmkit/filemap/sched';
import type { Machine, Process } from '@mmkit/kernel';
import { drive, PAGE, pattern, setUp } from './builds.ts';
import type { Api } from './builds.ts';
import { addDevice } from './device.ts';

const filemapDriven = drive(filemapSched) as typeof filemapPlain;

/** Bytes of the device. */
export const DISK: number = 64 * PAGE;
/** Pages of the buffer; the page after it is not mapped. */
export const BUFFER = 8;

export interface FilesBench {
  readonly api: Api;
  readonly filemap: typeof filemapPlain;
  readonly machine: Machine;
  readonly process: Process;
  /** Where the buffer is. */
  readonly address: number;
  /** `pattern(DISK, 3)` at first. */
  readonly disk: Uint8Array;
  readonly device: BlockDevice;
}

export function filesBench(name: string, api: Api, options: BlockDeviceOptions = {}, pages = 256): FilesBench {
  const { machine, process, address } = setUp(api, { buffer: BUFFER + 1, pages });
  api.munmap(process.mm, address + BUFFER * PAGE, PAGE);
  const disk = pattern(DISK, 3);
  const filemap = name.startsWith('plain') ? filemapPlain : filemapDriven;
  return { api, filemap, machine, process, address, disk, device: addDevice(machine, disk, options) };
}

export function fill(b: FilesBench, address: number, bytes: Uint8Array): void {
  const error = b.api.store(b.machine, b.process, address, bytes, 0, bytes.length);
  if (error !== 0) throw new Error(`store: ${error}`);
}

export function bytesAt(b: FilesBench, address: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const error = b.api.load(b.machine, b.process, address, bytes, 0, length);
  if (error !== 0) throw new Error(`load: ${error}`);
  return bytes;
}

/** All bytes of a file. */
export function contents(b: FilesBench, inode: Inode): Uint8Array {
  const bytes = new Uint8Array(inode.size);
  const got = b.filemap.filemapRead(inode, 0, bytes, 0, bytes.length);
  if (got !== bytes.length) throw new Error(`read ${got} of ${bytes.length}`);
  return bytes;
}

export function write(b: FilesBench, file: OpenFile, pos: number, bytes: Uint8Array): void {
  const done = b.filemap.filemapWrite(file.inode, pos, bytes, 0, bytes.length);
  if (done !== bytes.length) throw new Error(`wrote ${done} of ${bytes.length}`);
}

/** A file of each kind: in memory, and on the disk. */
export function bothKinds(b: FilesBench): OpenFile[] {
  return [b.api.createMemfd(b.machine), b.api.createDiskFile(b.machine, b.device)];
}

/** Cached and dirty pages. */
export function stat(b: FilesBench, file: OpenFile): number[] {
  const { cached, dirty } = b.filemap.cacheStat(file.inode, 0, Infinity);
  return [cached, dirty];
}

/** Page faults that `call` takes. */
export function faults(b: FilesBench, call: () => void): number {
  const counts = b.machine.memory.stat;
  const before = counts.pgfault;
  call();
  return counts.pgfault - before;
}
