/**
 * What a trace finds: its files, process 0, and around its arena two mappings that fill the rest of the address
 * space, as the recording had them: searches find room only inside, mremap finds something above the end.
 */
import { InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { linkFileVma } from '@mmkit/aspace/sched';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import type { Process } from '@mmkit/kernel';
import { createMemfd, createProcess } from '@mmkit/kernel/sched';
import { MMAP_MIN_ADDR } from '@mmkit/mm';
import { insertVma, Vma, VM_MAYEXEC, VM_MAYREAD, VM_MAYWRITE } from '@mmkit/vma';
import { createTraceFile } from './files.co.ts';
import { addressOf, ARENA, World } from './world.ts';

/** The disk under ext4. */
const DISK_BYTES = 1 << 24;
const FOREIGN_FLAGS = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;

/** Makes what is there before a trace's first operation. */
export function* furnishWorld(world: World): Task<void> {
  const { machine, trace } = world;
  const disk = createBlockDevice(machine.sched, machine.memory.phys, createMemoryBackend(new Uint8Array(DISK_BYTES)));
  for (const spec of trace.files) world.files[spec.id] = yield* createTraceFile(machine, disk, spec);
  const first = createProcess(machine);
  if (first === null) throw new InvariantError('NO_MEMORY', 'no page for the first process');
  // The recording ran as root.
  first.capIpcLock = true;
  first.mm.thpDisabled = trace.thp === 'never';
  yield* surround(world, first);
  world.processes[0] = first;
}

function* surround(world: World, process: Process): Task<void> {
  const { vmas } = process.mm;
  const foreign = createMemfd(world.machine);
  const above = addressOf(world.trace.pages);
  for (const [start, end] of [
    [MMAP_MIN_ADDR, ARENA],
    [above, vmas.taskSize],
  ] as const) {
    const vma = new Vma(start, end, FOREIGN_FLAGS, 0, foreign);
    insertVma(vmas, vma);
    yield* linkFileVma(vma);
  }
}
