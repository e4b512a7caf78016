import { VM_READ, VM_WRITE, applyVmaPlan, createVmaTree, mapsText, newTraits, planModify, planNew } from '@mmkit/vma';
import { unmappedArea, vmaLookup } from '@mmkit/vma';

const tree = createVmaTree();
const limits = { low: 0x10000, high: 0x7fff_ffff_f000, topDown: true };

// mmap: the highest free 16 pages.
const start = unmappedArea(tree, 0x10000, limits);
applyVmaPlan(planNew(tree, start, start + 0x10000, newTraits(VM_READ | VM_WRITE, start / 4096)));

// mprotect(start + 4 pages, …, PROT_READ): what has to be done, as data; then done.
const vma = vmaLookup(tree, start);
if (vma === null) throw new Error('it is mapped');
const plan = planModify(tree, vma, start + 0x4000, start + 0x10000, VM_READ);
console.log(plan.kind, plan.steps.length); // split, 3 steps: shorten, insert, mark
applyVmaPlan(plan);

console.log(mapsText(tree, () => null)); // two lines of /proc/PID/maps
if (vmaLookup(tree, start + 0x4000) !== plan.target) throw new Error('the upper part starts at the cut');

// mprotect back: the two become one.
if (plan.target === null) throw new Error('nothing refused it');
const back = planModify(tree, plan.target, start + 0x4000, start + 0x10000, VM_READ | VM_WRITE);
applyVmaPlan(back);
if (back.kind !== 'left' || tree.mapCount !== 1) throw new Error('the one before takes it in');
