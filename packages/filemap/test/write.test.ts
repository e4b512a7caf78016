/** Buffered writes, writing back, and what fails there. */
import { describe, expect, it } from 'vitest';
import { EIO, ENOMEM, ENOSPC, EPERM } from '@mmkit/base';
import { BIO_READ, BIO_WRITE } from '@mmkit/filemap';
import { pageRefCount, PG_DIRTY, PG_LOCKED, PG_UPTODATE, PG_WRITEBACK, testFlag, writeBytes } from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import { builds, pattern } from './builds.ts';
import { bench, DISK, PAGE } from './files.ts';

describe.each(builds)('%s build: buffered writes', (_, api) => {
  it('a page written whole is not read in; one written in part is, where it holds data', () => {
    const ops: string[] = [];
    const b = bench(api, { fail: (op, offset) => (ops.push(`${op} ${offset / PAGE}`), 0) });
    const inode = b.file('disk', 2 * PAGE, 0);
    b.write(inode, 0, pattern(PAGE, 5));
    expect(ops).toEqual([]);
    b.write(inode, PAGE + 10, Uint8Array.of(1));
    expect(ops).toEqual([`${BIO_READ} 1`]);
    b.write(inode, 5 * PAGE + 10, Uint8Array.of(1));
    expect(ops.length).toBe(1);
    expect(b.stat(inode)).toEqual([3, 3]);
    expect(b.read(inode, 5 * PAGE, 11)).toEqual(Uint8Array.of(...new Uint8Array(10), 1));
  });

  it('the file grows folio by folio, the smaller the less memory there is: what was written before an error stays, as a short count', () => {
    for (const kind of ['disk', 'shmem'] as const) {
      for (let left = 0; left < 3; left++) {
        const b = bench(api);
        const inode = b.file(kind);
        const free = b.hog(left);
        const done = left * PAGE;
        expect(b.write(inode, 0, pattern(3 * PAGE, 5))).toBe(left === 0 ? -ENOMEM : done);
        expect([inode.size, isLocked(inode.iRwsem)]).toEqual([done, false]);
        free();
        b.check(inode);
        expect(b.read(inode, 0, done)).toEqual(pattern(3 * PAGE, 5).slice(0, done));
      }
    }
  });

  it('EIO while a page is read in for a part: nothing is written, the page is not uptodate', () => {
    const b = bench(api, { fail: () => -EIO });
    const inode = b.file('disk', PAGE, 0);
    expect(b.write(inode, 10, Uint8Array.of(1))).toBe(-EIO);
    const pfn = inode.pages.get(0)!;
    expect([PG_LOCKED, PG_UPTODATE, PG_DIRTY].map((flag) => testFlag(b.phys, pfn, flag))).toEqual([
      false,
      false,
      false,
    ]);
    expect([pageRefCount(b.phys, pfn), isLocked(inode.iRwsem)]).toEqual([1, false]);
  });

  it('6.18: a write beyond the end of a disk file zeroes what its last page holds there; of shmem it does not', () => {
    for (const kind of ['disk', 'shmem'] as const) {
      const b = bench(api);
      const inode = b.file(kind);
      b.write(inode, 0, pattern(100, 5));
      // A store through a mapping, beyond the end.
      writeBytes(b.phys, inode.pages.get(0)!, 200, Uint8Array.of(77), 0, 1);
      b.write(inode, 2 * PAGE, Uint8Array.of(1));
      expect(b.read(inode, 200, 1)).toEqual(Uint8Array.of(kind === 'disk' ? 0 : 77));
    }
  });

  it('6.18: a copy that ends early: shmem takes it, a disk file not, where the whole page was announced', () => {
    const bytes = pattern(PAGE, 5);
    for (const [kind, taken] of [
      ['disk', 0],
      ['shmem', 100],
    ] as const) {
      const b = bench(api);
      const inode = b.file(kind);
      // write_begin and write_end run under i_rwsem; nobody else is here.
      const pfn = api.filemapWriteBegin(inode, PAGE, PAGE);
      expect(api.filemapWriteEnd(inode, pfn, PAGE, PAGE, 100, bytes, 0)).toBe(taken);
      const flags = [PG_DIRTY, PG_UPTODATE, PG_LOCKED].map((flag) => testFlag(b.phys, pfn, flag));
      expect([inode.size, ...flags]).toEqual([PAGE + taken, true, true, false]);
      api.truncateSetSize(inode, 2 * PAGE);
      const want = new Uint8Array(PAGE);
      want.set(bytes.subarray(0, taken));
      expect(b.read(inode, PAGE, PAGE)).toEqual(want);
    }
  });

  it('6.18: a copy that ends early over a block that holds data leaves the page to be read in', () => {
    const b = bench(api);
    const inode = b.file('disk', PAGE, 0);
    for (const copied of [0, 100]) {
      const pfn = api.filemapWriteBegin(inode, 0, PAGE);
      expect(api.filemapWriteEnd(inode, pfn, 0, PAGE, copied, pattern(PAGE, 5), 0)).toBe(0);
      expect([PG_DIRTY, PG_UPTODATE, PG_LOCKED].map((flag) => testFlag(b.phys, pfn, flag))).toEqual([
        false,
        false,
        false,
      ]);
    }
    expect(b.read(inode, 0, PAGE)).toEqual(pattern(PAGE, 3));
  });

  it('6.18: a copy of nothing makes a page dirty that is new, or not to be written from its first byte on', () => {
    const b = bench(api);
    const inode = b.file('disk', PAGE, 0);
    const attempt = (pos: number): number => {
      const pfn = api.filemapWriteBegin(inode, pos, 10);
      expect(api.filemapWriteEnd(inode, pfn, pos, 10, 0, new Uint8Array(0), 0)).toBe(0);
      return inode.nrDirty;
    };
    expect([attempt(0), attempt(1), attempt(PAGE)]).toEqual([0, 1, 2]);
    expect(b.read(inode, 0, PAGE)).toEqual(pattern(PAGE, 3));
  });

  it('6.18: a block that was read in for a copy of nothing makes its page uptodate, so that a fault around maps it', () => {
    const b = bench(api);
    const inode = b.file('disk', 2 * PAGE, 0);
    const pfn = api.filemapWriteBegin(inode, PAGE, 1);
    expect(api.filemapWriteEnd(inode, pfn, PAGE, 1, 0, new Uint8Array(0), 0)).toBe(0);
    expect([PG_DIRTY, PG_UPTODATE].map((flag) => testFlag(b.phys, pfn, flag))).toEqual([false, true]);
    expect(inode.size).toBe(2 * PAGE);
  });

  it('6.18: a copy of nothing makes the file reach up to where it should have begun', () => {
    for (const kind of ['disk', 'shmem'] as const) {
      const b = bench(api);
      const inode = b.file(kind);
      const pfn = api.filemapWriteBegin(inode, 2 * PAGE, PAGE);
      expect(api.filemapWriteEnd(inode, pfn, 2 * PAGE, PAGE, 0, new Uint8Array(0), 0)).toBe(0);
      expect([inode.size, inode.pages.size]).toEqual([2 * PAGE, 1]);
    }
  });

  it('a write of nothing changes nothing', () => {
    const b = bench(api);
    const inode = b.file('disk', 100);
    expect(b.write(inode, 5 * PAGE, new Uint8Array(0))).toBe(0);
    expect([inode.size, inode.pages.size]).toEqual([100, 0]);
  });

  it('fcntl(2): F_SEAL_WRITE and F_SEAL_FUTURE_WRITE refuse writes, F_SEAL_GROW those beyond the end', () => {
    for (const seal of [api.F_SEAL_WRITE, api.F_SEAL_FUTURE_WRITE, api.F_SEAL_GROW]) {
      const b = bench(api);
      const inode = b.file('shmem');
      b.write(inode, 0, pattern(PAGE + 100, 5));
      inode.seals = seal;
      const grow = seal === api.F_SEAL_GROW;
      expect(b.write(inode, 50, Uint8Array.of(1))).toBe(grow ? 1 : -EPERM);
      expect(b.write(inode, 2 * PAGE, Uint8Array.of(1))).toBe(-EPERM);
      // Whole pages up to the end: the page with the end may not be begun.
      expect(b.write(inode, 0, pattern(PAGE + 200, 6))).toBe(grow ? PAGE : -EPERM);
      expect(inode.size).toBe(PAGE + 100);
      b.check(inode);
    }
  });
});

