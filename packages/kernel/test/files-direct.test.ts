/** O_DIRECT on files. FACTS: of the recorded traces; 6.18: asked of a running kernel. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EBADF, EFAULT, EINVAL, EIO, ENOSPC } from '@mmkit/base';
import { BIO_READ, BIO_WRITE, OpenFile } from '@mmkit/filemap';
import { MAP_FIXED, MAP_SHARED, PROT_WRITE } from '@mmkit/mm';
import { countFrames, PG_DIRTY, testFlag } from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import { ANON, builds, PAGE, pattern, RW } from './builds.ts';
import { BUFFER, bytesAt, contents, DISK, faults, filesBench, fill, stat, write } from './files-bench.ts';
import type { FilesBench } from './files-bench.ts';

function read(b: FilesBench, file: OpenFile, offset: number, address: number, length: number): number[] {
  const { result, pagesPinned } = b.api.directReadFile(b.machine, b.process, file, offset, address, length);
  return [result, pagesPinned];
}

function writeDirect(b: FilesBench, file: OpenFile, offset: number, address: number, length: number): number[] {
  const { result, pagesPinned } = b.api.directWriteFile(b.machine, b.process, file, offset, address, length);
  return [result, pagesPinned];
}

/** No pin, no lock, every rule. */
function quiet(b: FilesBench, file: OpenFile): void {
  b.api.checkMachine(b.machine);
  expect(countFrames(b.machine.memory.phys).pins).toBe(0);
  expect([isLocked(file.inode.iRwsem), isLocked(file.inode.invalidateLock)]).toEqual([false, false]);
}

describe.each(builds)('%s build: O_DIRECT reads of files', (name, api) => {
  it('D.3: blocks are read by pin, holes are zeroed without any', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 4 * PAGE, offset: 0 });
    expect(api.fallocate(file, api.FALLOC_FL_PUNCH_HOLE | api.FALLOC_FL_KEEP_SIZE, PAGE, 2 * PAGE)).toBe(0);
    fill(b, b.address, pattern(4 * PAGE, 9));
    expect(read(b, file, 0, b.address, 4 * PAGE)).toEqual([4 * PAGE, 2]);
    const want = pattern(4 * PAGE, 3);
    want.fill(0, PAGE, 3 * PAGE);
    expect(bytesAt(b, b.address, 4 * PAGE)).toEqual(want);
    const { phys } = b.machine.memory;
    const dirty = [0, 1, 2, 3].map((i) =>
      testFlag(phys, api.translate(b.machine, b.process, b.address + i * PAGE), PG_DIRTY),
    );
    expect(dirty).toEqual([true, false, false, true]);
    expect(read(b, api.createDiskFile(b.machine, b.device, { size: PAGE }), 0, b.address, PAGE)).toEqual([PAGE, 0]);
    expect(stat(b, file)).toEqual([0, 0]);
    quiet(b, file);
  });

  it('FACTS 23: across the end the rest of the buffer is zeroed by user copy, and the result is cut', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE, offset: 0 });
    expect(api.ftruncate(file, PAGE + 512)).toBe(0);
    const taken = faults(b, () => expect(read(b, file, 0, b.address, 4 * PAGE)).toEqual([PAGE + 512, 2]));
    expect(taken).toBe(4);
    const want = new Uint8Array(4 * PAGE);
    want.set(pattern(PAGE + 512, 3));
    expect(bytesAt(b, b.address, 4 * PAGE)).toEqual(want);
    const { phys } = b.machine.memory;
    expect(testFlag(phys, api.translate(b.machine, b.process, b.address + 2 * PAGE), PG_DIRTY)).toBe(false);
  });

  it('FACTS 23: at or beyond the end there is nothing: 0, no fault, aligned or not', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: PAGE, offset: 0 });
    const taken = faults(b, () => {
      for (const offset of [PAGE, PAGE + 5, 9 * PAGE]) expect(read(b, file, offset, b.address, PAGE)).toEqual([0, 0]);
      expect(read(b, file, 5, b.address, 0)).toEqual([0, 0]);
    });
    expect(taken).toBe(0);
  });

  it('what is dirty in the cache is written back first, in the range only', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 4 * PAGE, offset: 0 });
    // Each by itself, so that no large folio makes one of them.
    for (let at = 0; at < 4 * PAGE; at += PAGE) write(b, file, at, pattern(4 * PAGE, 9).slice(at, at + PAGE));
    expect(read(b, file, PAGE, b.address, 2 * PAGE)).toEqual([2 * PAGE, 2]);
    expect(bytesAt(b, b.address, 2 * PAGE)).toEqual(pattern(4 * PAGE, 9).slice(PAGE, 3 * PAGE));
    expect(stat(b, file)).toEqual([4, 2]);
  });

  it('FACTS 24, D.3: a bad page: -EFAULT, but what lies before it has been transferred', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 4 * PAGE, offset: 0 });
    const end = b.address + BUFFER * PAGE;
    expect(read(b, file, 0, end - PAGE, 2 * PAGE)).toEqual([-EFAULT, 1]);
    expect(bytesAt(b, end - PAGE, PAGE)).toEqual(pattern(PAGE, 3));
    expect(api.ftruncate(file, 0)).toBe(0);
    expect(api.ftruncate(file, 4 * PAGE)).toBe(0);
    expect(read(b, file, 0, end - PAGE, 2 * PAGE)).toEqual([-EFAULT, 0]);
    expect(bytesAt(b, end - PAGE, PAGE)).toEqual(new Uint8Array(PAGE));
    quiet(b, file);
  });

  it('FACTS 26: into a shared mapping of a disk file: a short pin is allowed', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE, offset: 0 });
    const other = api.createDiskFile(b.machine, b.device, { size: PAGE });
    const at = api.mmap(b.process.mm, 0, PAGE, RW, MAP_SHARED, other, 0);
    expect(read(b, file, 0, at, PAGE)).toEqual([PAGE, 1]);
    expect(contents(b, other.inode)).toEqual(pattern(PAGE, 3));
    expect(stat(b, other)).toEqual([1, 1]);
    quiet(b, file);
  });

  it('misaligned: -EINVAL; not open for reading: -EBADF; no user memory: -EFAULT', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 4 * PAGE, offset: 0 });
    expect(read(b, file, 5, b.address, PAGE)).toEqual([-EINVAL, 0]);
    expect(read(b, file, 0, b.address + 8, PAGE)).toEqual([-EINVAL, 0]);
    expect(read(b, file, 0, b.address, 100)).toEqual([-EINVAL, 0]);
    expect(read(b, new OpenFile(file.inode, false, true), 0, b.address, PAGE)).toEqual([-EBADF, 0]);
    expect(read(b, file, 0, b.machine.memory.format.taskSize - 512, 1024)).toEqual([-EFAULT, 0]);
    expect(() => read(b, file, -1, b.address, PAGE)).toThrow(RangeError);
    quiet(b, file);
  });

  it('EIO of the device, of reading or of the writeback before', () => {
    for (const bad of [BIO_READ, BIO_WRITE]) {
      const b = filesBench(name, api, { fail: (op) => (op === bad ? -EIO : 0) });
      const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE, offset: 0 });
      write(b, file, 0, pattern(PAGE, 9));
      expect(read(b, file, 0, b.address, 2 * PAGE)[0]).toBe(-EIO);
      quiet(b, file);
    }
  });
});

