import { createMemory } from '@mmkit/aspace';
import { createMm, pinUserPagesFast, unpinUserPages } from '@mmkit/gup';
import { dupMm, exitMm, mmap, munmap, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import { MAP_ANONYMOUS, MAP_POPULATE, MAP_PRIVATE } from '@mmkit/mm';
import { countFrames, pageRefCount } from '@mmkit/phys';
import { createSched } from '@mmkit/task';

const memory = createMemory({ sched: createSched(), frames: 64 });
const mm = createMm({ memory })!;
const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
const address = mmap(mm, 0, 3 * 4096, PROT_READ | PROT_WRITE, flags);
const child = dupMm(mm).mm!; // three pages, shared until somebody writes
const page = new Uint32Array(1);
pinUserPagesFast(child, address, 1, 1, page); // FOLL_WRITE: the child gets a page of its own
if (munmap(child, address, 4096) !== 0) throw new Error('munmap failed');
if (pageRefCount(memory.phys, page[0]!) !== 1024) throw new Error('a pinned page survives munmap');
unpinUserPages(memory, page, 1);

exitMm(child);
exitMm(mm);
if (countFrames(memory.phys).used !== 0) throw new Error('frames were leaked');
