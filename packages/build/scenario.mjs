/**
 * One scenario over the whole tower, run twice: prints the hash of its trace (every step of every task, every event), exit 1
 * when the two runs differ. pack-check.mjs runs it from the tarballs on each Node: all must print the same.
 */
import process from 'node:process';
import { createTraceRing, FOLL_WRITE, traceEvent, traceHash } from '@mmkit/base';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap/sched';
import { pinUserPagesFast } from '@mmkit/gup/sched';
import { createMachine, createProcess, directRead, forkProcess, load, store } from '@mmkit/kernel/sched';
import { MADV_DONTNEED, madvise, MAP_ANONYMOUS, MAP_PRIVATE, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm/sched';
import { runAll, runTask, spawn } from '@mmkit/task/sched';

const PAGE = 4096;
const SIZE = 16 * PAGE;

function scenario() {
  const trace = createTraceRing(4096);
  const machine = createMachine({ ramBytes: 256 * PAGE, cpus: 3, trace });
  const { sched, memory } = machine;
  const parent = createProcess(machine);
  const buffer = runTask(sched, mmap(parent.mm, 0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS));
  const disk = Uint8Array.from({ length: SIZE }, (_, i) => i * 7);
  const device = createBlockDevice(sched, memory.phys, createMemoryBackend(disk));
  const pages = new Uint32Array(4);
  spawn(sched, 'read', directRead(machine, parent, device, 0, buffer, SIZE));
  spawn(sched, 'store', store(machine, parent, buffer, new Uint8Array(SIZE).fill(1), 0, SIZE));
  spawn(sched, 'pin', pinUserPagesFast(parent.mm, buffer, 4, FOLL_WRITE, pages));
  spawn(sched, 'fork', forkProcess(machine, parent));
  spawn(sched, 'dontneed', madvise(parent.mm, buffer + 8 * PAGE, 4 * PAGE, MADV_DONTNEED));
  runAll(sched);
  const seen = new Uint8Array(SIZE);
  runTask(sched, load(machine, parent, buffer, seen, 0, SIZE));
  for (const word of [...new Int32Array(seen.buffer), ...pages]) traceEvent(trace, 0, 0, word, 0);
  return `${traceHash(trace)} of ${trace.count} events`;
}

const first = scenario();
const second = scenario();
console.log(first);
if (first !== second) {
  console.error(`the second run gave ${second}`);
  process.exit(1);
}
