import { VM_READ, VM_WRITE, Vma, createVmaTree, formatVmaFlags, insertVma } from '@mmkit/vma';
import { splitVma, unmappedArea, vmaLookup, vmasIn } from '@mmkit/vma';

const tree = createVmaTree();
const limits = { low: 0x10000, high: 0x7fff_ffff_f000, topDown: true };

// mmap: the highest free 16 pages.
const start = unmappedArea(tree, 0x10000, limits);
const vma = new Vma(start, start + 0x10000, VM_READ | VM_WRITE, start / 4096);
insertVma(tree, vma);

// mprotect(start + 4 pages, …, PROT_READ): cut there, then change the upper part.
const upper = splitVma(tree, vma, start + 0x4000);
upper.flags &= ~VM_WRITE;

for (const { start, end, flags } of vmasIn(tree, 0, limits.high)) {
  console.log(`${start.toString(16)}-${end.toString(16)} ${formatVmaFlags(flags)}`);
}
if (vmaLookup(tree, start + 0x4000) !== upper) throw new Error('the upper part starts at the cut');
