import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  alignDown,
  alignUp,
  bigintHigh,
  bigintLow,
  highWord,
  isAligned,
  lowWord,
  pageNumber,
  tableIndex,
  wordsToBigint,
} from '@mmkit/base';

/** User addresses, small ones and those near 2^47 and 2^53 as likely as any. */
const address = fc.oneof(
  fc.maxSafeNat(),
  fc.nat({ max: 2 ** 20 }),
  fc.nat({ max: 2 ** 20 }).map((n) => 2 ** 47 - n),
  fc.nat({ max: 2 ** 20 }).map((n) => Number.MAX_SAFE_INTEGER - n),
);
const shift = fc.integer({ min: 0, max: 39 });

describe('address arithmetic agrees with bigints, over all safe integers', () => {
  it('alignDown, isAligned', () => {
    fc.assert(
      fc.property(address, shift, (a, s) => {
        const expected = (BigInt(a) >> BigInt(s)) << BigInt(s);
        expect(BigInt(alignDown(a, 2 ** s))).toBe(expected);
        expect(isAligned(a, 2 ** s)).toBe(expected === BigInt(a));
      }),
    );
  });

  it('alignUp, below 2^53', () => {
    fc.assert(
      fc.property(address, shift, (a, s) => {
        const expected = ((BigInt(a) + (1n << BigInt(s)) - 1n) >> BigInt(s)) << BigInt(s);
        fc.pre(expected <= BigInt(Number.MAX_SAFE_INTEGER));
        expect(BigInt(alignUp(a, 2 ** s))).toBe(expected);
      }),
    );
  });

  it('pageNumber, tableIndex', () => {
    fc.assert(
      fc.property(address, shift, fc.integer({ min: 1, max: 13 }), (a, s, bits) => {
        expect(BigInt(pageNumber(a, s))).toBe(BigInt(a) >> BigInt(s));
        expect(BigInt(tableIndex(a, 2 ** s, 2 ** bits))).toBe((BigInt(a) >> BigInt(s)) & ((1n << BigInt(bits)) - 1n));
      }),
    );
  });

  it('lowWord, highWord', () => {
    fc.assert(
      fc.property(address, (a) => {
        expect([lowWord(a), highWord(a)]).toEqual([(a % 2 ** 32) | 0, Number(BigInt(a) >> 32n)]);
        expect(wordsToBigint(lowWord(a), highWord(a))).toBe(BigInt(a));
      }),
    );
  });

  it('wordsToBigint and its inverses, over all 64-bit values', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        const [lo, hi] = [bigintLow(value), bigintHigh(value)];
        expect([lo, hi]).toEqual([lo | 0, hi | 0]);
        expect(wordsToBigint(lo, hi)).toBe(value);
      }),
    );
  });
});

it('N.19: the indices of an address in the four x86-64 levels', () => {
  const a = 0x7fff_ffff_f000;
  expect([39, 30, 21, 12].map((s) => tableIndex(a, 2 ** s, 512))).toEqual([255, 511, 511, 511]);
  expect(pageNumber(a, 12)).toBe(0x7_ffff_ffff);
});
