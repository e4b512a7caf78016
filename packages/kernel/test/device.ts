/** A machine with a process and a block device over memory. */
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import type { BlockDevice, BlockDeviceOptions } from '@mmkit/filemap';
import type { Machine, Process } from '@mmkit/kernel';
import { Cpu, PAGE, pattern, setUp } from './builds.ts';
import type { Api } from './builds.ts';

/** Bytes of the device, and of the buffer. */
export const SIZE: number = 64 * PAGE;
/** What `endAll` says when nothing leaks. */
export const GONE: { used: number; pins: number } = { used: 0, pins: 0 };

export function addDevice(machine: Machine, bytes: Uint8Array, options: BlockDeviceOptions = {}): BlockDevice {
  return createBlockDevice(machine.sched, machine.memory.phys, createMemoryBackend(bytes), options);
}

export interface Bench {
  machine: Machine;
  process: Process;
  address: number;
  /** The device's bytes, `pattern(SIZE, 3)` at first. */
  disk: Uint8Array;
  device: BlockDevice;
  cpu: Cpu;
}

/** A machine of `pages` frames whose process has SIZE bytes at `address`. */
export function bench(api: Api, options: BlockDeviceOptions = {}, pages = 256): Bench {
  const { machine, process, address } = setUp(api, { buffer: SIZE / PAGE, pages });
  const disk = pattern(SIZE, 3);
  return { machine, process, address, disk, device: addDevice(machine, disk, options), cpu: new Cpu(api, machine) };
}
