/**
 * The contents of frames: RAM as sparse chunks, made on first touch. A chunk is one buffer seen as int32 words and as
 * bytes: 2 MiB, or 32 KiB in a machine of at most 16 MiB. Nobody's lock protects contents: two tasks that move bytes of
 * one frame race, as on hardware. A machine made without contents has none to read or write (NO_CONTENTS); zeroing and
 * copying there do nothing.
 */
import { checkInteger, InvariantError } from '@mmkit/base';
import { checkFrame, makeBuffer } from './frame.ts';
import type { Phys } from './frame.ts';

/** Below this many bytes a loop is cheaper than making a view (1 ns a byte against 110 ns). */
const VIEW_MIN = 96;

function checkContents(phys: Phys): void {
  if (!phys.contents) throw new InvariantError('NO_CONTENTS', 'this machine was made without contents');
}

/** Makes the chunk of a frame. The last chunk ends where the memory ends. */
function makeChunk(phys: Phys, pfn: number): Int32Array {
  checkContents(phys);
  const index = pfn >> phys.chunkShift;
  const first = index << phys.chunkShift;
  const size = Math.min(1 << phys.chunkShift, phys.frames - first) * phys.pageSize;
  const buffer = makeBuffer(size, phys.shared);
  const words = new Int32Array(buffer);
  // Filled up to the index: an array with a hole before its last element would become a hash table.
  while (phys.chunks.length < index) {
    phys.chunks.push(undefined);
    phys.chunkBytes.push(undefined);
    phys.chunkDoubles.push(undefined);
  }
  phys.chunks[index] = words;
  phys.chunkBytes[index] = new Uint8Array(buffer);
  phys.chunkDoubles[index] = new Float64Array(buffer);
  // Not `words`: where the machine is watched (watch.ts), what all others get.
  return phys.chunks[index]!;
}

/** The words of the chunk that holds a frame, made if absent; the frame's begin at `frameWordIndex`. */
export function frameWords(phys: Phys, pfn: number): Int32Array {
  checkFrame(phys, pfn);
  const words = phys.chunks[pfn >> phys.chunkShift] ?? makeChunk(phys, pfn);
  if (pfn >= phys.untouched) phys.untouched = pfn + 1;
  return words;
}

/** Index of a frame's first word in what `frameWords` returns; the frame has pageSize / 4 words. Not checked. */
export function frameWordIndex(phys: Phys, pfn: number): number {
  return (pfn & ((1 << phys.chunkShift) - 1)) << (phys.pageShift - 2);
}

/** Index of a frame's first byte in its chunk. */
function frameByteIndex(phys: Phys, pfn: number): number {
  return (pfn & ((1 << phys.chunkShift) - 1)) << phys.pageShift;
}

/** Checks a range of a frame and a range of an array of bytes. */
function checkRange(phys: Phys, pfn: number, offset: number, array: Uint8Array, at: number, length: number): void {
  checkFrame(phys, pfn);
  checkInteger('length', length, 0, phys.pageSize);
  checkInteger('offset', offset, 0, phys.pageSize - length);
  checkInteger('at', at, 0, array.length - length);
}

/** Copies `length` bytes from byte `offset` of a frame to `into[at…]`. The bytes lie in one frame. */
export function readBytes(phys: Phys, pfn: number, offset: number, into: Uint8Array, at: number, length: number): void {
  checkRange(phys, pfn, offset, into, at, length);
  const bytes = phys.chunkBytes[pfn >> phys.chunkShift];
  if (bytes === undefined) {
    checkContents(phys);
    into.fill(0, at, at + length);
    return;
  }
  const start = frameByteIndex(phys, pfn) + offset;
  if (length < VIEW_MIN) for (let i = 0; i < length; i++) into[at + i] = bytes[start + i]!;
  else into.set(bytes.subarray(start, start + length), at);
}

/** Copies `length` bytes from `from[at…]` to byte `offset` of a frame. The bytes lie in one frame. */
export function writeBytes(
  phys: Phys,
  pfn: number,
  offset: number,
  from: Uint8Array,
  at: number,
  length: number,
): void {
  checkRange(phys, pfn, offset, from, at, length);
  frameWords(phys, pfn);
  const bytes = phys.chunkBytes[pfn >> phys.chunkShift]!;
  const start = frameByteIndex(phys, pfn) + offset;
  if (length < VIEW_MIN) for (let i = 0; i < length; i++) bytes[start + i] = from[at + i]!;
  else bytes.set(from.subarray(at, at + length), start);
}

/**
 * The bytes of `count` frames from `pfn` on, in place; null when they do not lie in one chunk. What is stored in the
 * view is stored in the frames.
 */
export function frameBytes(phys: Phys, pfn: number, count: number): Uint8Array | null {
  checkFrame(phys, pfn);
  checkInteger('count', count, 1, phys.frames - pfn);
  if (pfn >> phys.chunkShift !== (pfn + count - 1) >> phys.chunkShift) return null;
  frameWords(phys, pfn + count - 1);
  const start = frameByteIndex(phys, pfn);
  return phys.chunkBytes[pfn >> phys.chunkShift]!.subarray(start, start + count * phys.pageSize);
}

/** Zeroes a frame (`clear_page`). */
export function zeroFrame(phys: Phys, pfn: number): void {
  checkFrame(phys, pfn);
  const doubles = phys.chunkDoubles[pfn >> phys.chunkShift];
  if (doubles === undefined) return;
  const start = frameWordIndex(phys, pfn) >> 1;
  doubles.fill(0, start, start + (phys.pageSize >> 3));
}

/** Copies the contents of frame `from` to frame `to` (`copy_page`). */
export function copyFrame(phys: Phys, to: number, from: number): void {
  checkFrame(phys, to);
  checkFrame(phys, from);
  const source = phys.chunkBytes[from >> phys.chunkShift];
  if (source === undefined) return zeroFrame(phys, to);
  frameWords(phys, to);
  const target = phys.chunkBytes[to >> phys.chunkShift]!;
  const start = frameByteIndex(phys, from);
  const end = start + phys.pageSize;
  if (target === source) target.copyWithin(frameByteIndex(phys, to), start, end);
  else target.set(source.subarray(start, end), frameByteIndex(phys, to));
}
