/** Truncation, holes, room, invalidation; and what holds a page meanwhile. */
import { describe, expect, it } from 'vitest';
import { EBUSY, EINVAL, EIO, ENOMEM, ENOSPC, EPERM } from '@mmkit/base';
import {
  compoundHead,
  countFrames,
  getPage,
  GUP_PIN_COUNTING_BIAS,
  pageMapCount,
  pageRefCount,
  PG_DIRTY,
  PG_UPTODATE,
  putPage,
  readBytes,
  testFlag,
  writeBytes,
} from '@mmkit/phys';
import type { AsyncBackend } from '@mmkit/filemap';
import { isLocked } from '@mmkit/rwsem';
import { addEvent, runPending } from '@mmkit/task';
import { Vma } from '@mmkit/vma';
import { builds, pattern, thrown } from './builds.ts';
import { bench, DISK, PAGE } from './files.ts';

describe.each(builds)('%s build: truncation', (_, api) => {
  it.each(['disk', 'shmem'] as const)(
    'E.1, N.13: %s: truncate removes a pinned page from the file; the pin keeps it, with its data, and it is an orphan',
    (kind) => {
      const b = bench(api);
      const inode = b.file(kind);
      b.write(inode, 0, pattern(3 * PAGE, 5));
      const pfn = b.map(inode, 1);
      getPage(b.phys, pfn, GUP_PIN_COUNTING_BIAS);
      expect(api.truncateSetSize(inode, 0)).toBe(0);
      expect([pageRefCount(b.phys, pfn), pageMapCount(b.phys, pfn)]).toEqual([GUP_PIN_COUNTING_BIAS, 0]);
      expect([api.folioInode(b.files, pfn), testFlag(b.phys, compoundHead(b.phys, pfn), PG_DIRTY)]).toEqual([
        null,
        false,
      ]);
      const bytes = new Uint8Array(PAGE);
      readBytes(b.phys, pfn, 0, bytes, 0, PAGE);
      expect(bytes).toEqual(pattern(3 * PAGE, 5).slice(PAGE, 2 * PAGE));
      // The next page there is another one; what reaches the orphan is lost.
      b.write(inode, 0, pattern(3 * PAGE, 6));
      expect(inode.pages.get(1)).not.toBe(pfn);
      writeBytes(b.phys, pfn, 0, Uint8Array.of(1), 0, 1);
      api.folioMarkDirty(b.files, pfn);
      expect(inode.nrDirty).toBe(kind === 'disk' ? 3 : 0);
      expect(b.read(inode, 0, 3 * PAGE)).toEqual(pattern(3 * PAGE, 6));
      putPage(b.phys, pfn, GUP_PIN_COUNTING_BIAS);
      expect(countFrames(b.phys).used).toBe(3);
    },
  );

  it('the order: size, unmap, each page under its lock, unmap again; private copies beyond the end go too', () => {
    const b = bench(api);
    const inode = b.file('shmem');
    b.write(inode, 0, pattern(3 * PAGE, 5));
    b.map(inode, 2);
    expect(api.truncateSetSize(inode, PAGE + 1)).toBe(0);
    expect(b.calls).toEqual(['unmap 2 Infinity true', 'unmap 2 Infinity true']);
    expect([inode.size, inode.pages.size]).toEqual([PAGE + 1, 2]);
  });

  it('a page mapped between the first unmap and its turn is unmapped again, alone', () => {
    const b = bench(api);
    const inode = b.file('shmem');
    b.write(inode, 0, pattern(2 * PAGE, 5));
    b.afterUnmap = () => {
      if (b.calls.length === 1) b.map(inode, 1);
    };
    expect(api.truncateSetSize(inode, 0)).toBe(0);
    expect(b.calls).toEqual(['unmap 0 Infinity true', 'unmap 1 2 false', 'unmap 0 Infinity true']);
    expect([inode.pages.size, countFrames(b.phys).used]).toEqual([0, 0]);
  });

  it('the page with the new end stays, mapped, zeroed beyond it, and dirty; 6.18: it is even read in for that', () => {
    const b = bench(api);
    const inode = b.file('disk', 3 * PAGE, 0);
    expect(api.truncateSetSize(inode, PAGE + 100)).toBe(0);
    expect(b.stat(inode)).toEqual([1, 1]);
    expect(b.fsync(inode)).toBe(0);
    expect(b.disk.subarray(PAGE, PAGE + 100)).toEqual(pattern(DISK, 3).subarray(PAGE, PAGE + 100));
    expect(b.disk.subarray(PAGE + 100, 2 * PAGE)).toEqual(new Uint8Array(PAGE - 100));
    expect(api.truncateSetSize(inode, 3 * PAGE)).toBe(0);
    expect(b.read(inode, PAGE + 100, 2 * PAGE - 100)).toEqual(new Uint8Array(2 * PAGE - 100));
  });

  it('6.18: zeroing part of a hole caches a page and does not make it dirty; shmem caches none', () => {
    const b = bench(api);
    const disk = b.file('disk', 3 * PAGE);
    const shmem = b.file('shmem', 3 * PAGE);
    for (const inode of [disk, shmem]) expect(api.truncateSetSize(inode, PAGE + 100)).toBe(0);
    expect([b.stat(disk), b.stat(shmem)]).toEqual([
      [1, 0],
      [0, 0],
    ]);
    expect(testFlag(b.phys, disk.pages.get(1)!, PG_UPTODATE)).toBe(false);
  });

  it('growing changes the size, and of a disk file zeroes the last page beyond the old end', () => {
    const b = bench(api);
    for (const kind of ['disk', 'shmem'] as const) {
      const inode = b.file(kind);
      b.write(inode, 0, pattern(100, 5));
      writeBytes(b.phys, inode.pages.get(0)!, 150, Uint8Array.of(77), 0, 1);
      expect(api.truncateSetSize(inode, 5 * PAGE)).toBe(0);
      expect([inode.size, b.read(inode, 150, 1)[0]]).toEqual([5 * PAGE, kind === 'disk' ? 0 : 77]);
    }
    expect(b.calls).toEqual([]);
  });

  it('6.18: truncation to the size the file has zeroes what its last page holds beyond it', () => {
    const b = bench(api);
    for (const kind of ['disk', 'shmem'] as const) {
      const inode = b.file(kind);
      b.write(inode, 0, pattern(100, 5));
      const pfn = inode.pages.get(0)!;
      writeBytes(b.phys, pfn, 150, Uint8Array.of(77), 0, 1);
      inode.seals = api.F_SEAL_SHRINK;
      expect(api.truncateSetSize(inode, 100)).toBe(0);
      const bytes = new Uint8Array(1);
      readBytes(b.phys, pfn, 150, bytes, 0, 1);
      expect(bytes[0]).toBe(0);
    }
  });

  it('blocks of what is cut off are used again', () => {
    const b = bench(api);
    const inode = b.file('disk', DISK, 0);
    expect(api.truncateSetSize(inode, DISK - 2 * PAGE)).toBe(0);
    const other = b.file('disk');
    b.write(other, 0, pattern(2 * PAGE, 5));
    expect([b.fsync(other), b.device.freeBlocks.length]).toEqual([0, 0]);
    b.check(inode);
  });

  it('a page being written back is waited for, and its block is not given away before', () => {
    const b = bench(api);
    const inode = b.file('disk');
    b.write(inode, 0, pattern(PAGE, 5));
    api.filemapFdatawrite(inode, 0, Infinity, api.WB_SYNC_ALL);
    expect(b.sched.now).toBe(0);
    expect(api.truncateSetSize(inode, 0)).toBe(0);
    expect([b.sched.now, b.device.freeBlocks]).toEqual([b.device.latency, [0]]);
  });

  it('EIO where the page with the end cannot be read in: the size is changed when it shrinks, not when it grows', () => {
    const b = bench(api, { fail: () => -EIO });
    const inode = b.file('disk', 2 * PAGE + 5, 0);
    expect([api.truncateSetSize(inode, 9 * PAGE), inode.size]).toEqual([-EIO, 2 * PAGE + 5]);
    expect([api.truncateSetSize(inode, 100), inode.size]).toEqual([-EIO, 100]);
    expect([isLocked(inode.iRwsem), isLocked(inode.invalidateLock)]).toEqual([false, false]);
  });

  it('ENOMEM likewise', () => {
    const b = bench(api);
    const inode = b.file('disk', 2 * PAGE, 0);
    const free = b.hog(0);
    expect([api.truncateSetSize(inode, 100), inode.size]).toEqual([-ENOMEM, 100]);
    free();
    b.check(inode);
  });

  it('a negative size is -EINVAL, seals are -EPERM, and a refused call changes nothing', () => {
    const b = bench(api);
    const inode = b.file('shmem');
    b.write(inode, 0, pattern(PAGE, 5));
    expect(api.truncateSetSize(inode, -1)).toBe(-EINVAL);
    inode.seals = api.F_SEAL_SHRINK | api.F_SEAL_GROW;
    expect([api.truncateSetSize(inode, PAGE - 1), api.truncateSetSize(inode, PAGE + 1)]).toEqual([-EPERM, -EPERM]);
    expect([inode.size, b.calls, isLocked(inode.iRwsem)]).toEqual([PAGE, [], false]);
    for (const size of [0.5, Number.NaN, 2 ** 60]) expect(() => api.truncateSetSize(inode, size)).toThrow(RangeError);
  });
});

