/**
 * Where a case of the story is played: a process, a page of its memory registered for RDMA, another machine that reaches
 * it, and those who look at it afterwards.
 */
import type { Policy } from '@mmkit/aspace';
import { errnoName } from '@mmkit/base';
import { createBlockDevice, createMemoryBackend, filemapRead, filemapWrite, type OpenFile } from '@mmkit/filemap';
import {
  createDiskFile,
  createMemfd,
  forkProcess,
  load,
  type Machine,
  type MemoryRegion,
  type Process,
  SIGBUS,
  store,
} from '@mmkit/kernel';
import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import { bytesOf, lettersOf } from './story-letters.ts';
import { Peer } from './story-peer.ts';

/** Bytes of the region. */
export const PAGE = 4096;
export const RW: number = PROT_READ | PROT_WRITE;
export const ANON: number = MAP_PRIVATE | MAP_ANONYMOUS;

/** What lies in the first bytes at first. */
const OLD = '...';
/** Bytes of the disk. */
const DISK = 16 * PAGE;

/** What is mapped where the region is. */
export type Kind = 'anonymous' | 'memfd' | 'private memfd' | 'disk file';

export class Stage {
  readonly peer: Peer;
  readonly machine: Machine;
  readonly parent: Process;
  /** The file mapped; null: anonymous memory. */
  readonly file: OpenFile | null;
  /** Where the region is. */
  readonly address: number;
  /** null: the kernel refused it. */
  readonly region: MemoryRegion | null;
  /** 0, or the negative errno of the registration. */
  readonly error: number;
  /** null: not forked. */
  child: Process | null;

  constructor(policy: Policy, kind: Kind) {
    this.peer = new Peer(policy);
    this.machine = this.peer.machine;
    this.parent = this.peer.process;
    this.child = null;
    this.file = createFile(this.machine, kind);
    const flags = kind === 'anonymous' ? ANON : kind === 'private memfd' ? MAP_PRIVATE : MAP_SHARED;
    this.address = mmap(this.parent.mm, 0, PAGE, RW, flags, this.file);
    if (this.file === null) this.put(this.parent, 0, OLD);
    const { error, mr } = this.peer.register(this.address, PAGE);
    this.error = error;
    this.region = mr;
  }

  fork(): Process {
    this.child = forkProcess(this.machine, this.parent).process!;
    return this.child;
  }

  /** A CPU stores letters; what cannot be stored is not. */
  put(process: Process, at: number, letters: string): void {
    store(this.machine, process, this.address + at, bytesOf(letters), 0, letters.length);
  }

  /** The other machine writes letters by RDMA, if there is a region. */
  putByDevice(at: number, letters: string): void {
    if (this.region !== null) this.peer.write(this.region, at, letters);
  }

  /** What the device sees: the other machine reads by RDMA. Or why there is no region. */
  viewOfDevice(): string {
    return this.region === null ? errnoName(this.error) : lettersOf(this.peer.read(this.region, OLD.length));
  }

  /** What a process sees; the name of the signal it gets; null when there is no such process. */
  view(process: Process | null): string | null {
    if (process === null || process.exited) return null;
    const bytes = new Uint8Array(OLD.length);
    if (load(this.machine, process, this.address, bytes, 0, bytes.length) === 0) return lettersOf(bytes);
    return process.exitSignal?.signal === SIGBUS ? 'SIGBUS' : 'SIGSEGV';
  }

  /** What a reader of the file gets; null when there is no file. */
  viewOfFile(): string | null {
    if (this.file === null) return null;
    const bytes = new Uint8Array(OLD.length);
    const got = filemapRead(this.file.inode, 0, bytes, 0, bytes.length);
    return got === 0 ? 'empty' : lettersOf(bytes.subarray(0, got));
  }
}

/** A file of one page that begins with OLD. */
function createFile(machine: Machine, kind: Kind): OpenFile | null {
  if (kind === 'anonymous') return null;
  const file = kind === 'disk file' ? createFileOnDisk(machine) : createMemfd(machine, PAGE);
  filemapWrite(file.inode, 0, bytesOf(OLD), 0, OLD.length);
  return file;
}

function createFileOnDisk(machine: Machine): OpenFile {
  const disk = createBlockDevice(machine.sched, machine.memory.phys, createMemoryBackend(new Uint8Array(DISK)));
  return createDiskFile(machine, disk, { size: PAGE, offset: 0 });
}
