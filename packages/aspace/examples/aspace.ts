import { createMemory, folioAddNewAnonRmap, Mm, zapPageRange } from '@mmkit/aspace';
import { FOLL_PIN } from '@mmkit/base';
import { allocRoot, E_DIRTY, E_USER, E_WRITE, mapRange } from '@mmkit/pgtable';
import { allocPages, GFP_HIGHUSER_MOVABLE, gupPutFolio, pageRefCount, tryGrabFolio } from '@mmkit/phys';
import { createRwsem } from '@mmkit/rwsem';
import { createSched } from '@mmkit/task';
import { createVmaTree } from '@mmkit/vma';

const memory = createMemory({ sched: createSched(), frames: 64 });
const { phys, tables } = memory;
const root = allocRoot(tables);
const mm = new Mm(memory, root, createRwsem('mmap_lock'), createVmaTree(), () => 0);

const pfn = allocPages(phys, GFP_HIGHUSER_MOVABLE, 0);
folioAddNewAnonRmap(mm, pfn, 1, 0x400);
mapRange(tables, root, 0x40_0000, 0x40_1000, pfn, E_USER | E_WRITE | E_DIRTY);
mm.anonPages++;
tryGrabFolio(phys, pfn, 1, FOLL_PIN); // a device works on the page …
zapPageRange(mm, 0x40_0000, 0x40_1000); // … while the process unmaps it
console.log(`references left: ${pageRefCount(phys, pfn)}`);
if (pageRefCount(phys, pfn) !== 1024) throw new Error('the pin should be all that is left');
gupPutFolio(phys, pfn, 1, FOLL_PIN); // the last unpin frees it
if (pageRefCount(phys, pfn) !== 0) throw new Error('the page should be free');