describe.each(builds)('%s build: holes and room', (_, api) => {
  it('a hole takes whole pages out, whoever holds them, zeroes the parts, and leaves private copies', () => {
    for (const kind of ['disk', 'shmem'] as const) {
      const b = bench(api);
      const inode = b.file(kind);
      b.write(inode, 0, pattern(5 * PAGE, 5));
      b.fsync(inode);
      const pfn = b.map(inode, 2);
      getPage(b.phys, pfn, GUP_PIN_COUNTING_BIAS);
      b.calls.length = 0;
      expect(api.punchHole(inode, PAGE - 10, 3 * PAGE + 20)).toBe(0);
      expect(b.calls).toEqual(['unmap 1 4 false', 'unmap 1 4 false']);
      expect([inode.pages.has(2), pageMapCount(b.phys, pfn), inode.size]).toEqual([false, 0, 5 * PAGE]);
      const want = pattern(5 * PAGE, 5);
      want.fill(0, PAGE - 10, 4 * PAGE + 10);
      expect(b.read(inode, 0, 5 * PAGE)).toEqual(want);
      b.check(inode);
      if (kind === 'disk') expect([...inode.blocks.keys()].sort()).toEqual([0, 4]);
    }
  });

  it('bytes zeroed while their page is on its way to a new block are zero on the device too', () => {
    const b = bench(api);
    const disk = new Uint8Array(PAGE);
    // Takes the bytes at once, answers later.
    const slow: AsyncBackend = {
      size: PAGE,
      submit: (_op, offset, bytes, done) => {
        disk.set(bytes, offset);
        addEvent(b.sched, 50, 'answer', () => done(bytes.length));
      },
    };
    const device = api.createBlockDevice(b.sched, b.phys, slow);
    const inode = api.createInode(b.files, device, b.file('disk').rmap);
    b.write(inode, 0, pattern(PAGE, 5));
    api.filemapFdatawrite(inode, 0, Infinity, api.WB_SYNC_ALL);
    runPending(b.sched);
    expect(disk).toEqual(pattern(PAGE, 5));
    expect(api.punchHole(inode, 10, 20)).toBe(0);
    expect(b.fsync(inode)).toBe(0);
    const want = pattern(PAGE, 5);
    want.fill(0, 10, 30);
    expect(disk).toEqual(want);
  });

  it('6.18: a hole that ends in the first page takes the mappings of all pages after its beginning, and no page', () => {
    for (const kind of ['disk', 'shmem'] as const) {
      const b = bench(api);
      const inode = b.file(kind);
      b.write(inode, 0, pattern(3 * PAGE, 5));
      expect([api.punchHole(inode, 100, 100), api.punchHole(inode, 0, 5)]).toEqual([0, 0]);
      expect(b.calls).toEqual(['unmap 1 Infinity false', 'unmap 0 Infinity false']);
      expect([api.punchHole(inode, PAGE, 5), b.calls.length, inode.pages.size]).toEqual([0, 2, 3]);
    }
  });

  it('6.18: the page with the end of a disk file goes whole only with a hole that reaches past the end', () => {
    // Bytes written last, the hole, and which pages are cached then, as mincore showed them.
    const rows: [size: number, from: number, to: number, cached: string][] = [
      [33672, 28672, 33671, '11111110 1'],
      [33672, 28672, 33672, '11111110 1'],
      [33672, 28672, 33673, '11111110 0'],
      [33672, 28672, 36864, '11111110 0'],
      [33672, 29000, 33672, '11111111 1'],
      [33672, 32768, 33672, '11111111 1'],
      [30000, 20480, 29999, '11111001 0'],
      [30000, 20480, 30000, '11111001 0'],
      [30000, 20480, 30001, '11111000 0'],
    ];
    for (const [size, from, to, cached] of rows) {
      const b = bench(api);
      const inode = b.file('disk');
      for (let page = 0; page < 8; page++) b.write(inode, page * PAGE, pattern(PAGE, 5));
      b.fsync(inode);
      if (size < 8 * PAGE) api.truncateSetSize(inode, size);
      else b.write(inode, 7 * PAGE, pattern(size - 7 * PAGE, 6));
      expect(api.punchHole(inode, from, to - from)).toBe(0);
      const found = Array.from({ length: 9 }, (_page, index) => Number(inode.pages.has(index)));
      expect([from, to, `${found.slice(0, 8).join('')} ${found[8]}`]).toEqual([from, to, cached]);
      const length = Math.min(size, to) - from;
      expect(b.read(inode, from, length)).toEqual(new Uint8Array(length));
      b.check(inode);
    }
  });

  it('a hole inside one page zeroes its bytes', () => {
    const b = bench(api);
    const inode = b.file('disk', PAGE, 0);
    expect(api.punchHole(inode, 10, 20)).toBe(0);
    const want = pattern(PAGE, 3);
    want.fill(0, 10, 30);
    expect([b.read(inode, 0, PAGE), inode.nrDirty]).toEqual([want, 1]);
  });

  it('nothing is asked for: -EINVAL; sealed: -EPERM; beyond the end of a disk file: 0', () => {
    const b = bench(api);
    const inode = b.file('shmem');
    b.write(inode, 0, pattern(PAGE, 5));
    for (const [offset, length] of [
      [0, 0],
      [-1, 5],
      [0, -5],
    ] as const) {
      expect([api.punchHole(inode, offset, length), api.fallocate(inode, offset, length)]).toEqual([-EINVAL, -EINVAL]);
    }
    for (const seal of [api.F_SEAL_WRITE, api.F_SEAL_FUTURE_WRITE]) {
      inode.seals = seal;
      expect(api.punchHole(inode, 0, PAGE)).toBe(-EPERM);
    }
    expect([b.read(inode, 0, PAGE), b.calls]).toEqual([pattern(PAGE, 5), []]);
    expect(api.punchHole(b.file('disk', 100), 100, 5)).toBe(0);
    expect(() => api.punchHole(inode, 0.5, 1)).toThrow(RangeError);
    expect(() => api.fallocate(inode, 0, Number.MAX_VALUE)).toThrow(RangeError);
  });

  it('room in shmem is pages, not uptodate until they are read, and the file grows', () => {
    const b = bench(api);
    const inode = b.file('shmem', PAGE);
    expect(api.fallocate(inode, PAGE + 5, PAGE)).toBe(0);
    expect([inode.size, [...inode.pages.keys()]]).toEqual([2 * PAGE + 5, [1, 2]]);
    const pfn = inode.pages.get(1)!;
    expect([testFlag(b.phys, pfn, PG_UPTODATE), testFlag(b.phys, pfn, PG_DIRTY)]).toEqual([false, true]);
    writeBytes(b.phys, pfn, 0, Uint8Array.of(77), 0, 1);
    expect(b.read(inode, PAGE, PAGE)).toEqual(new Uint8Array(PAGE));
    expect([testFlag(b.phys, pfn, PG_UPTODATE), inode.pages.get(1)]).toEqual([true, pfn]);
    expect([api.fallocate(inode, 0, 1), inode.size]).toEqual([0, 2 * PAGE + 5]);
  });

  it('ENOMEM: the pages added go again, those that were there stay', () => {
    const b = bench(api);
    const inode = b.file('shmem');
    b.write(inode, PAGE, pattern(PAGE, 5));
    const free = b.hog(1);
    expect(api.fallocate(inode, 0, 4 * PAGE)).toBe(-ENOMEM);
    expect([inode.size, [...inode.pages.keys()]]).toEqual([2 * PAGE, [1]]);
    free();
    b.check(inode);
  });

  it('room on a disk is blocks that read as zeros until something is written to them; ENOSPC', () => {
    const b = bench(api);
    const inode = b.file('disk');
    expect(api.fallocate(inode, 0, 2 * PAGE)).toBe(0);
    expect([inode.size, inode.blocks.size, api.mapBlock(inode, 0)]).toEqual([2 * PAGE, 2, -1]);
    expect(b.read(inode, 0, 2 * PAGE)).toEqual(new Uint8Array(2 * PAGE));
    b.write(inode, 0, Uint8Array.of(9));
    expect([b.fsync(inode), api.mapBlock(inode, 0), api.mapBlock(inode, 1), b.disk[0]]).toEqual([0, 0, -1, 9]);
    expect([api.fallocate(inode, 0, DISK + 1), inode.size]).toEqual([-ENOSPC, 2 * PAGE]);
    b.check(inode);
  });

  it('F_SEAL_GROW refuses room beyond the end only', () => {
    const b = bench(api);
    const inode = b.file('shmem', PAGE);
    inode.seals = api.F_SEAL_GROW;
    expect([api.fallocate(inode, 0, PAGE), api.fallocate(inode, 0, PAGE + 1)]).toEqual([0, -EPERM]);
    expect(inode.pages.size).toBe(1);
  });

  it('a write past the cache that failed: blocks beyond the end are given back, those before it stay', () => {
    const b = bench(api);
    const inode = b.file('disk', PAGE + 5, 0);
    for (let index = 0; index < 4; index++) api.allocateBlock(inode, index);
    expect(api.truncateFailedWrite(inode)).toBe(0);
    expect([[...inode.blocks.keys()], inode.size]).toEqual([[0, 1], PAGE + 5]);
    b.check(inode);
  });
});

