import { createMemory } from '@mmkit/aspace';
import { FOLL_WRITE } from '@mmkit/base';
import { createMm, pinUserPagesFast, unpinUserPagesDirtyLock } from '@mmkit/gup';
import { writeBytes } from '@mmkit/phys';
import { createSched } from '@mmkit/task';
import { insertVma, Vma, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from '@mmkit/vma';

const memory = createMemory({ sched: createSched(), frames: 64 });
const mm = createMm({ memory });
if (mm === null) throw new Error('no frame for the top page table');
const flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE;
insertVma(mm.vmas, new Vma(0x40_0000, 0x40_4000, flags, 0x400));

const pages = new Uint32Array(4);
const got = pinUserPagesFast(mm, 0x40_0000, 4, FOLL_WRITE, pages);
if (got !== 4) throw new Error(`${got} of 4 pages pinned`);
for (const pfn of pages) writeBytes(memory.phys, pfn, 0, Uint8Array.of(42), 0, 1); // a device knows frames only
unpinUserPagesDirtyLock(memory, pages, got, true);
console.log(`${got} pages pinned with ${memory.stat.pgfault} faults, and given back dirty`);
if (memory.phys.nrFollPinAcquired !== memory.phys.nrFollPinReleased) throw new Error('a pin leaked');
