import { InvariantError } from '@mmkit/base';
import * as pt from '@mmkit/pgtable';
import { createPhys } from '@mmkit/phys';

// Two levels of 256 entries in pages of 4 KiB, high word first; huge pages of 1 MiB. Low word: 0 valid, 1 table, 2 write,
// 3 user, 4 exec, 5 used, 6 dirty (bits 6:2 are E_WRITE to E_DIRTY as they are), 31:8 and the high word's 4:0 PFN.
const [VALID, TABLE, USED, DIRTY, RIGHTS] = [0x1, 0x2, 0x20, 0x40, 0x1c];

function decode(lo: number, hi: number, _level: number, out: pt.Decoded): void {
  pt.setDecoded(out, pt.ENTRY_NONE, 0, 0);
  if ((lo | hi) === 0) return;
  const valid = (lo & VALID) !== 0;
  out.restLo = valid ? lo & 0x80 : lo;
  out.restHi = valid ? hi & ~0x1f : hi;
  out.kind = pt.ENTRY_NONPRESENT;
  if (!valid) return;
  out.kind = (lo & TABLE) !== 0 ? pt.ENTRY_TABLE : pt.ENTRY_LEAF;
  out.pfn = (lo >>> 8) | ((hi & 0x1f) << 24);
  out.flags = (lo >>> 2) & 0x1f;
}

function encode(d: pt.Decoded, level: number, out: pt.Entry): void {
  const table = d.kind === pt.ENTRY_TABLE;
  const valid = table || d.kind === pt.ENTRY_LEAF;
  if ((table && level === 0) || (valid && (d.flags & ~0x1f) !== 0)) {
    throw new InvariantError('BAD_ENTRY', `no entry of kind ${d.kind}, flags ${d.flags} at level ${level}`);
  }
  out.lo = d.restLo | (valid ? VALID | (table ? TABLE : 0) | (d.flags << 2) | (d.pfn << 8) : 0);
  out.hi = d.restHi | (d.pfn >>> 24);
}

function hardware(lo: number, hi: number, level: number, out: pt.Decoded): void {
  decode((lo & VALID) === 0 ? 0 : lo, hi, level, out);
  if ((lo & VALID) === 0) out.kind = pt.ENTRY_NONE;
  if (out.kind === pt.ENTRY_TABLE ? level === 0 : level > 0 && (out.pfn & 0xff) !== 0) out.kind = pt.ENTRY_RESERVED;
}

function leafTest(access: number, inherited: number): pt.EntryTest {
  const need = pt.accessRights(access) | pt.E_USER;
  const want = VALID | (need << 2);
  return { maskLo: (inherited & need) === need ? want | TABLE : 0, wantLo: want, maskHi: 0, wantHi: 0 };
}

const own: pt.Format = {
  ...pt.formatLevels(12, 2, 8),
  ...pt.addressRange(28),
  name: 'my machine',
  lowHalf: true,
  highHalf: false,
  addressFault: pt.FAULT_NOT_PRESENT,
  userEnd: 2 ** 28,
  taskSize: 2 ** 28,
  flushBroadcasts: false,
  entryWords: 2,
  lowAt: 1,
  highAt: 0,
  pfnLowShift: 8,
  pfnHighMask: 0x1f,
  pfnHighShift: 24,
  tableTest: { maskLo: VALID | TABLE | RIGHTS, wantLo: VALID | TABLE | RIGHTS, maskHi: 0, wantHi: 0 },
  accessedLo: USED,
  accessedTableLo: 0,
  dirtySetLo: DIRTY,
  dirtyClearLo: 0,
  decode,
  encode,
  hardware,
  permits: pt.permitsByRights,
  leafTest,
};

const tables = pt.createTables(createPhys({ frames: 1024 }), own);
const root = pt.allocRoot(tables);
// Three pages, one huge page, two pages; then a page in the middle of the huge one becomes read-only.
if (pt.mapLargest(tables, root, 0xf_d000, 0x20_2000, 0x2fd, pt.E_USER | pt.E_WRITE) !== 0) throw new Error('ENOMEM');
for (const edge of [0x18_0000, 0x18_1000]) if (pt.splitAt(tables, root, edge) !== 0) throw new Error('ENOMEM');
pt.protectRange(tables, root, 0x18_0000, 0x18_1000, 0, pt.E_WRITE);

const found = pt.createTranslation();
const store = pt.ACCESS_USER | pt.ACCESS_WRITE;
if (pt.hwWalk(tables, root, 0x18_0000, store, found) !== pt.FAULT_PROTECTION) throw new Error('written');
if (pt.hwWalk(tables, root, 0x1f_f008, store, found) !== 0 || found.pfn !== 0x3ff) throw new Error('not translated');
const dirty = pt.testAndClear(tables, root, 0, own.userEnd, pt.E_DIRTY);
const entries = pt.unmapRange(tables, root, 0, own.userEnd);
console.log(`written: ${dirty} of ${entries} entries`);
