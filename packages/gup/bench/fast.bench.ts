import { FOLL_WRITE } from '@mmkit/base';
import { createMemory } from '@mmkit/aspace';
import { createMm, getUserPages, pinUserPagesFast, unpinUserPages } from '@mmkit/gup';
import { leafTable, leafIndex } from '@mmkit/pgtable';
import { frameWords, frameWordIndex } from '@mmkit/phys';
import { downReadTrylock, upRead } from '@mmkit/rwsem';
import { createSched } from '@mmkit/task';
import { insertVma, Vma, VM_READ, VM_WRITE, VM_MAYREAD, VM_MAYWRITE } from '@mmkit/vma';

const N = 512, START = 0x4000_0000;
const memory = createMemory({ sched: createSched(), frames: 4096 });
const mm = createMm({ memory })!;
insertVma(mm.vmas, new Vma(START, START + N * 4096, VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE, START / 4096));
downReadTrylock(mm.mmapLock);
getUserPages(mm, START, N, FOLL_WRITE, null);
upRead(memory.sched, mm.mmapLock);
const pages = new Uint32Array(N);

const table = leafTable(memory.tables, mm.words[0]!, START);
const words = frameWords(memory.phys, table), base = frameWordIndex(memory.phys, table) + leafIndex(memory.format, START) * 2;
const hot = memory.phys.hot;
function byHand(words: Int32Array, base: number, hot: Int32Array, pages: Uint32Array, n: number): number {
  let i = 0;
  for (; i < n; i++) {
    const lo = words[base + i * 2]!, hi = words[base + i * 2 + 1]!;
    if ((lo & 0x207) !== 7 || (hi & 0x780ffe00) !== 0) break;
    const pfn = (lo >>> 12) | ((hi & 0x1ff) << 20);
    const at = pfn << 2;
    const c = hot[at]!;
    if (c <= 0 || c > 0x7fffffff - 1024) break;
    hot[at] = c + 1024;
    if (words[base + i * 2] !== lo || words[base + i * 2 + 1] !== hi) { hot[at] = c; break; }
    hot[at + 1] = hot[at + 1]! | 4;
    pages[i] = pfn;
  }
  return i;
}
function byHandUnpin(hot: Int32Array, pages: Uint32Array, n: number): void {
  for (let i = 0; i < n; i++) {
    const at = pages[i]! << 2;
    const left = hot[at]! - 1024;
    if (left <= 0) throw new Error('x');
    hot[at] = left;
  }
}
const REPS = 10;
function a() { const t = performance.now(); for (let r = 0; r < REPS; r++) { if (pinUserPagesFast(mm, START, N, FOLL_WRITE, pages) !== N) throw 0; unpinUserPages(memory, pages, N); } return (performance.now() - t) * 1e6 / REPS / N; }
function b() { const t = performance.now(); for (let r = 0; r < REPS; r++) { if (byHand(words, base, hot, pages, N) !== N) throw 0; byHandUnpin(hot, pages, N); } return (performance.now() - t) * 1e6 / REPS / N; }
for (let k = 0; k < 5; k++) {
let x = Infinity, y = Infinity; const rs: number[] = [];
for (let i = 0; i < 2000; i++) { const p = a(), q = b(); x = Math.min(x, p); y = Math.min(y, q); rs.push(p/q); }
rs.sort((m, n) => m - n);
console.log(x.toFixed(2), y.toFixed(2), (x / y).toFixed(3), 'median ratio', rs[1000]!.toFixed(3));
}
