import { FOLL_PIN } from '@mmkit/base';
import {
  allocPages,
  createPhys,
  folioMaybeDmaPinned,
  freePages,
  GFP_COMP,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_NOWAIT,
  gupPutFolio,
  linuxZones,
  pageRefCount,
  tryGrabFolio,
} from '@mmkit/phys';

// 8 GiB with Linux's zones and two CPUs. Caches that give a block back when memory runs out.
const frames = 2 ** 21;
const caches: number[] = [];
const relieve = () => (caches.length === 0 ? 0 : (freePages(phys, caches.pop()!, 10), 1024));
const phys = createPhys({ frames, zones: linuxZones(frames), cpus: 2, minFreeKbytes: 11_584, relieve });

const thp = allocPages(phys, GFP_HIGHUSER_MOVABLE | GFP_COMP, 9); // a huge folio: 512 frames
if (tryGrabFolio(phys, thp + 7, 3, FOLL_PIN) !== 0) throw new Error('not pinned');
console.log(`frame ${thp}: ${pageRefCount(phys, thp)} references, pinned: ${folioMaybeDmaPinned(phys, thp)}`);
gupPutFolio(phys, thp + 7, 3, FOLL_PIN);
freePages(phys, thp, 9);

for (let pfn = 0; pfn >= 0; ) {
  pfn = allocPages(phys, GFP_NOWAIT, 10); // may not reclaim: -ENOMEM at the watermark
  if (pfn >= 0) caches.push(pfn);
}
const held = caches.length;
while (caches.length === held) allocPages(phys, GFP_KERNEL, 3); // may: until the port had to help
console.log(`${held} blocks of 4 MiB held, one was given back; ${phys.freeFrames} frames are free`);
