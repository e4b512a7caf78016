import { FOLL_PIN } from '@mmkit/base';
import { allocPages, createPhys, freePages, GFP_ZERO, gupPutFolio, pageRefCount, tryGrabFolio } from '@mmkit/phys';

const phys = createPhys({ frames: 1024 }); // 4 MiB of RAM
const free = phys.freeFrames;
const pfn = allocPages(phys, GFP_ZERO, 0); // -ENOMEM when there is none

if (tryGrabFolio(phys, pfn, 2, FOLL_PIN) !== 0) throw new Error('not pinned');
const count = pageRefCount(phys, pfn);
if (count !== 1 + 2 * 1024) throw new Error('a pin of a small folio counts 1024');

gupPutFolio(phys, pfn, 2, FOLL_PIN);
freePages(phys, pfn, 0);
if (phys.freeFrames !== free) throw new Error('a frame leaked');
console.log(`frame ${pfn} had ${count} references while pinned twice`);
