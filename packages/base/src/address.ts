/**
 * Address arithmetic. A user address is a `number` below 2^53, so JavaScript's 32-bit operators may not be used on it
 * directly; these helpers are the only place that turns addresses into the small integers those operators work on.
 * Sizes are powers of two.
 */

const WORD = 0x1_0000_0000;

/** Largest multiple of `size` that is ≤ `address`. */
export function alignDown(address: number, size: number): number {
  return address - (address % size);
}

/** Smallest multiple of `size` that is ≥ `address`. */
export function alignUp(address: number, size: number): number {
  const rest = address % size;
  return rest === 0 ? address : address - rest + size;
}

/** True when `address` is a multiple of `size`. */
export function isAligned(address: number, size: number): boolean {
  return address % size === 0;
}

/** Index into a table whose entries each cover `span` bytes and which has `count` of them (both powers of two). */
export function tableIndex(address: number, span: number, count: number): number {
  return Math.floor(address / span) % count;
}

/** The page number of an address: `address >> pageShift` for addresses of any size. */
export function pageNumber(address: number, pageShift: number): number {
  return Math.floor(address / 2 ** pageShift);
}

/** Low 32 bits of an integer below 2^53, as int32. */
export function lowWord(value: number): number {
  return value | 0;
}

/** Bits 32 and up of an integer below 2^53, as int32. */
export function highWord(value: number): number {
  return Math.floor(value / WORD) | 0;
}

/** The 64-bit value of two words, as an unsigned `bigint`. */
export function wordsToBigint(lo: number, hi: number): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}

/** Low word (int32) of a 64-bit value. */
export function bigintLow(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}

/** High word (int32) of a 64-bit value. */
export function bigintHigh(value: bigint): number {
  return Number(BigInt.asIntN(32, value >> 32n));
}