describe.each(builds)('%s build: O_DIRECT writes to files', (name, api) => {
  it('what is written replaces what the cache held, which is dropped; the device has it at once', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 4 * PAGE, offset: 0 });
    for (let at = 0; at < 4 * PAGE; at += PAGE) write(b, file, at, pattern(4 * PAGE, 9).slice(at, at + PAGE));
    fill(b, b.address, pattern(2 * PAGE, 5));
    expect(writeDirect(b, file, PAGE, b.address, 2 * PAGE)).toEqual([2 * PAGE, 2]);
    expect(stat(b, file)).toEqual([2, 2]);
    expect(b.disk.subarray(PAGE, 3 * PAGE)).toEqual(pattern(2 * PAGE, 5));
    const want = pattern(4 * PAGE, 9);
    want.set(pattern(2 * PAGE, 5), PAGE);
    expect(contents(b, file.inode)).toEqual(want);
    quiet(b, file);
  });

  it('the file grows; new blocks are zero where nothing was written', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device);
    fill(b, b.address, pattern(PAGE, 5));
    expect(writeDirect(b, file, PAGE + 1024, b.address, 512)).toEqual([512, 1]);
    expect([file.inode.size, stat(b, file)]).toEqual([PAGE + 1536, [0, 0]]);
    const want = new Uint8Array(PAGE + 1536);
    want.set(pattern(512, 5), PAGE + 1024);
    expect(contents(b, file.inode)).toEqual(want);
    expect(api.ftruncate(file, 2 * PAGE)).toBe(0);
    expect(contents(b, file.inode).subarray(PAGE + 1536)).toEqual(new Uint8Array(PAGE - 1536));
    quiet(b, file);
  });

  it('N.13: a page of the range that is mapped leaves the page tables; the next access reads what was written', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE, offset: 0 });
    const at = api.mmap(b.process.mm, 0, 2 * PAGE, RW, MAP_SHARED, file, 0);
    fill(b, at, Uint8Array.of(77));
    fill(b, b.address, pattern(PAGE, 5));
    expect(writeDirect(b, file, 0, b.address, PAGE)).toEqual([PAGE, 1]);
    expect(bytesAt(b, at, PAGE)).toEqual(pattern(PAGE, 5));
    quiet(b, file);
  });

  it('what comes into the cache while the write is under way is dropped after it: a buffer of the same pages', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE, offset: 0 });
    const at = api.mmap(b.process.mm, 0, 2 * PAGE, RW, MAP_SHARED, file, 0);
    api.mmap(b.process.mm, at, PAGE, RW, MAP_SHARED | MAP_FIXED, file, PAGE);
    api.mmap(b.process.mm, at + PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0);
    expect(writeDirect(b, file, 0, at, 2 * PAGE)).toEqual([2 * PAGE, 2]);
    expect(stat(b, file)).toEqual([0, 0]);
    const old = pattern(2 * PAGE, 3);
    expect(contents(b, file.inode)).toEqual(Uint8Array.from([...old.subarray(PAGE), ...old.subarray(0, PAGE)]));
    quiet(b, file);
  });

  it('6.18: not after one that failed', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE, offset: 0 });
    const at = api.mmap(b.process.mm, 0, 2 * PAGE, RW, MAP_SHARED, file, 0);
    api.munmap(b.process.mm, at + PAGE, PAGE);
    expect(writeDirect(b, file, 0, at, 2 * PAGE)).toEqual([-EFAULT, 1]);
    expect(stat(b, file)).toEqual([1, 0]);
  });

  it('FACTS 24: a bad page: -EFAULT; the cache of the range is gone all the same, the blocks before hold new data', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 4 * PAGE, offset: 0 });
    expect(contents(b, file.inode)).toEqual(pattern(4 * PAGE, 3));
    const end = b.address + BUFFER * PAGE;
    fill(b, end - PAGE, pattern(PAGE, 5));
    expect(writeDirect(b, file, 0, end - PAGE, 2 * PAGE)).toEqual([-EFAULT, 1]);
    expect(stat(b, file)).toEqual([2, 0]);
    expect(b.disk.subarray(0, 2 * PAGE)).toEqual(
      Uint8Array.from([...pattern(PAGE, 5), ...pattern(4 * PAGE, 3).slice(PAGE, 2 * PAGE)]),
    );
    quiet(b, file);
  });

  it('6.18: after an error holes still read as zeros, and the file has not grown', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE });
    const end = b.address + BUFFER * PAGE;
    fill(b, end - PAGE, pattern(PAGE, 5));
    expect(writeDirect(b, file, 0, end - PAGE, 2 * PAGE)[0]).toBe(-EFAULT);
    expect(contents(b, file.inode)).toEqual(new Uint8Array(2 * PAGE));
    expect(writeDirect(b, file, 2 * PAGE, end - PAGE, 2 * PAGE)[0]).toBe(-EFAULT);
    expect([file.inode.size, [...file.inode.blocks.keys()]]).toEqual([2 * PAGE, [0, 1]]);
    quiet(b, file);
  });

  it('6.18: a bad page where a new block beyond the end is half written: -EFAULT, but the file has grown up to there', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE, offset: 0 });
    const end = b.address + BUFFER * PAGE;
    fill(b, end - 2 * PAGE, pattern(2 * PAGE, 5));
    const [result, pages] = writeDirect(b, file, PAGE, end - 2 * PAGE + 512, 3 * PAGE);
    expect([result, pages]).toEqual([-EFAULT, 2]);
    // What is left went through the cache, which copied nothing and left a dirty page.
    expect([file.inode.size, stat(b, file)]).toEqual([3 * PAGE - 512, [1, 1]]);
    const want = Uint8Array.from([...pattern(PAGE, 3), ...pattern(2 * PAGE, 5).slice(512)]);
    expect(contents(b, file.inode)).toEqual(want);
    expect(api.ftruncate(file, 3 * PAGE)).toBe(0);
    expect(contents(b, file.inode).subarray(3 * PAGE - 512)).toEqual(new Uint8Array(512));
    quiet(b, file);
  });

  it.each([
    ['with a block', 2 * PAGE, 0],
    ['in a block that held data', 0, 512],
  ])('6.18: not when it ends %s: -EFAULT, the size as it was', (_where, offset, inPage) => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE, offset: 0 });
    const end = b.address + BUFFER * PAGE;
    expect(writeDirect(b, file, offset, end - PAGE + inPage, 2 * PAGE)).toEqual([-EFAULT, 1]);
    expect([file.inode.size, stat(b, file)]).toEqual([2 * PAGE, [0, 0]]);
    quiet(b, file);
  });

  it.each([
    ['inside the file', 6, false],
    ['behind its end', 2, true],
  ])(
    '6.18: a hole of the file that ends %s: the block half written is zeroed again, those before hold data',
    (_, pages, grows) => {
      const b = filesBench(name, api);
      const file = api.createDiskFile(b.machine, b.device, { size: pages * PAGE });
      const end = b.address + BUFFER * PAGE;
      fill(b, end - 2 * PAGE, pattern(2 * PAGE, 5));
      expect(writeDirect(b, file, PAGE, end - 2 * PAGE + 512, 3 * PAGE)[0]).toBe(-EFAULT);
      expect([file.inode.size, stat(b, file)]).toEqual([grows ? 3 * PAGE - 512 : pages * PAGE, [1, 1]]);
      const want = new Uint8Array(file.inode.size);
      want.set(pattern(2 * PAGE, 5).slice(512, PAGE + 512), PAGE);
      expect(contents(b, file.inode)).toEqual(want);
      quiet(b, file);
    },
  );

  it('6.18: room set aside before is zeroed again too, when it was not written to', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device);
    expect(api.fallocate(file, 0, 0, 4 * PAGE)).toBe(0);
    const end = b.address + BUFFER * PAGE;
    fill(b, end - PAGE, pattern(PAGE, 5));
    expect(writeDirect(b, file, 0, end - PAGE + 512, 2 * PAGE)[0]).toBe(-EFAULT);
    expect(contents(b, file.inode)).toEqual(new Uint8Array(4 * PAGE));
  });

  it('6.18: memory that can be loaded but not pinned for reading: what is left is copied, and all is written', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device);
    fill(b, b.address, pattern(PAGE, 5));
    expect(api.mprotect(b.process.mm, b.address + PAGE, 2 * PAGE, PROT_WRITE)).toBe(0);
    expect(writeDirect(b, file, 0, b.address + 512, 2 * PAGE)).toEqual([2 * PAGE, 1]);
    expect([file.inode.size, stat(b, file)]).toEqual([2 * PAGE, [0, 0]]);
    const want = new Uint8Array(2 * PAGE);
    want.set(pattern(PAGE, 5).subarray(512));
    expect(contents(b, file.inode)).toEqual(want);
    quiet(b, file);
  });

  it('ENOSPC: nothing is written, and what was taken for it beyond the end is given back', () => {
    const b = filesBench(name, api);
    api.createDiskFile(b.machine, b.device, { size: DISK - PAGE, offset: 0 });
    const file = api.createDiskFile(b.machine, b.device);
    expect(writeDirect(b, file, 0, b.address, 2 * PAGE)).toEqual([-ENOSPC, 0]);
    expect([file.inode.size, file.inode.blocks.size]).toEqual([0, 0]);
    expect(writeDirect(b, file, 0, b.address, PAGE)[0]).toBe(PAGE);
  });

  it('EIO of the device: the size stays', () => {
    const b = filesBench(name, api, { fail: (op) => (op === BIO_WRITE ? -EIO : 0) });
    const file = api.createDiskFile(b.machine, b.device);
    expect(writeDirect(b, file, 0, b.address, 2 * PAGE)).toEqual([-EIO, 2]);
    expect(writeDirect(b, file, 512, b.address, 512)[0]).toBe(-EIO);
    expect([file.inode.size, file.inode.blocks.size]).toEqual([0, 0]);
    quiet(b, file);
  });

  it('misaligned: -EINVAL; not open for writing: -EBADF; no user memory: -EFAULT; nothing: 0', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: PAGE, offset: 0 });
    expect(writeDirect(b, file, 5, b.address, PAGE)).toEqual([-EINVAL, 0]);
    expect(writeDirect(b, new OpenFile(file.inode, true, false), 0, b.address, PAGE)).toEqual([-EBADF, 0]);
    expect(writeDirect(b, file, 0, b.machine.memory.format.taskSize - 512, 1024)).toEqual([-EFAULT, 0]);
    expect(writeDirect(b, file, 9 * PAGE, b.address, 0)).toEqual([0, 0]);
    expect(() => writeDirect(b, file, 0, -1, PAGE)).toThrow(RangeError);
    expect([file.inode.size, b.disk]).toEqual([PAGE, pattern(DISK, 3)]);
    quiet(b, file);
  });

  it('tmpfs takes O_DIRECT since 6.6 and does buffered I/O: any alignment, no pin', () => {
    const b = filesBench(name, api);
    const file = api.createMemfd(b.machine);
    fill(b, b.address, pattern(PAGE, 5));
    expect(writeDirect(b, file, 5, b.address + 1, 100)).toEqual([100, 0]);
    expect(read(b, file, 5, b.address + PAGE + 1, 1000)).toEqual([100, 0]);
    expect(bytesAt(b, b.address + PAGE + 1, 100)).toEqual(pattern(101, 5).slice(1));
    expect(stat(b, file)).toEqual([1, 0]);
    quiet(b, file);
  });

  it('a page that cannot be dropped from the cache sends the write through it (ENOTBLK)', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE, offset: 0 });
    const at = api.mmap(b.process.mm, 0, PAGE, RW, MAP_SHARED, file, 0);
    expect(bytesAt(b, at, 1)).toEqual(pattern(1, 3));
    // Somebody stores through the mapping after the writeback, before it is taken away.
    const { rmap } = file.inode;
    const late: typeof rmap = {
      unmapRange: (inode, first, end, evenCows) => {
        b.filemap.folioMarkDirty(b.machine.memory.files, inode.pages.get(0)!);
        return rmap.unmapRange(inode, first, end, evenCows);
      },
      clean: (inode, pfn, index) => rmap.clean(inode, pfn, index),
    };
    Object.assign(file.inode, { rmap: late });
    fill(b, b.address, pattern(PAGE, 5));
    expect(writeDirect(b, file, 0, b.address, PAGE)).toEqual([PAGE, 0]);
    expect([b.disk.subarray(0, PAGE), stat(b, file)]).toEqual([pattern(PAGE, 5), [0, 0]]);
    quiet(b, file);
  });
});

