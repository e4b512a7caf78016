/** Random calls on files of both kinds against a naive model: an array of bytes. Measured on 6.18 where it says so. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countFrames } from '@mmkit/phys';
import { builds, pattern } from './builds.ts';
import { bench, PAGE } from './files.ts';

const MAX = 10 * PAGE;

const position = fc.oneof(
  fc.nat(MAX),
  fc.nat(9).map((n) => n * PAGE),
  fc.nat(18).map((n) => n * (PAGE / 2) + 1),
);
const call = fc.record({
  op: fc.constantFrom('read', 'write', 'write', 'write', 'truncate', 'punch', 'allocate', 'fsync', 'drop', 'settle'),
  at: position,
  length: fc.oneof(fc.integer({ min: 1, max: 3 * PAGE }), fc.constantFrom(PAGE, 2 * PAGE, 6 * PAGE, 8 * PAGE)),
  seed: fc.nat(255),
});

describe.each(builds)('%s build', (_, api) => {
  it.each(['disk', 'shmem'] as const)('%s: every byte read is the one last written, or 0', (kind) => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 30 }), (calls) => {
        const b = bench(api);
        const inode = b.file(kind);
        let model = new Uint8Array(0);
        const resize = (size: number): void => {
          const grown = new Uint8Array(size);
          grown.set(model.subarray(0, size));
          model = grown;
        };
        for (const { op, at, length, seed } of calls) {
          const end = at + length;
          if (op === 'read') {
            const into = new Uint8Array(length);
            const want = model.subarray(at, end);
            expect(api.filemapRead(inode, at, into, 0, length)).toBe(want.length);
            expect(Buffer.compare(into.subarray(0, want.length), want)).toBe(0);
          } else if (op === 'write') {
            expect(b.write(inode, at, pattern(length, seed))).toBe(length);
            if (end > model.length) resize(end);
            model.set(pattern(length, seed), at);
          } else if (op === 'truncate') {
            expect(api.truncateSetSize(inode, at)).toBe(0);
            resize(at);
          } else if (op === 'punch') {
            expect(api.punchHole(inode, at, length)).toBe(0);
            model.fill(0, at, end);
          } else if (op === 'allocate') {
            expect(api.fallocate(inode, at, length)).toBe(0);
            if (end > model.length) resize(end);
          } else if (op === 'fsync') {
            expect(b.fsync(inode)).toBe(0);
            expect(inode.nrDirty).toBe(0);
          } else if (op === 'drop') {
            api.filemapFdatawrite(inode, at, end, api.WB_SYNC_NONE);
            api.invalidateMappingPages(inode, 0, Infinity);
          } else {
            b.settle();
          }
          expect(inode.size).toBe(model.length);
          b.check(inode);
        }
        // What the device holds is the file: nothing of it needs the cache.
        expect(b.fsync(inode)).toBe(0);
        api.invalidateMappingPages(inode, 0, Infinity);
        if (kind === 'disk') expect(b.stat(inode)).toEqual([0, 0]);
        expect(Buffer.compare(b.read(inode, 0, model.length), model)).toBe(0);
        expect(api.truncateSetSize(inode, 0)).toBe(0);
        b.check(inode);
        expect([inode.pages.size, inode.blocks.size, countFrames(b.phys).used]).toEqual([0, 0, 0]);
      }),
      { numRuns: 50 },
    );
  });

  it('a file made of an extent of the device reads as it, and writes go there', () => {
    const b = bench(api);
    const inode = b.file('disk', 3 * PAGE - 100, 2 * PAGE);
    expect(b.read(inode, 0, 3 * PAGE - 100)).toEqual(pattern(5 * PAGE, 3).slice(2 * PAGE, 5 * PAGE - 100));
    b.write(inode, PAGE + 7, Uint8Array.of(1, 2, 3));
    expect(b.disk[3 * PAGE + 7]).toBe(pattern(5 * PAGE, 3)[3 * PAGE + 7]);
    expect(b.fsync(inode)).toBe(0);
    expect([...b.disk.subarray(3 * PAGE + 7, 3 * PAGE + 10)]).toEqual([1, 2, 3]);
    expect(b.disk.subarray(3 * PAGE, 3 * PAGE + 7)).toEqual(pattern(4 * PAGE, 3).subarray(3 * PAGE, 3 * PAGE + 7));
  });

  it('an extent that begins inside a block, or does not lie on the device, is a RangeError', () => {
    const b = bench(api);
    for (const [size, offset] of [
      [PAGE, 512],
      [PAGE, b.disk.length],
      [b.disk.length + 1, 0],
      [PAGE, -PAGE],
    ] as const) {
      const inode = b.file('disk');
      expect(() => api.addExtent(inode, offset, size)).toThrow(RangeError);
      expect([inode.size, inode.blocks.size, b.device.nextBlock]).toEqual([0, 0, 0]);
    }
  });
});