describe.each(builds)('%s build: the end of a file', (_, api) => {
  it('a file that nobody has is dropped with its pages and blocks; a pin keeps its page, of no file', () => {
    const b = bench(api);
    for (const kind of ['disk', 'shmem'] as const) {
      const inode = b.file(kind);
      b.write(inode, 0, pattern(2 * PAGE, 5));
      b.fsync(inode);
      const pfn = api.filemapGetFolio(inode, 1);
      api.evictInode(inode);
      expect([inode.pages.size, inode.blocks.size, b.files.inodes[inode.id]]).toEqual([0, 0, null]);
      expect([pageRefCount(b.phys, pfn), testFlag(b.phys, pfn, PG_DIRTY), api.folioInode(b.files, pfn)]).toEqual([
        1,
        false,
        null,
      ]);
      putPage(b.phys, pfn);
      expect(countFrames(b.phys).used).toBe(0);
    }
    expect(b.device.freeBlocks.length).toBe(2);
  });

  it('not while it is mapped: FILE_MAPPED, nothing changed', () => {
    const b = bench(api);
    const inode = b.file('shmem');
    b.write(inode, 0, pattern(PAGE, 5));
    inode.iMmap.add(new Vma(0, PAGE, 0, 0));
    expect(thrown(() => api.evictInode(inode))).toBe('FILE_MAPPED');
    expect([inode.pages.size, b.files.inodes[inode.id]]).toEqual([1, inode]);
  });
});