describe.each(builds)('%s build: writing back', (_, api) => {
  it('fsync writes each dirty page once, waits, and the pages are clean; a second one does nothing', () => {
    const written: number[] = [];
    const b = bench(api, { fail: (op, offset) => (op === BIO_WRITE && written.push(offset / PAGE), 0) });
    const inode = b.file('disk', 4 * PAGE, 0);
    b.write(inode, 3 * PAGE, pattern(PAGE, 5));
    b.write(inode, PAGE, pattern(PAGE, 6));
    expect(b.fsync(inode)).toBe(0);
    expect([written, b.stat(inode), b.device.inFlight]).toEqual([[1, 3], [2, 0], 0]);
    expect(b.disk.subarray(PAGE, 2 * PAGE)).toEqual(pattern(PAGE, 6));
    expect(b.fsync(inode)).toBe(0);
    expect(written.length).toBe(2);
  });

  it('a range: only pages with a byte in it are written', () => {
    const b = bench(api);
    const inode = b.file('disk', 4 * PAGE, 0);
    for (let page = 0; page < 4; page++) b.write(inode, page * PAGE, Uint8Array.of(9));
    expect(api.filemapWriteAndWait(inode, PAGE + 5, 2 * PAGE + 1)).toBe(0);
    expect(inode.nrDirty).toBe(2);
    expect([0, 1, 2, 3].map((page) => b.disk[page * PAGE] === 9)).toEqual([false, true, true, false]);
    expect(() => api.filemapWriteAndWait(inode, 5, 4)).toThrow(RangeError);
    expect(() => api.filemapWriteAndWait(inode, -1, 4)).toThrow(RangeError);
  });

  it('delayed allocation: a hole gets its block when it is written back, and reads as zeros until that has ended', () => {
    const b = bench(api);
    const inode = b.file('disk');
    b.write(inode, 2 * PAGE, pattern(PAGE, 5));
    expect(inode.blocks.size).toBe(0);
    api.filemapFdatawrite(inode, 0, Infinity, api.WB_SYNC_ALL);
    expect([api.mapBlock(inode, 2), inode.blocks.size]).toEqual([-1, 1]);
    b.settle();
    expect(api.mapBlock(inode, 2)).toBe(0);
    expect(b.disk.subarray(0, PAGE)).toEqual(pattern(PAGE, 5));
    expect(api.mapBlock(inode, 0)).toBe(-1);
  });

  it('what the last page holds beyond the end is written as zeros', () => {
    const b = bench(api);
    const inode = b.file('disk');
    b.write(inode, 0, pattern(100, 5));
    writeBytes(b.phys, inode.pages.get(0)!, 100, pattern(PAGE - 100, 9), 0, PAGE - 100);
    expect(b.fsync(inode)).toBe(0);
    expect(b.disk.subarray(0, 100)).toEqual(pattern(100, 5));
    expect(b.disk.subarray(100, PAGE)).toEqual(new Uint8Array(PAGE - 100));
  });

  it('ENOSPC: fsync says so and the folios with pages left stay dirty; with room again nothing is lost', () => {
    const b = bench(api);
    const full = b.file('disk', DISK - PAGE, 0);
    const inode = b.file('disk');
    b.write(inode, 0, pattern(3 * PAGE, 5));
    expect([b.fsync(inode), inode.nrDirty, b.fsync(inode)]).toEqual([-ENOSPC, 3, -ENOSPC]);
    expect(api.truncateSetSize(full, 0)).toBe(0);
    expect([b.fsync(inode), inode.nrDirty]).toEqual([0, 0]);
    api.invalidateMappingPages(inode, 0, Infinity);
    expect(b.read(inode, 0, 3 * PAGE)).toEqual(pattern(3 * PAGE, 5));
  });

  it('EIO: reported by the next fsync and by no later one; the page is clean', () => {
    let broken = true;
    const b = bench(api, { fail: () => (broken ? -EIO : 0) });
    const inode = b.file('disk');
    b.write(inode, 0, pattern(PAGE, 5));
    api.filemapFdatawrite(inode, 0, Infinity, api.WB_SYNC_NONE);
    b.settle();
    broken = false;
    expect([inode.nrDirty, b.fsync(inode), b.fsync(inode)]).toEqual([0, -EIO, 0]);
    // The block was never written to.
    expect(api.mapBlock(inode, 0)).toBe(-1);
    b.check(inode);
  });

  it('N.13: mappings are cleaned first: a page dirty in a page table only is written', () => {
    const b = bench(api);
    const inode = b.file('disk', 2 * PAGE, 0);
    b.read(inode, 0, 2 * PAGE);
    const pfn = b.map(inode, 1, true);
    // Its dirty bit is not known yet: page_mkwrite marks a page when it becomes writable.
    api.folioMarkDirty(b.files, pfn);
    writeBytes(b.phys, pfn, 5, Uint8Array.of(77), 0, 1);
    expect(b.fsync(inode)).toBe(0);
    expect([b.calls, b.mapped.get(1), b.disk[PAGE + 5], inode.nrDirty]).toEqual([['clean 1'], false, 77, 0]);
  });

  it('N.13: folio_clear_dirty_for_io of a page dirty in a page table only finds it dirty', () => {
    const b = bench(api);
    const inode = b.file('disk', PAGE, 0);
    b.read(inode, 0, 1);
    const pfn = b.map(inode, 0, true);
    expect(api.folioClearDirtyForIo(inode, pfn, 0)).toBe(true);
    expect([testFlag(b.phys, pfn, PG_DIRTY), inode.nrDirty, b.mapped.get(0)]).toEqual([false, 0, false]);
    expect(api.folioClearDirtyForIo(inode, pfn, 0)).toBe(false);
  });

  it('C.7: what a device stores through a pin after the page was cleaned is not written back', () => {
    const b = bench(api);
    const inode = b.file('disk', PAGE, 0);
    b.write(inode, 0, pattern(PAGE, 5));
    const pfn = api.filemapGetFolio(inode, 0);
    expect(b.fsync(inode)).toBe(0);
    writeBytes(b.phys, pfn, 0, Uint8Array.of(77), 0, 1);
    expect([b.fsync(inode), b.disk[0], b.read(inode, 0, 1)[0]]).toEqual([0, 5, 77]);
    api.folioMarkDirty(b.files, pfn);
    expect([b.fsync(inode), b.disk[0]]).toEqual([0, 77]);
  });

  it('WB_SYNC_NONE passes over a page that is being written back, WB_SYNC_ALL waits and writes it again', () => {
    let writes = 0;
    const b = bench(api, { fail: () => (writes++, 0) });
    const inode = b.file('disk');
    b.write(inode, 0, pattern(PAGE, 5));
    api.filemapFdatawrite(inode, 0, Infinity, api.WB_SYNC_NONE);
    const pfn = inode.pages.get(0)!;
    expect([testFlag(b.phys, pfn, PG_WRITEBACK), testFlag(b.phys, pfn, PG_LOCKED)]).toEqual([true, false]);
    b.write(inode, 1, Uint8Array.of(99));
    api.filemapFdatawrite(inode, 0, Infinity, api.WB_SYNC_NONE);
    expect([inode.nrDirty, writes]).toEqual([1, 0]);
    expect(b.fsync(inode)).toBe(0);
    expect([inode.nrDirty, writes, b.disk[1]]).toEqual([0, 2, 99]);
  });

  it('shmem has nothing to be written to: fsync is 0 at once, pages stay dirty', () => {
    const b = bench(api);
    const inode = b.file('shmem');
    b.write(inode, 0, Uint8Array.of(1));
    expect([b.fsync(inode), testFlag(b.phys, inode.pages.get(0)!, PG_DIRTY), b.calls]).toEqual([0, true, []]);
  });
});
