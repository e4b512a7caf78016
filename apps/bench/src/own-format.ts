/**
 * A format no machine has: three levels of 256 entries in pages of 4 KiB, high word first, leaves are what is no table,
 * a bit that denies user access, PFN from bit 8.
 *
 * Low word: 0 PRESENT, 1 TABLE, 2 KERNEL, 3 WRITE, 4 EXEC, 5 USED, 6 DIRTY, 7 SPECIAL, 31:8 PFN bits 23:0. High word: 4:0
 * PFN bits 28:24, 5 HIDDEN (PROT_NONE, PRESENT clear), 6 UFFD_WP, 7 SOFT_DIRTY, 8 EXCLUSIVE, 9 SWAP, 31:10 kept. SWAP
 * without PRESENT: the high word's bits 31:24 are a swap type, the low word's 31:8 an offset.
 */
import { InvariantError } from '@mmkit/base';
import {
  accessRights,
  addressRange,
  type Decoded,
  E_DIRTY,
  E_EXCLUSIVE,
  E_EXEC,
  E_PROTNONE,
  E_SOFT_DIRTY,
  E_SPECIAL,
  E_UFFD_WP,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
  ENTRY_TABLE,
  type Entry,
  type EntryTest,
  FAULT_NOT_PRESENT,
  type Format,
  formatLevels,
  permitsByRights,
  setDecoded,
} from '@mmkit/pgtable';

const PRESENT = 0x1;
const TABLE = 0x2;
const KERNEL = 0x4;
const WRITE = 0x8;
const EXEC = 0x10;
const USED = 0x20;
const DIRTY = 0x40;
const SPECIAL = 0x80;
const HIDDEN = 0x20;
const SWAP = 0x200;
const REST_HI = ~0x3ff;

/** Flags and their bits: of the low word, of the high word. */
const LOW: readonly (readonly [number, number])[] = [
  [E_WRITE, WRITE],
  [E_EXEC, EXEC],
  [E_YOUNG, USED],
  [E_DIRTY, DIRTY],
  [E_SPECIAL, SPECIAL],
];
const HIGH: readonly (readonly [number, number])[] = [
  [E_PROTNONE, HIDDEN],
  [E_UFFD_WP, 0x40],
  [E_SOFT_DIRTY, 0x80],
  [E_EXCLUSIVE, 0x100],
];

function flagsOf(word: number, bits: typeof LOW): number {
  return bits.reduce((flags, [flag, bit]) => ((word & bit) !== 0 ? flags | flag : flags), 0);
}

function bitsOf(flags: number, bits: typeof LOW): number {
  return bits.reduce((word, [flag, bit]) => ((flags & flag) !== 0 ? word | bit : word), 0);
}

function decode(lo: number, hi: number, _level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if ((lo | hi) === 0) return;
  if ((lo & PRESENT) === 0 && (hi & HIDDEN) === 0) {
    out.kind = ENTRY_NONPRESENT;
    out.flags = flagsOf(hi, HIGH);
    out.type = hi >>> 24;
    out.offset = lo >>> 8;
    out.restLo = lo & 0xff;
    out.restHi = hi & 0x00ff_fc1f;
    return;
  }
  out.kind = (lo & (PRESENT | TABLE)) === (PRESENT | TABLE) ? ENTRY_TABLE : ENTRY_LEAF;
  out.pfn = (lo >>> 8) | ((hi & 0x1f) << 24);
  out.flags = flagsOf(lo, LOW) | flagsOf(hi, HIGH) | ((lo & KERNEL) === 0 ? E_USER : 0);
  out.restHi = hi & REST_HI;
}

function encode(d: Decoded, level: number, out: Entry): void {
  out.lo = 0;
  out.hi = 0;
  if (d.kind === ENTRY_NONE) return;
  if (d.kind === ENTRY_NONPRESENT) {
    out.lo = (d.offset << 8) | d.restLo;
    out.hi = (d.type << 24) | SWAP | bitsOf(d.flags, HIGH) | d.restHi;
    return;
  }
  if (d.kind === ENTRY_TABLE && level === 0) throw new InvariantError('BAD_ENTRY', 'no table at level 0');
  const { flags, pfn } = d;
  const kind = (d.kind === ENTRY_TABLE ? TABLE : 0) | ((flags & E_PROTNONE) === 0 ? PRESENT : 0);
  out.lo = (pfn << 8) | kind | bitsOf(flags, LOW) | ((flags & E_USER) === 0 ? KERNEL : 0);
  out.hi = (pfn >>> 24) | bitsOf(flags, HIGH) | d.restHi;
}

function hardware(lo: number, hi: number, level: number, out: Decoded): void {
  decode(lo, hi, level, out);
  if ((lo & PRESENT) === 0) setDecoded(out, ENTRY_NONE, 0, 0);
}

const NEVER: EntryTest = Object.freeze({ maskLo: 0, wantLo: 1, maskHi: 0, wantHi: 0 });

/** By ACCESS_WRITE and ACCESS_EXEC. */
const LEAF_TESTS: readonly EntryTest[] = [0, 1, 2, 3].map((access) => {
  const want = PRESENT | bitsOf(accessRights(access), LOW);
  return Object.freeze({ maskLo: want | TABLE | KERNEL | SPECIAL, wantLo: want, maskHi: 0, wantHi: 0 });
});

export const ownFormat: Format = Object.freeze({
  ...formatLevels(12, 3, 8),
  ...addressRange(36),
  lowHalf: true,
  highHalf: false,
  name: 'made up',
  userEnd: 2 ** 36,
  taskSize: 2 ** 36 - 2 ** 20,
  entryWords: 2,
  lowAt: 1,
  highAt: 0,
  pfnLowShift: 8,
  pfnHighMask: 0x1f,
  pfnHighShift: 24,
  tableTest: Object.freeze({
    maskLo: PRESENT | TABLE | KERNEL | WRITE | EXEC,
    wantLo: PRESENT | TABLE | WRITE | EXEC,
    maskHi: 0,
    wantHi: 0,
  }),
  accessedLo: USED,
  accessedTableLo: USED,
  dirtySetLo: DIRTY,
  dirtyClearLo: 0,
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
