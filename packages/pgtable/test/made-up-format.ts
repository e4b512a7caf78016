/**
 * A format no machine has, different from all that the package brings wherever a format may differ: six levels of 16
 * entries in pages of 16 KiB, high word first, leaves that say their own size, bits that deny instead of allow, a dirty
 * bit that is cleared, PFN from bit 11.
 *
 * Low word: 0 VALID, 1 READ_ONLY, 2 USER, 3 NO_EXEC, 4 HIDDEN (PROT_NONE, VALID clear), 5 USED, 6 CLEAN, 7 SPECIAL,
 * 10:8 SIZE (0 table, else a leaf of level SIZE − 1), 31:11 PFN bits 20:0. High word: 7:0 PFN bits 28:21, 8 NOTED
 * (soft-dirty), 31:9 kept. Neither VALID nor HIDDEN: the high word's bits 31:28 are a swap type, the low word's 31:11 an
 * offset.
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
  E_SOFT_DIRTY,
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
const READ_ONLY = 0x2;
const USER = 0x4;
const NO_EXEC = 0x8;
const HIDDEN = 0x10;
const USED = 0x20;
const CLEAN = 0x40;
const SPECIAL = 0x80;
const SIZE = 0x700;
const SIZE_SHIFT = 8;
const NOTED_HI = 0x100;
const PFN_HI = 0xff;

function flagsOf(lo: number, hi: number): number {
  let flags = 0;
  if ((lo & READ_ONLY) === 0) flags |= E_WRITE;
  if ((lo & USER) !== 0) flags |= E_USER;
  if ((lo & NO_EXEC) === 0) flags |= E_EXEC;
  if ((lo & USED) !== 0) flags |= E_YOUNG;
  if ((lo & CLEAN) === 0) flags |= E_DIRTY;
  if ((lo & SPECIAL) !== 0) flags |= E_SPECIAL;
  if ((hi & NOTED_HI) !== 0) flags |= E_SOFT_DIRTY;
  return flags;
}

function pfnOf(lo: number, hi: number): number {
  return (lo >>> 11) | ((hi & PFN_HI) << 21);
}

/** What the SIZE of a leaf of `level` should be. */
function sizeOf(level: number): number {
  return (level + 1) << SIZE_SHIFT;
}

function isTable(lo: number, level: number): boolean {
  return level > 0 && (lo & (VALID | SIZE)) === VALID;
}

function decode(lo: number, hi: number, level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if ((lo | hi) === 0) return;
  if ((lo & (VALID | HIDDEN)) === 0) {
    out.kind = ENTRY_NONPRESENT;
    out.type = hi >>> 28;
    out.offset = lo >>> 11;
    out.restLo = lo & 0x7ff;
    out.restHi = hi & 0x0fff_ffff;
    return;
  }
  const table = isTable(lo, level);
  const hidden = (lo & VALID) === 0;
  out.kind = table ? ENTRY_TABLE : ENTRY_LEAF;
  out.pfn = pfnOf(lo, hi);
  out.flags = hidden ? (flagsOf(lo, hi) & ~E_EXEC) | E_PROTNONE : flagsOf(lo, hi);
  out.restLo = (table ? 0 : (lo & SIZE) ^ sizeOf(level)) | (lo & (hidden ? NO_EXEC : HIDDEN));
  out.restHi = hi & ~(PFN_HI | NOTED_HI);
}

function encode(d: Decoded, level: number, out: Entry): void {
  out.lo = 0;
  out.hi = 0;
  if (d.kind === ENTRY_NONE) return;
  if (d.kind === ENTRY_NONPRESENT) {
    out.lo = (d.offset << 11) | d.restLo;
    out.hi = (d.type << 28) | d.restHi;
    return;
  }
  if (d.kind === ENTRY_TABLE && level === 0) throw new InvariantError('BAD_ENTRY', 'no table at level 0');
  const hidden = (d.flags & E_PROTNONE) !== 0;
  let lo = d.restLo | (hidden ? HIDDEN : VALID) | (d.pfn << 11);
  if (d.kind === ENTRY_LEAF) lo ^= sizeOf(level);
  if ((d.flags & E_WRITE) === 0) lo |= READ_ONLY;
  if ((d.flags & E_USER) !== 0) lo |= USER;
  if ((d.flags & E_EXEC) === 0 && !hidden) lo |= NO_EXEC;
  if ((d.flags & E_YOUNG) !== 0) lo |= USED;
  if ((d.flags & E_DIRTY) === 0) lo |= CLEAN;
  if ((d.flags & E_SPECIAL) !== 0) lo |= SPECIAL;
  out.lo = lo;
  out.hi = d.restHi | ((d.flags & E_SOFT_DIRTY) !== 0 ? NOTED_HI : 0) | (d.pfn >>> 21);
}

function hardware(lo: number, hi: number, level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if ((lo & VALID) === 0) return;
  const table = isTable(lo, level);
  const bad = !table && ((lo & SIZE) !== sizeOf(level) || pfnOf(lo, hi) % 16 ** level !== 0);
  out.kind = bad ? ENTRY_RESERVED : table ? ENTRY_TABLE : ENTRY_LEAF;
  out.pfn = pfnOf(lo, hi);
  out.flags = flagsOf(lo, 0);
}

const NEVER: EntryTest = Object.freeze({ maskLo: 0, wantLo: 1, maskHi: 0, wantHi: 0 });
const LEAF_TESTS: readonly EntryTest[] = [0, 1, 2, 3].map((access) => {
  const deny = ((access & ACCESS_WRITE) !== 0 ? READ_ONLY : 0) | ((access & ACCESS_EXEC) !== 0 ? NO_EXEC : 0);
  const mask = VALID | SIZE | USER | SPECIAL | deny;
  return Object.freeze({ maskLo: mask, wantLo: VALID | sizeOf(0) | USER, maskHi: 0, wantHi: 0 });
});

export const madeUp: Format = Object.freeze({
  ...formatLevels(14, 6, 4),
  ...addressRange(38),
  lowHalf: true,
  highHalf: false,
  name: 'made up',
  userEnd: 2 ** 38,
  taskSize: 2 ** 38,
  entryWords: 2,
  lowAt: 1,
  highAt: 0,
  pfnLowShift: 11,
  pfnHighMask: PFN_HI,
  pfnHighShift: 21,
  tableTest: Object.freeze({
    maskLo: VALID | SIZE | READ_ONLY | USER | NO_EXEC,
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
