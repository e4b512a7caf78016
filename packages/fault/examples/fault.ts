import { createMemory, Mm } from '@mmkit/aspace';
import { FAULT_FLAG_WRITE, handleMmFault } from '@mmkit/fault';
import { ACCESS_READ, ACCESS_WRITE, allocRoot, createTranslation, hwWalk } from '@mmkit/pgtable';
import { createRwsem } from '@mmkit/rwsem';
import { createSched } from '@mmkit/task';
import { createVmaTree, insertVma, Vma, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from '@mmkit/vma';

const memory = createMemory({ sched: createSched(), frames: 64 });
const root = allocRoot(memory.tables);
const mm = new Mm(memory, root, createRwsem('mmap_lock'), createVmaTree(), handleMmFault);
const vma = new Vma(0x40_0000, 0x40_1000, VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE, 0x400);
insertVma(mm.vmas, vma);

const found = createTranslation();
handleMmFault(mm, vma, 0x40_0000, 0); // a load: the zero page, read-only
if (hwWalk(memory.tables, root, 0x40_0000, ACCESS_READ, found) !== 0) throw new Error('the load faults again');
if (found.pfn !== memory.phys.zeroPfn) throw new Error('not the zero page');
handleMmFault(mm, vma, 0x40_0000, FAULT_FLAG_WRITE); // a store: a page of its own
if (hwWalk(memory.tables, root, 0x40_0000, ACCESS_WRITE, found) !== 0) throw new Error('the store faults again');
console.log(`the store goes to frame ${found.pfn}; ${memory.stat.pgfault} faults`);
