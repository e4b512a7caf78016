/** Files to pin, in every build: package `filemap` with the build's reverse map, a disk, and mappings of its files. */
import { fileRmap, linkFileVma, Memory } from '@mmkit/aspace';
import * as aspaceSched from '@mmkit/aspace/sched';
import * as filemapPlain from '@mmkit/filemap';
import {
  addExtent,
  BlockDevice,
  createBlockDevice,
  createInode,
  createMemoryBackend,
  Inode,
  OpenFile,
} from '@mmkit/filemap';
import type { Rmap } from '@mmkit/filemap';
import * as filemapSched from '@mmkit/filemap/sched';
import { readBytes } from '@mmkit/phys';
import { describeWaiters, isRunnable, runTask, Sched, spawn, stepTask } from '@mmkit/task';
import type { Task } from '@mmkit/task';
import { insertVma, Vma, VM_MAYSHARE, VM_SHARED } from '@mmkit/vma';
import { PAGE, RW, Space } from './builds.ts';
import type { Scenario } from './builds.ts';

export type FileApi = typeof filemapPlain;

/** The package's functions for the build named so. */
export function fileApi(build: string): FileApi {
  if (build.startsWith('plain')) return filemapPlain;
  const driven: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(filemapSched)) {
    const isColoured = typeof value === 'function' && value.constructor.name === 'GeneratorFunction';
    driven[name] = isColoured
      ? (...args: unknown[]) => runTask(schedOf(args[0]), (value as (...a: unknown[]) => Task<unknown>)(...args))
      : value;
  }
  return driven as unknown as FileApi;
}

function schedOf(owner: unknown): Sched {
  if (owner instanceof Inode) return owner.files.sched;
  if (owner instanceof BlockDevice || owner instanceof Memory) return owner.sched;
  throw new Error('the first argument does not say which machine');
}

/** A shared VMA that may be read and written. */
export const SHARED = RW | VM_SHARED | VM_MAYSHARE;
/** ns a read takes. */
export const LATENCY = 1000;

/** A machine's disk, whose page k is filled with byte k + 1. */
export class Disk {
  readonly space: Space;
  readonly device: BlockDevice;
  readonly rmap: Rmap;
  readonly bytes: Uint8Array;
  /** What the next bios are to end with. */
  readonly fail: number[] = [];
  /** Called when a transfer starts. */
  onTransfer: () => void = () => {};

  constructor(build: string, space: Space) {
    this.space = space;
    this.bytes = new Uint8Array(16 * PAGE);
    for (let page = 0; page < 16; page++) this.bytes.fill(page + 1, page * PAGE, (page + 1) * PAGE);
    const fail = (): number => {
      this.onTransfer();
      return this.fail.shift() ?? 0;
    };
    const options = { latency: LATENCY, fail };
    this.device = createBlockDevice(space.sched, space.phys, createMemoryBackend(this.bytes), options);
    this.rmap = build.startsWith('plain') ? fileRmap(space.memory) : aspaceSched.fileRmap(space.memory);
  }

  /** A file of `pages` pages, of which none is cached. */
  file(pages = 8): Inode {
    const inode = createInode(this.space.memory.files, this.device, this.rmap);
    addExtent(inode, 0, pages * PAGE);
    return inode;
  }

  /** A shmem file of `pages` pages. */
  shmem(pages = 8): Inode {
    const inode = createInode(this.space.memory.files, null, this.rmap);
    inode.size = pages * PAGE;
    return inode;
  }

  /** Maps the file from its first page on. */
  map(inode: Inode, start: number, vmFlags: number, pages = 8): Vma {
    const vma = new Vma(start, start + pages * PAGE, vmFlags, 0, new OpenFile(inode, true, true));
    insertVma(this.space.mm.vmas, vma);
    linkFileVma(vma);
    return vma;
  }

  /** First byte of a frame. */
  byte(pfn: number): number {
    const byte = new Uint8Array(1);
    readBytes(this.space.phys, pfn, 0, byte, 0, 1);
    return byte[0]!;
  }
}

/** Runs a scenario that has too many schedules under 3000 of them, drawn by a fixed generator: what was wrong. */
export function someSchedules(start: Scenario): string[] {
  const wrong: string[] = [];
  let state = 1;
  for (let i = 0; i < 3000; i++) {
    const { sched, tasks, check } = start();
    tasks.forEach((body, at) => spawn(sched, `task ${at}`, body));
    for (;;) {
      const ready = sched.tasks.filter(isRunnable);
      if (ready.length === 0) break;
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      stepTask(sched, ready[Math.floor((state / 2 ** 32) * ready.length)]!);
    }
    const problem = describeWaiters(sched) || check();
    if (problem !== null) wrong.push(problem);
  }
  return wrong;
}
