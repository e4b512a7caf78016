export { allocPages, allocPagesBulk, allocPagesNode, allocPagesNodemask } from './alloc-pages.co.ts';
export { allocPagesMpol } from './mempolicy.co.ts';
export { allocContigPages, allocContigRange } from './contig.co.ts';
export { cmaAlloc } from './cma.co.ts';
export { offlinePages } from './offline.co.ts';
