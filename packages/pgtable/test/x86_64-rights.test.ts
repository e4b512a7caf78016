import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_OVERRIDE,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  FAULT_BUS,
  FAULT_KEY,
  FAULT_NON_CANONICAL,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
  pageFaultErrorCode,
  X86_PF_PK,
  type X86MmuOptions,
} from '@mmkit/pgtable';
import { codeOf } from './machine.ts';
import { Image } from './x86_64-image.ts';

const READ = ACCESS_READ;
const WRITE = ACCESS_WRITE;
const FETCH = ACCESS_EXEC;
const AC = ACCESS_OVERRIDE;
const USER = ACCESS_USER;
/** Bits of the leaf. */
const RW = 0x2n;
const US = 0x4n;
const XD = 1n << 63n;
const key = (n: number): bigint => BigInt(n) << 59n;
/** A mode with nothing on. */
const PLAIN: X86MmuOptions = { wp: false, smep: false, smap: false, pke: false };
const P = FAULT_PROTECTION;

type Row = readonly [what: string, mode: X86MmuOptions, leaf: bigint, read: number, write: number, fetch: number];

/** What reads, writes and fetches of a leaf with these bits come to. */
const USER_MODE: readonly Row[] = [
  ['user page, writable', PLAIN, US | RW, 0, 0, 0],
  ['user page, read-only: CR0.WP is not asked', PLAIN, US, 0, P, 0],
  ['user page, XD', PLAIN, US | RW | XD, 0, 0, P],
  ['supervisor page', PLAIN, RW, P, P, P],
  ['SMEP and SMAP are not asked', { ...PLAIN, smep: true, smap: true }, US | RW, 0, 0, 0],
];

const SUPERVISOR: readonly Row[] = [
  ['supervisor page, writable', PLAIN, RW, 0, 0, 0],
  ['supervisor page, read-only, WP = 0', PLAIN, 0n, 0, 0, 0],
  ['supervisor page, read-only, WP = 1', { ...PLAIN, wp: true }, 0n, 0, P, 0],
  ['supervisor page, XD', PLAIN, RW | XD, 0, 0, P],
  ['user page', PLAIN, US | RW, 0, 0, 0],
  ['user page, read-only, WP = 0', PLAIN, US, 0, 0, 0],
  ['user page, read-only, WP = 1', { ...PLAIN, wp: true }, US, 0, P, 0],
  ['user page, XD', PLAIN, US | RW | XD, 0, 0, P],
  ['user page, SMEP', { ...PLAIN, smep: true }, US | RW, 0, 0, P],
  ['user page, SMAP', { ...PLAIN, smap: true }, US | RW, P, P, 0],
  ['user page, read-only, SMAP, WP = 0', { ...PLAIN, smap: true }, US, P, P, 0],
  ['supervisor page, SMEP and SMAP', { ...PLAIN, smep: true, smap: true }, RW, 0, 0, 0],
];

const SMAP_WITH_AC: readonly Row[] = [
  ['user page, SMAP', { ...PLAIN, smap: true }, US | RW, 0, 0, 0],
  ['user page, read-only, SMAP, WP = 0', { ...PLAIN, smap: true }, US, 0, 0, 0],
  ['user page, read-only, SMAP, WP = 1', { ...PLAIN, smap: true, wp: true }, US, 0, P, 0],
  ['user page, SMEP: AC does not help a fetch', { ...PLAIN, smep: true }, US | RW, 0, 0, P],
];

function expectRow(row: Row, who: number): void {
  const [what, mode, leaf, read, write, fetch] = row;
  const image = new Image(mode);
  const set = (): void => image.set(0, 0x1234_5001n | leaf);
  const got = [READ, WRITE, FETCH].map((access) => {
    set();
    return image.walk(access | who);
  });
  expect([what, ...got]).toEqual([what, read, write, fetch]);
}

describe('SDM 4.6.1: access rights', () => {
  it.each(USER_MODE)('user mode: %s', (...row) => expectRow(row, USER));
  it.each(USER_MODE)('user mode, EFLAGS.AC = 1: %s', (...row) => expectRow(row, USER | AC));
  it.each(SUPERVISOR)('supervisor: %s', (...row) => expectRow(row, 0));
  it.each(SMAP_WITH_AC)('supervisor, EFLAGS.AC = 1: %s', (...row) => expectRow(row, AC));

  it.each([4, 3, 2, 1])('R/W, U/S and XD count at level %d as in the leaf', (level) => {
    const image = new Image({ la57: true });
    const before = image.get(level);
    for (const [flip, access] of [
      [RW, USER | WRITE],
      [US, USER | READ],
      [XD, USER | FETCH],
      [RW, WRITE | AC],
      [XD, FETCH],
    ] as const) {
      image.set(level, before ^ flip);
      expect(image.walk(access)).toBe(P);
      image.set(level, before);
      expect(image.walk(access)).toBe(access === FETCH ? P : 0);
    }
    image.set(level, before & ~US);
    expect(image.walk(FETCH)).toBe(0);
    expect(image.walk(WRITE)).toBe(0);
  });

  it('SMEP and SMAP ask for a user page: U/S set at all levels', () => {
    const image = new Image();
    expect([image.walk(READ), image.walk(FETCH)]).toEqual([P, P]);
    image.set(3, image.get(3) & ~US);
    expect([image.walk(READ), image.walk(FETCH)]).toEqual([0, 0]);
  });
});