const call = fc.record({
  op: fc.constantFrom('dread', 'dwrite', 'fread', 'fwrite', 'trunc', 'punch', 'alloc', 'store', 'drop'),
  block: fc.nat(47),
  blocks: fc.integer({ min: 1, max: 24 }),
  seed: fc.nat(255),
});

describe.each(builds.slice(0, 2))('%s build: everything together', (name, api) => {
  it('direct, buffered and mapped access of one file agree with an array of bytes', () => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 14 }), (calls) => {
        const b = filesBench(name, api);
        const file = api.createDiskFile(b.machine, b.device);
        const { inode } = file;
        const window = api.mmap(b.process.mm, b.address + 64 * PAGE, 12 * PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0);
        api.mmap(b.process.mm, b.address, BUFFER * PAGE, RW, ANON | MAP_FIXED);
        let model = new Uint8Array(0);
        const resize = (size: number): void => {
          const grown = new Uint8Array(size);
          grown.set(model.subarray(0, size));
          model = grown;
        };
        for (const { op, block, blocks, seed } of calls) {
          const at = block * 512;
          const length = blocks * 512;
          const end = at + length;
          const bytes = pattern(length, seed);
          const want = model.slice(at, end);
          if (op === 'dread' || op === 'fread') {
            const got =
              op === 'dread'
                ? read(b, file, at, b.address, length)[0]
                : api.readFile(b.machine, b.process, file, at, b.address, length);
            expect(got).toBe(want.length);
            expect(Buffer.compare(bytesAt(b, b.address, want.length), want)).toBe(0);
          } else if (op === 'dwrite' || op === 'fwrite') {
            fill(b, b.address, bytes);
            const done =
              op === 'dwrite'
                ? writeDirect(b, file, at, b.address, length)[0]
                : api.writeFile(b.machine, b.process, file, at, b.address, length);
            expect(done).toBe(length);
            if (end > model.length) resize(end);
            model.set(bytes, at);
          } else if (op === 'trunc') {
            expect(api.ftruncate(file, at)).toBe(0);
            resize(at);
          } else if (op === 'punch') {
            expect(b.filemap.punchHole(inode, at, length)).toBe(0);
            model.fill(0, at, end);
          } else if (op === 'alloc') {
            expect(api.fallocate(file, 0, at, length)).toBe(0);
            if (end > model.length) resize(end);
          } else if (op === 'store' && end <= model.length) {
            fill(b, window + at, bytes);
            model.set(bytes, at);
          } else if (op === 'drop') {
            expect(api.fadvise(file, 0, 0, api.POSIX_FADV_DONTNEED)).toBe(0);
          }
          expect(inode.size).toBe(model.length);
          quiet(b, file);
        }
        expect(Buffer.compare(contents(b, inode), model)).toBe(0);
        expect(Buffer.compare(bytesAt(b, window, model.length), model)).toBe(0);
      }),
      { numRuns: 25 },
    );
  });
});
