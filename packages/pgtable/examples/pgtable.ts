import { wordsToBigint } from '@mmkit/base';
import * as pt from '@mmkit/pgtable';
import { createPhys } from '@mmkit/phys';

const tables = pt.createTables(createPhys({ frames: 1024 }), pt.x86_64);
const root = pt.allocRoot(tables);
if (pt.mapRange(tables, root, 0x7000_0000, 0x7000_4000, 0x123, pt.E_USER | pt.E_WRITE) !== 0) throw new Error('ENOMEM');

const found = pt.createTranslation();
const fault = pt.hwWalk(tables, root, 0x7000_1008, pt.ACCESS_USER | pt.ACCESS_WRITE, found);
if (fault !== 0 || found.pfn !== 0x124) throw new Error('not translated');

const entry = pt.createEntry();
pt.readEntry(tables, pt.leafTable(tables, root, 0x7000_1000), pt.leafIndex(pt.x86_64, 0x7000_1000), entry);
const raw = wordsToBigint(entry.lo, entry.hi);
if (raw !== 0x8000_0000_0012_4067n) throw new Error('the MMU did not mark the page accessed and dirty');
console.log(`frame ${found.pfn.toString(16)}, entry ${raw.toString(16)}`);
