/** A machine with one process and memory to try things on. */
import { createMachine, createProcess, type Machine, type Process } from '@mmkit/kernel';
import { MAP_ANONYMOUS, MAP_PRIVATE, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import { writeBytes } from '@mmkit/phys';
import { downReadTrylock, upRead } from '@mmkit/rwsem';

export class Bench {
  readonly machine: Machine;
  readonly process: Process;
  readonly pageSize: number;

  constructor(machine: Machine, process: Process) {
    this.machine = machine;
    this.process = process;
    this.pageSize = machine.memory.phys.pageSize;
  }

  /** Private anonymous memory, untouched. */
  map(pages: number): number {
    const rw = PROT_READ | PROT_WRITE;
    const at = mmap(this.process.mm, 0, pages * this.pageSize, rw, MAP_PRIVATE | MAP_ANONYMOUS);
    if (at < 0) throw new Error(`mmap: ${at}`);
    return at;
  }

  /** `body` with mmap_lock held for reading. */
  locked(body: () => void): void {
    const { mmapLock } = this.process.mm;
    if (!downReadTrylock(mmapLock)) throw new Error('mmap_lock is taken');
    body();
    upRead(this.machine.sched, mmapLock);
  }
}

/** A machine of `frames` pages of 4 KiB (`which` more, so that two machines are not alike), with RAM behind every frame. */
export function createBench(frames: number, which: number, contents: boolean = true): Bench {
  const machine = createMachine({ ramBytes: (frames + which * 64) * 4096 });
  if (contents) {
    const one = Uint8Array.of(1);
    const { phys } = machine.memory;
    for (let pfn = 1; pfn < phys.frames; pfn += 8) if (pfn !== phys.zeroPfn) writeBytes(phys, pfn, 0, one, 0, 1);
  }
  const process = createProcess(machine);
  if (process === null) throw new Error('no memory for a process');
  return new Bench(machine, process);
}
