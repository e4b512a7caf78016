import { createMemory } from '@mmkit/aspace';
import { FOLL_WRITE } from '@mmkit/base';
import { createMm, pinUserPagesFast, unpinUserPages } from '@mmkit/gup';
import { formatPinReport, openPinLedger, openPinScope, pinReport } from '@mmkit/phys';
import { createSched } from '@mmkit/task';
import { insertVma, Vma, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from '@mmkit/vma';

const sched = createSched();
const memory = createMemory({ sched, frames: 64 });
const mm = createMm({ memory })!;
insertVma(mm.vmas, new Vma(0x40_0000, 0x40_4000, VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE, 0x400));

openPinLedger(memory.phys, () => sched.now);
const scope = openPinScope(memory.phys, 'my driver'); // null while the ledger is off: pass it on all the same
const pages = new Uint32Array(4);
pinUserPagesFast(mm, 0x40_0000, 4, FOLL_WRITE, pages, scope);
unpinUserPages(memory, pages, 3, scope);
console.log(formatPinReport(pinReport(memory.phys))); // 1 scope of my driver: 1 page, 1 pin, since 0 ns
if (pinReport(memory.phys)[0]?.pins !== 1) throw new Error('the forgotten unpin is not in the report');
