import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import { createMachine, createProcess, forkProcess, load, store } from '@mmkit/kernel';
import { finishDirectIo, submitDirectRead } from '@mmkit/kernel';
import { MAP_ANONYMOUS, MAP_PRIVATE, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm';

const machine = createMachine({ ramBytes: 2 ** 20 });
const parent = createProcess(machine)!;
const address = mmap(parent.mm, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
store(machine, parent, address, Uint8Array.of(1), 0, 1);

const disk = createMemoryBackend(new Uint8Array(4096).fill(2));
const device = createBlockDevice(machine.sched, machine.memory.phys, disk);
const io = submitDirectRead(machine, parent, device, 0, address, 4096); // the page is pinned, no byte has moved
const child = forkProcess(machine, parent).process!;
if (finishDirectIo(io).result !== 4096) throw new Error('the read failed');

const seen = new Uint8Array(2);
load(machine, parent, address, seen, 0, 1);
load(machine, child, address, seen, 1, 1);
if (seen.join() !== '2,1') throw new Error('the device reaches the parent, and not the child');
