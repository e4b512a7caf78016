import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  copyFrame,
  createPhys,
  frameBytes,
  frameWordIndex,
  frameWords,
  readBytes,
  writeBytes,
  zeroFrame,
} from '../src/index.ts';
import { expectRefused } from './support.ts';

describe('RAM', () => {
  it('reads as zero where it was never touched, without making it', () => {
    const phys = createPhys({ frames: 64 });
    const out = new Uint8Array(100).fill(7);
    readBytes(phys, 9, 50, out, 1, 98);
    expect(out).toEqual(Uint8Array.from({ length: 100 }, (_, i) => (i === 0 || i === 99 ? 7 : 0)));
    zeroFrame(phys, 9);
    copyFrame(phys, 10, 9);
    expect(phys.chunks).toEqual([]);
  });

  it('has one set of bytes, seen as words (little-endian) and as bytes', () => {
    const phys = createPhys({ frames: 64 });
    writeBytes(phys, 11, 8, Uint8Array.of(0x78, 0x56, 0x34, 0x12), 0, 4);
    const words = frameWords(phys, 11);
    const at = frameWordIndex(phys, 11);
    expect(words[at + 2]).toBe(0x12345678);
    words[at + 1023] = -2;
    const out = new Uint8Array(4);
    readBytes(phys, 11, 4092, out, 0, 4);
    expect([...out]).toEqual([0xfe, 0xff, 0xff, 0xff]);
  });

  it('copies from a frame never touched, within a chunk and between chunks', () => {
    const phys = createPhys({ frames: 64 });
    const page = Uint8Array.from({ length: 4096 }, (_, i) => (i * 31) & 255);
    const out = new Uint8Array(4096);
    writeBytes(phys, 16, 0, page, 0, 4096);
    for (const to of [17, 40]) {
      copyFrame(phys, to, 16);
      readBytes(phys, to, 0, out, 0, 4096);
      expect(out).toEqual(page);
    }
    copyFrame(phys, 17, 63);
    readBytes(phys, 17, 0, out, 0, 4096);
    expect(out).toEqual(new Uint8Array(4096));
    readBytes(phys, 16, 0, out, 0, 4096);
    expect(out).toEqual(page);
  });

  it('refuses ranges outside the frame or the array', () => {
    const phys = createPhys({ frames: 60 });
    const array = new Uint8Array(16);
    const bad: readonly (readonly [number, number, number, number])[] = [
      [60, 0, 0, 1],
      [-1, 0, 0, 1],
      [2, -1, 0, 1],
      [2, 4096, 0, 1],
      [2, 4090, 0, 7],
      [2, 0, 10, 7],
      [2, 0, -1, 1],
      [2, 0, 0, 17],
      [2, 0, 0, -1],
      [2, 0.5, 0, 1],
      [2, 0, 0.5, 1],
      [2, 0, 0, NaN],
      [2, 0, 0, 4097],
    ];
    for (const [pfn, offset, at, length] of bad) {
      expectRefused(phys, 'RangeError', () => readBytes(phys, pfn, offset, array, at, length));
      expectRefused(phys, 'RangeError', () => writeBytes(phys, pfn, offset, array, at, length));
    }
    frameWords(phys, 59);
    for (const pfn of [60, 63, -1, 1.5]) {
      expectRefused(phys, 'RangeError', () => zeroFrame(phys, pfn));
      expectRefused(phys, 'RangeError', () => copyFrame(phys, pfn, 2));
      expectRefused(phys, 'RangeError', () => copyFrame(phys, 2, pfn));
      expectRefused(phys, 'RangeError', () => frameWords(phys, pfn));
    }
  });

  const frames = 40;
  const step = fc.record({
    op: fc.constantFrom('write', 'zero', 'copy'),
    a: fc.integer({ min: 0, max: frames - 1 }),
    b: fc.integer({ min: 0, max: frames - 1 }),
    offset: fc.oneof(fc.integer({ min: 0, max: 16 }), fc.integer({ min: 0, max: 65536 })),
    length: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 65536 })),
    seed: fc.integer({ min: 1, max: 255 }),
  });

  it.each([4096, 16384, 65536] as const)('equals one flat array of bytes, pages of %i', (pageSize) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.boolean(), (steps, shared) => {
        const phys = createPhys({ frames, pageSize, shared });
        const flat = new Uint8Array(frames * pageSize);
        for (const { op, a, b, offset, length, seed } of steps) {
          if (op === 'zero') {
            zeroFrame(phys, a);
            flat.fill(0, a * pageSize, (a + 1) * pageSize);
          } else if (op === 'copy') {
            copyFrame(phys, a, b);
            flat.copyWithin(a * pageSize, b * pageSize, (b + 1) * pageSize);
          } else {
            const start = offset % pageSize;
            const count = Math.min(length, pageSize - start);
            const bytes = Uint8Array.from({ length: count + 3 }, (_, i) => (i * seed) & 255);
            writeBytes(phys, a, start, bytes, 3, count);
            flat.set(bytes.subarray(3), a * pageSize + start);
          }
        }
        const out = new Uint8Array(frames * pageSize);
        for (let pfn = 0; pfn < frames; pfn++) readBytes(phys, pfn, 0, out, pfn * pageSize, pageSize);
        expect(Buffer.compare(out, flat)).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});

describe('frameBytes', () => {
  it('is the bytes of frames in one chunk, in place; null across chunks', () => {
    const phys = createPhys({ frames: 4096 });
    const bytes = frameBytes(phys, 8, 2)!;
    expect(bytes.length).toBe(2 * phys.pageSize);
    bytes[phys.pageSize] = 7;
    const seen = new Uint8Array(1);
    readBytes(phys, 9, 0, seen, 0, 1);
    expect(seen[0]).toBe(7);
    const perChunk = 1 << phys.chunkShift;
    expect(frameBytes(phys, perChunk - 1, 2)).toBeNull();
    expect(() => frameBytes(phys, 4095, 2)).toThrow(RangeError);
    expect(() => frameBytes(phys, 4096, 1)).toThrow(RangeError);
  });
});