const AD = 0x1;
const WD = 0x2;
const K = FAULT_KEY;
const KEYS: X86MmuOptions = { ...PLAIN, pke: true, wp: true };

/** PKRU bits of key 5, then what user mode's and the supervisor's reads, writes and fetches of a page with key 5 come to. */
const KEY_ROWS: readonly (readonly [string, X86MmuOptions, number, bigint, readonly number[], readonly number[]])[] = [
  ['open', KEYS, 0, US | RW, [0, 0, 0], [0, 0, 0]],
  ['AD', KEYS, AD, US | RW, [K, K, 0], [K, K, 0]],
  ['WD', KEYS, WD, US | RW, [0, K, 0], [0, K, 0]],
  ['WD, WP = 0', { ...KEYS, wp: false }, WD, US | RW, [0, K, 0], [0, 0, 0]],
  ['AD, WP = 0', { ...KEYS, wp: false }, AD, US | RW, [K, K, 0], [K, K, 0]],
  ['AD and WD, supervisor page', KEYS, AD | WD, RW, [P, P, P], [0, 0, 0]],
  ['AD and WD, CR4.PKE = 0', { ...KEYS, pke: false }, AD | WD, US | RW, [0, 0, 0], [0, 0, 0]],
  ['WD, read-only page', KEYS, WD, US, [0, K, 0], [0, K, 0]],
  ['open, read-only page', KEYS, 0, US, [0, P, 0], [0, P, 0]],
];

describe('SDM 4.6.2: protection keys', () => {
  it.each(KEY_ROWS)('%s', (_name, mode, bits, leaf, user, supervisor) => {
    // The other keys say the opposite.
    const pkru = ((~(0x3 << 10) & (bits === 0 ? -1 : 0)) | (bits << 10)) >>> 0;
    const image = new Image({ ...mode, pkru });
    image.set(0, 0x1234_5001n | leaf | key(5));
    expect([READ, WRITE, FETCH].map((access) => image.walk(access | USER))).toEqual(user);
    expect([READ, WRITE, FETCH].map((access) => image.walk(access))).toEqual(supervisor);
  });

  it.each([0, 1, 7, 8, 15])('key %d has bits 2n and 2n + 1 of PKRU, which the machine may write at any time', (n) => {
    const image = new Image({ pkru: 0 });
    image.set(0, image.get(0) | key(n));
    expect(image.walk(USER | WRITE)).toBe(0);
    image.mmu.pkru = 2 ** (2 * n);
    expect(image.walk(USER | READ)).toBe(FAULT_KEY);
    image.mmu.pkru = 2 ** (2 * n + 1);
    expect(image.walk(USER | READ)).toBe(0);
    expect(image.walk(USER | WRITE)).toBe(FAULT_KEY);
    image.mmu.pkru = 0xffff_ffff - 3 * 2 ** (2 * n);
    expect(image.walk(USER | WRITE)).toBe(0);
  });

  it('the leaf has the key, of any size; the bits mean nothing in a table', () => {
    for (const level of [0, 1, 2]) {
      const image = new Image({ pkru: 0x4 }, level);
      const before = image.get(level);
      image.set(level, before | key(1));
      expect(image.walk(USER)).toBe(FAULT_KEY);
      image.set(level, before);
      image.set(3, image.get(3) | key(1));
      expect(image.walk(USER)).toBe(0);
    }
  });

  it('SMAP’s AC does not open a key', () => {
    const image = new Image({ pkru: 0x1 });
    expect(image.walk(READ | AC)).toBe(FAULT_KEY);
  });
});

describe('N.19, SDM 4.7: page-fault error code', () => {
  it.each([
    ['not present, kernel read', FAULT_NOT_PRESENT, READ, 0x0],
    ['not present, user write', FAULT_NOT_PRESENT, USER | WRITE, 0x6],
    ['not present, kernel fetch', FAULT_NOT_PRESENT, FETCH, 0x10],
    ['protection, user write', FAULT_PROTECTION, USER | WRITE, 0x7],
    ['protection, user fetch', FAULT_PROTECTION, USER | FETCH, 0x15],
    ['reserved bit, user read', FAULT_RESERVED, USER, 0xd],
    ['reserved bit, kernel write', FAULT_RESERVED, WRITE, 0xb],
    ['key, user read', FAULT_KEY, USER, X86_PF_PK | 0x5],
    ['key, kernel write with AC', FAULT_KEY, WRITE | AC, X86_PF_PK | 0x3],
  ])('%s', (_name, fault, access, code) => {
    expect(pageFaultErrorCode(fault, access)).toBe(code);
  });

  it('I is set for fetches with NXE or SMEP only', () => {
    const code = (nxe: boolean, smep: boolean): number => pageFaultErrorCode(P, USER | FETCH, { nxe, smep });
    expect(code(true, false)).toBe(0x15);
    expect(code(false, true)).toBe(0x15);
    expect(code(true, true)).toBe(0x15);
    expect(code(false, false)).toBe(0x5);
  });

  it('a fault that is no #PF has none', () => {
    for (const fault of [0, FAULT_NON_CANONICAL, FAULT_BUS]) {
      expect(codeOf(() => pageFaultErrorCode(fault, READ))).toBe('NOT_A_PAGE_FAULT');
    }
  });
});
