/**
 * A format no machine has, different from x86-64 wherever a format may differ: three levels of 32 entries in pages of
 * 16 KiB, high word first, an explicit leaf bit, bits that deny instead of allow, a dirty bit that is cleared, PFN from
 * bit 10.
 *
 * Low word: 0 VALID, 1 LEAF, 2 READ_ONLY, 3 USER, 4 NO_EXEC, 5 USED, 6 CLEAN, 7 SPECIAL, 8 HIDDEN (PROT_NONE, VALID
 * clear), 9 must be zero, 31:10 PFN bits 21:0. High word: 6:0 PFN bits 28:22, 31:7 kept. Neither VALID nor HIDDEN: the
 * high word's bits 31:28 are a swap type, the low word's 31:10 an offset.
 */
import { InvariantError } from '@mmkit/base';
import {
  ACCESS_EXEC,
  ACCESS_WRITE,
  accessRights,
  addressRange,
  type Decoded,
  E_DIRTY,
  E_EXEC,
  E_PROTNONE,
  E_SPECIAL,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
  ENTRY_RESERVED,
  ENTRY_TABLE,
  type Entry,
  type EntryTest,
  FAULT_NOT_PRESENT,
  type Format,
  formatLevels,
  permitsByRights,
  setDecoded,
} from '@mmkit/pgtable';

const VALID = 0x1;
const LEAF = 0x2;
const READ_ONLY = 0x4;
const USER = 0x8;
const NO_EXEC = 0x10;
const USED = 0x20;
const CLEAN = 0x40;
const SPECIAL = 0x80;
const HIDDEN = 0x100;
const ZERO = 0x200;

function flagsOf(lo: number): number {
  let flags = 0;
  if ((lo & READ_ONLY) === 0) flags |= E_WRITE;
  if ((lo & USER) !== 0) flags |= E_USER;
  if ((lo & NO_EXEC) === 0) flags |= E_EXEC;
  if ((lo & USED) !== 0) flags |= E_YOUNG;
  if ((lo & CLEAN) === 0) flags |= E_DIRTY;
  if ((lo & SPECIAL) !== 0) flags |= E_SPECIAL;
  return flags;
}

function decode(lo: number, hi: number, level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if ((lo | hi) === 0) return;
  if ((lo & (VALID | HIDDEN)) === 0) {
    out.kind = ENTRY_NONPRESENT;
    out.type = hi >>> 28;
    out.offset = lo >>> 10;
    out.restLo = lo & 0x3ff;
    out.restHi = hi & 0x0fff_ffff;
    return;
  }
  out.kind = level > 0 && (lo & (VALID | LEAF)) === VALID ? ENTRY_TABLE : ENTRY_LEAF;
  out.pfn = (lo >>> 10) | ((hi & 0x7f) << 22);
  out.flags = flagsOf(lo);
  if ((lo & VALID) === 0) out.flags = (out.flags & ~E_EXEC) | E_PROTNONE;
  out.restLo = lo & (ZERO | ((lo & VALID) === 0 ? NO_EXEC : HIDDEN));
  out.restHi = hi & ~0x7f;
}

function encode(d: Decoded, level: number, out: Entry): void {
  out.lo = 0;
  out.hi = 0;
  if (d.kind === ENTRY_NONE) return;
  if (d.kind === ENTRY_NONPRESENT) {
    out.lo = (d.offset << 10) | d.restLo;
    out.hi = (d.type << 28) | d.restHi;
    return;
  }
  if (d.kind === ENTRY_TABLE && level === 0) throw new InvariantError('BAD_ENTRY', 'no table at level 0');
  const hidden = (d.flags & E_PROTNONE) !== 0;
  let lo = d.restLo | (hidden ? HIDDEN : VALID) | (d.kind === ENTRY_LEAF ? LEAF : 0) | (d.pfn << 10);
  if ((d.flags & E_WRITE) === 0) lo |= READ_ONLY;
  if ((d.flags & E_USER) !== 0) lo |= USER;
  if ((d.flags & E_EXEC) === 0 && !hidden) lo |= NO_EXEC;
  if ((d.flags & E_YOUNG) !== 0) lo |= USED;
  if ((d.flags & E_DIRTY) === 0) lo |= CLEAN;
  if ((d.flags & E_SPECIAL) !== 0) lo |= SPECIAL;
  out.lo = lo;
  out.hi = d.restHi | (d.pfn >>> 22);
}

function hardware(lo: number, hi: number, level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if ((lo & VALID) === 0) return;
  const leaf = level === 0 || (lo & LEAF) !== 0;
  const bad = (lo & ZERO) !== 0 || (leaf && ((lo >>> 10) & (32 ** level - 1)) !== 0);
  out.kind = bad ? ENTRY_RESERVED : leaf ? ENTRY_LEAF : ENTRY_TABLE;
  out.pfn = (lo >>> 10) | ((hi & 0x7f) << 22);
  out.flags = flagsOf(lo);
}

const NEVER: EntryTest = Object.freeze({ maskLo: 0, wantLo: 1, maskHi: 0, wantHi: 0 });
const LEAF_TESTS: readonly EntryTest[] = [0, 1, 2, 3].map((access) => {
  const deny = ((access & ACCESS_WRITE) !== 0 ? READ_ONLY : 0) | ((access & ACCESS_EXEC) !== 0 ? NO_EXEC : 0);
  const want = VALID | LEAF | USER;
  return Object.freeze({ maskLo: want | deny | SPECIAL | ZERO, wantLo: want, maskHi: 0, wantHi: 0 });
});

export const madeUp: Format = Object.freeze({
  ...formatLevels(14, 3, 5),
  ...addressRange(29),
  lowHalf: true,
  highHalf: false,
  name: 'made up',
  userEnd: 2 ** 29,
  taskSize: 2 ** 29,
  entryWords: 2,
  lowAt: 1,
  highAt: 0,
  pfnLowShift: 10,
  pfnHighMask: 0x7f,
  pfnHighShift: 22,
  tableTest: Object.freeze({
    maskLo: VALID | LEAF | READ_ONLY | USER | NO_EXEC | ZERO,
    wantLo: VALID | USER,
    maskHi: 0,
    wantHi: 0,
  }),
  accessedLo: USED,
  accessedTableLo: 0,
  dirtySetLo: 0,
  dirtyClearLo: CLEAN,
  addressFault: FAULT_NOT_PRESENT,
  flushBroadcasts: false,
  decode,
  encode,
  hardware,
  permits: permitsByRights,
  leafTest(access: number, inherited: number): EntryTest {
    const need = accessRights(access) | E_USER;
    return (inherited & need) === need ? LEAF_TESTS[access & 3]! : NEVER;
  },
});
