/** Random bios, several in flight, against a naive model: an array of bytes per frame and one for the device. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EIO } from '@mmkit/base';
import type { Bio } from '@mmkit/filemap';
import { createPhys, readBytes, writeBytes } from '@mmkit/phys';
import { createSched, runPending } from '@mmkit/task';
import { builds, pattern } from './builds.ts';

const PAGE = 4096;
const FRAMES = 16;
const SIZE = 24 * 512;

const request = fc.record({
  write: fc.boolean(),
  block: fc.nat(30),
  blocks: fc.integer({ min: 1, max: 14 }),
  inPage: fc.nat(PAGE - 1),
  pfns: fc.uint32Array({ min: 2, max: FRAMES - 1, minLength: 3, maxLength: 3 }),
  fails: fc.nat(9).map((n) => n === 0),
  runNow: fc.nat(2),
});

describe.each(builds)('%s build', (_name, filemap) => {
  it('every byte of frames and device is what the model says, for any bios', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 12 }), (requests) => {
        const disk = pattern(SIZE, 1);
        const phys = createPhys({ frames: FRAMES });
        const sched = createSched();
        const failing = new Set<number>();
        let ended = 0;
        const fail = (): number => (failing.has(ended) ? -EIO : 0);
        const dev = filemap.createBlockDevice(sched, phys, filemap.createMemoryBackend(disk), { fail });

        const diskModel = disk.slice();
        const ram = Array.from({ length: FRAMES }, (_, pfn) => pattern(PAGE, pfn * 31));
        for (let pfn = 2; pfn < FRAMES; pfn++) writeBytes(phys, pfn, 0, ram[pfn]!, 0, PAGE);

        const apply = (bio: Bio, fails: boolean): [number, number] => {
          if (fails) return [-EIO, 0];
          const end = bio.op === filemap.BIO_WRITE ? bio.offset + bio.length : 0;
          if (end > SIZE) return [-EIO, 0];
          let moved = 0;
          for (; moved < bio.length && bio.offset + moved < SIZE; moved++) {
            const at = bio.offsetInPage + moved;
            const frame = ram[bio.pfns[Math.floor(at / PAGE)]!]!;
            if (bio.op === filemap.BIO_WRITE) diskModel[bio.offset + moved] = frame[at % PAGE]!;
            else frame[at % PAGE] = diskModel[bio.offset + moved]!;
          }
          return [0, moved];
        };

        requests.forEach(({ write, block, blocks, inPage, pfns, fails, runNow }, i) => {
          if (fails) failing.add(i);
          const op = write ? filemap.BIO_WRITE : filemap.BIO_READ;
          filemap.submitBio(
            dev,
            filemap.createBio(op, block * 512, pfns, inPage, blocks * 512, (bio) => {
              expect([bio.status, bio.bytesDone]).toEqual(apply(bio, failing.has(ended)));
              ended++;
            }),
          );
          for (let n = 0; n < runNow; n++) runPending(sched);
        });
        filemap.waitIdle(dev);

        expect(ended).toBe(requests.length);
        // Compared whole: the matcher for arrays takes a hundred times as long.
        expect(Buffer.compare(disk, diskModel)).toBe(0);
        const bytes = new Uint8Array(PAGE);
        for (let pfn = 2; pfn < FRAMES; pfn++) {
          readBytes(phys, pfn, 0, bytes, 0, PAGE);
          expect(Buffer.compare(bytes, ram[pfn]!)).toBe(0);
        }
      }),
      { numRuns: 60 },
    );
  });
});