describe.each(builds)('%s build: invalidation', (_, api) => {
  it('N.13: invalidate_inode_pages2 removes clean pages, even mapped and pinned ones; the orphan keeps its data', () => {
    const b = bench(api);
    const inode = b.file('disk', 3 * PAGE, 0);
    b.read(inode, 0, 3 * PAGE);
    const pfn = b.map(inode, 1);
    getPage(b.phys, pfn, GUP_PIN_COUNTING_BIAS);
    expect(api.invalidateInodePages2Range(inode, 1, 3)).toBe(0);
    expect([[...inode.pages.keys()], b.calls]).toEqual([[0], ['unmap 1 2 false']]);
    expect(pageRefCount(b.phys, pfn)).toBe(GUP_PIN_COUNTING_BIAS);
    b.read(inode, PAGE, 1);
    expect(inode.pages.get(1)).not.toBe(pfn);
  });

  it('a dirty page stays: -EBUSY; also one whose mapping was dirty; the others go', () => {
    const b = bench(api);
    const inode = b.file('disk', 3 * PAGE, 0);
    b.read(inode, 0, 3 * PAGE);
    b.write(inode, 0, Uint8Array.of(9));
    b.map(inode, 2, true);
    expect(api.invalidateInodePages2Range(inode, 0, 3)).toBe(-EBUSY);
    expect([[...inode.pages.keys()], inode.nrDirty]).toEqual([[0, 2], 2]);
    expect([b.fsync(inode), api.invalidateInodePages2Range(inode, 0, 3), inode.pages.size]).toEqual([0, 0, 0]);
  });

  it('a page being written back is waited for', () => {
    const b = bench(api);
    const inode = b.file('disk');
    b.write(inode, 0, pattern(PAGE, 5));
    api.filemapFdatawrite(inode, 0, Infinity, api.WB_SYNC_ALL);
    expect([api.invalidateInodePages2Range(inode, 0, 1), b.sched.now]).toEqual([0, b.device.latency]);
  });

  it('invalidate_mapping_pages takes only what is clean, unlocked, not under I/O and not used by anybody', () => {
    const b = bench(api);
    const inode = b.file('disk', 8 * PAGE, 0);
    b.read(inode, 0, 6 * PAGE);
    b.write(inode, 0, Uint8Array.of(9));
    b.map(inode, 1);
    const held = api.filemapGetFolio(inode, 2);
    const locked = inode.pages.get(3)!;
    // Somebody else's.
    b.sched.lockdep = null;
    api.folioTrylock(b.files, locked);
    b.write(inode, 4 * PAGE, Uint8Array.of(9));
    api.filemapFdatawrite(inode, 4 * PAGE, 5 * PAGE, api.WB_SYNC_NONE);
    api.invalidateMappingPages(inode, 0, Infinity);
    expect([...inode.pages.keys()]).toEqual([0, 1, 2, 3, 4]);
    b.fsync(inode);
    api.folioUnlock(b.files, locked);
    putPage(b.phys, held);
    api.invalidateMappingPages(inode, 0, 3);
    expect([...inode.pages.keys()]).toEqual([1, 3, 4]);
  });
});

describe.each(builds)('%s build: seals', (_, api) => {
  it('FACTS 28: F_SEAL_WRITE is -EBUSY while a page is pinned, mapped or not, after 150 ms; then 0', () => {
    const b = bench(api);
    const inode = b.file('shmem');
    const file = new api.OpenFile(inode, true, true);
    b.write(inode, 0, pattern(PAGE, 5));
    const pfn = b.map(inode, 0);
    getPage(b.phys, pfn, GUP_PIN_COUNTING_BIAS);
    expect([api.addSeals(file, api.F_SEAL_WRITE), inode.seals, b.sched.now]).toEqual([-EBUSY, 0, 150_000_000]);
    putPage(b.phys, pfn, GUP_PIN_COUNTING_BIAS);
    expect([api.addSeals(file, api.F_SEAL_WRITE), inode.seals, b.sched.now]).toEqual([
      0,
      api.F_SEAL_WRITE,
      150_000_000,
    ]);
    expect(isLocked(inode.iRwsem)).toBe(false);
  });

  it('FACTS 28: F_SEAL_WRITE is -EBUSY at once while somebody could map it writable; other seals are not', () => {
    const b = bench(api);
    const inode = b.file('shmem', PAGE);
    const file = new api.OpenFile(inode, true, true);
    inode.mmapWritable = 1;
    expect([api.addSeals(file, api.F_SEAL_WRITE), b.sched.now]).toEqual([-EBUSY, 0]);
    expect(api.addSeals(file, api.F_SEAL_FUTURE_WRITE | api.F_SEAL_GROW)).toBe(0);
    inode.mmapWritable = 0;
    expect(api.addSeals(file, api.F_SEAL_WRITE | api.F_SEAL_SEAL)).toBe(0);
    expect(api.addSeals(file, api.F_SEAL_SHRINK)).toBe(-EPERM);
    expect(inode.seals).toBe(api.F_SEAL_FUTURE_WRITE | api.F_SEAL_GROW | api.F_SEAL_WRITE | api.F_SEAL_SEAL);
  });

  it('fcntl(2): not open for writing -EPERM; unknown seals or a file on a device -EINVAL', () => {
    const b = bench(api);
    const inode = b.file('shmem');
    expect(api.addSeals(new api.OpenFile(inode, true, false), api.F_SEAL_GROW)).toBe(-EPERM);
    expect(api.addSeals(new api.OpenFile(inode, true, true), 0x40)).toBe(-EINVAL);
    expect(api.addSeals(new api.OpenFile(b.file('disk'), true, true), api.F_SEAL_GROW)).toBe(-EINVAL);
    expect(inode.seals).toBe(0);
    expect(() => api.addSeals(new api.OpenFile(inode, true, true), -1)).toThrow(RangeError);
  });
});
