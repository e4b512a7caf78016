/** Buffered I/O and the other calls on files. Marked 6.18: asked of a running kernel. FACTS: of the recorded traces. */
import { describe, expect, it } from 'vitest';
import { EBADF, EFAULT, EINVAL, EIO, EOPNOTSUPP, EPERM } from '@mmkit/base';
import { OpenFile } from '@mmkit/filemap';
import { MAP_SHARED, PROT_READ } from '@mmkit/mm';
import { PG_DIRTY, testFlag } from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import { builds, PAGE, pattern, RW } from './builds.ts';
import { bothKinds, BUFFER, bytesAt, contents, DISK, filesBench, fill, stat, write } from './files-bench.ts';

describe.each(builds)('%s build: buffered I/O with a user buffer', (name, api) => {
  it('what is written is read back, whatever the alignment of file and buffer', () => {
    const b = filesBench(name, api);
    const bytes = pattern(2 * PAGE + 77, 9);
    fill(b, b.address + 13, bytes);
    for (const file of bothKinds(b)) {
      expect(api.writeFile(b.machine, b.process, file, 500, b.address + 13, bytes.length)).toBe(bytes.length);
      expect(file.inode.size).toBe(500 + bytes.length);
      expect(contents(b, file.inode).subarray(500)).toEqual(bytes);
      const into = b.address + 4 * PAGE + 1;
      expect(api.readFile(b.machine, b.process, file, 400, into, 4 * PAGE - 1)).toBe(100 + bytes.length);
      expect(bytesAt(b, into + 100, bytes.length)).toEqual(bytes);
      expect(api.readFile(b.machine, b.process, file, file.inode.size, into, 5)).toBe(0);
    }
    api.checkMachine(b.machine);
  });

  it('FACTS 25: a bad page of the buffer makes the count short; -EFAULT only if nothing was copied; no signal', () => {
    for (const kind of [0, 1]) {
      const b = filesBench(name, api);
      const file = bothKinds(b)[kind]!;
      write(b, file, 0, pattern(4 * PAGE, 9));
      const end = b.address + BUFFER * PAGE;
      fill(b, end - PAGE - 100, pattern(PAGE + 100, 5));
      expect(api.readFile(b.machine, b.process, file, 0, end - 100, PAGE)).toBe(100);
      expect(bytesAt(b, end - 100, 100)).toEqual(pattern(100, 9));
      expect(api.readFile(b.machine, b.process, file, 0, end, PAGE)).toBe(-EFAULT);
      expect(api.writeFile(b.machine, b.process, file, PAGE, end - PAGE, 2 * PAGE)).toBe(PAGE);
      expect(api.writeFile(b.machine, b.process, file, 10, end, 1)).toBe(-EFAULT);
      expect([b.process.exitSignal, isLocked(file.inode.iRwsem), file.inode.size]).toEqual([null, false, 4 * PAGE]);
      api.checkMachine(b.machine);
    }
  });

  it('FACTS 25: the user pages are touched as by the process, not by GUP: no PG_dirty, no pin', () => {
    const b = filesBench(name, api);
    const file = api.createMemfd(b.machine, PAGE);
    expect(api.readFile(b.machine, b.process, file, 0, b.address, PAGE)).toBe(PAGE);
    const { phys } = b.machine.memory;
    expect(testFlag(phys, api.translate(b.machine, b.process, b.address), PG_DIRTY)).toBe(false);
    // Read by a write, an untouched page is the zero page.
    expect(api.writeFile(b.machine, b.process, file, 0, b.address + PAGE, 10)).toBe(10);
    expect([api.translate(b.machine, b.process, b.address + PAGE), phys.nrFollPinAcquired]).toEqual([phys.zeroPfn, 0]);
  });

  it('6.18: a write that cannot copy a byte leaves a page of zeros, and the file reaches up to it', () => {
    const b = filesBench(name, api);
    for (const file of bothKinds(b)) {
      const bad = b.address + BUFFER * PAGE;
      expect(api.writeFile(b.machine, b.process, file, 2 * PAGE, bad, PAGE)).toBe(-EFAULT);
      expect([file.inode.size, file.inode.pages.has(2)]).toEqual([2 * PAGE, true]);
    }
  });

  it('6.18: a page of a disk file that is new is written in the part that could be copied', () => {
    const b = filesBench(name, api);
    for (const file of bothKinds(b)) {
      const end = b.address + BUFFER * PAGE;
      fill(b, end - 2048, pattern(2048, 5));
      expect(api.writeFile(b.machine, b.process, file, PAGE, end - 2048, PAGE)).toBe(2048);
      expect([file.inode.size, contents(b, file.inode).subarray(PAGE)]).toEqual([PAGE + 2048, pattern(2048, 5)]);
    }
  });

  it('a page that holds data and is not cached keeps it beyond the part that could be copied', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE, offset: 0 });
    const end = b.address + BUFFER * PAGE;
    fill(b, end - 2048, pattern(2048, 5));
    expect(api.writeFile(b.machine, b.process, file, PAGE, end - 2048, PAGE)).toBe(2048);
    const want = pattern(2 * PAGE, 3);
    want.set(pattern(2048, 5), PAGE);
    expect(contents(b, file.inode)).toEqual(want);
  });

  it('the buffer may be a mapping of the very page that is written or read', () => {
    const b = filesBench(name, api);
    const file = api.createMemfd(b.machine, 2 * PAGE);
    const at = api.mmap(b.process.mm, 0, 2 * PAGE, RW, MAP_SHARED, file, 0);
    fill(b, at, pattern(100, 5));
    expect(api.writeFile(b.machine, b.process, file, 50, at, 100)).toBe(100);
    expect(contents(b, file.inode).subarray(50, 150)).toEqual(pattern(100, 5));
    expect(api.readFile(b.machine, b.process, file, 50, at + PAGE, 100)).toBe(100);
    expect(contents(b, file.inode).subarray(PAGE, PAGE + 100)).toEqual(pattern(100, 5));
    api.checkMachine(b.machine);
  });

  it('what is not user memory is -EFAULT before anything; what is not open for it -EBADF; nothing is 0', () => {
    const b = filesBench(name, api);
    const { inode } = api.createMemfd(b.machine, PAGE);
    const [reading, writing] = [new OpenFile(inode, true, false), new OpenFile(inode, false, true)];
    const far = b.machine.memory.format.taskSize;
    expect(api.readFile(b.machine, b.process, reading, 0, far - 5, 10)).toBe(-EFAULT);
    expect(api.writeFile(b.machine, b.process, writing, 0, far - 5, 10)).toBe(-EFAULT);
    expect(api.readFile(b.machine, b.process, writing, 0, b.address, 10)).toBe(-EBADF);
    expect(api.writeFile(b.machine, b.process, reading, 0, b.address, 10)).toBe(-EBADF);
    expect(api.readFile(b.machine, b.process, reading, 0, far, 0)).toBe(0);
    expect(api.writeFile(b.machine, b.process, writing, 9 * PAGE, far, 0)).toBe(0);
    expect([inode.size, inode.pages.size]).toEqual([PAGE, 0]);
    for (const [offset, address, length] of [
      [-1, 0, 1],
      [0, -1, 1],
      [0, 0, -1],
      [0.5, 0, 1],
    ] as const) {
      expect(() => api.readFile(b.machine, b.process, reading, offset, address, length)).toThrow(RangeError);
      expect(() => api.writeFile(b.machine, b.process, writing, offset, address, length)).toThrow(RangeError);
    }
  });

  it('errors of the device and of seals: what was moved before is a short count', () => {
    const b = filesBench(name, api, { fail: (_op, offset) => (offset >= PAGE ? -EIO : 0) });
    const file = api.createDiskFile(b.machine, b.device, { size: 3 * PAGE, offset: 0 });
    expect(api.readFile(b.machine, b.process, file, 0, b.address, 3 * PAGE)).toBe(PAGE);
    expect(api.readFile(b.machine, b.process, file, PAGE, b.address, 3 * PAGE)).toBe(-EIO);
    expect(api.writeFile(b.machine, b.process, file, PAGE + 5, b.address, 5)).toBe(-EIO);
    const memfd = api.createMemfd(b.machine, PAGE, api.MFD_ALLOW_SEALING);
    expect(b.filemap.addSeals(memfd, b.filemap.F_SEAL_GROW)).toBe(0);
    expect(api.writeFile(b.machine, b.process, memfd, 0, b.address, 2 * PAGE)).toBe(PAGE);
    expect(api.writeFile(b.machine, b.process, memfd, PAGE, b.address, 1)).toBe(-EPERM);
  });
});

describe.each(builds)('%s build: making files, and calls without memory', (name, api) => {
  it('memfd_create(2): seals can be added only to a file made for it', () => {
    const b = filesBench(name, api);
    expect(b.filemap.addSeals(api.createMemfd(b.machine), b.filemap.F_SEAL_GROW)).toBe(-EPERM);
    expect(b.filemap.addSeals(api.createMemfd(b.machine, 0, api.MFD_ALLOW_SEALING), b.filemap.F_SEAL_GROW)).toBe(0);
  });

  it('a file of an extent has its contents; blocks of other files come after it', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 2 * PAGE - 5, offset: PAGE });
    expect(contents(b, file.inode)).toEqual(pattern(DISK, 3).slice(PAGE, 3 * PAGE - 5));
    const other = api.createDiskFile(b.machine, b.device);
    write(b, other, 0, pattern(PAGE, 9));
    expect(api.fsync(other)).toBe(0);
    expect(b.disk.subarray(3 * PAGE, 4 * PAGE)).toEqual(pattern(PAGE, 9));
    expect(contents(b, api.createDiskFile(b.machine, b.device, { size: 100 }).inode)).toEqual(new Uint8Array(100));
  });

  it('bad options are RangeErrors', () => {
    const b = filesBench(name, api);
    expect(() => api.createMemfd(b.machine, -1)).toThrow(RangeError);
    expect(() => api.createMemfd(b.machine, 0, 1)).toThrow(RangeError);
    expect(() => api.createDiskFile(b.machine, filesBench(name, api).device)).toThrow(RangeError);
    expect(() => api.createDiskFile(b.machine, b.device, { size: 0.5 })).toThrow(RangeError);
    expect(() => api.createDiskFile(b.machine, b.device, { size: DISK, offset: PAGE })).toThrow(RangeError);
    const other = filesBench(name, api, { logicalBlockSize: 2 * PAGE });
    expect(() => api.createDiskFile(other.machine, other.device)).toThrow(RangeError);
  });

  it('ftruncate(2): -EINVAL for a negative size or a file not open for writing', () => {
    const b = filesBench(name, api);
    const file = api.createMemfd(b.machine, PAGE);
    expect([api.ftruncate(file, 5), file.inode.size]).toEqual([0, 5]);
    expect([api.ftruncate(file, -1), api.ftruncate(new OpenFile(file.inode, true, false), 9)]).toEqual([
      -EINVAL,
      -EINVAL,
    ]);
    expect(file.inode.size).toBe(5);
  });

  it('fallocate(2): mode 0 and holes; other modes -EOPNOTSUPP; not open for writing -EBADF', () => {
    const b = filesBench(name, api);
    const file = api.createMemfd(b.machine);
    const hole = api.FALLOC_FL_PUNCH_HOLE | api.FALLOC_FL_KEEP_SIZE;
    expect([api.fallocate(file, 0, 0, 2 * PAGE), file.inode.size, stat(b, file)]).toEqual([0, 2 * PAGE, [2, 0]]);
    expect([api.fallocate(file, hole, 0, PAGE), stat(b, file)]).toEqual([0, [1, 0]]);
    expect(api.fallocate(file, api.FALLOC_FL_PUNCH_HOLE, 0, PAGE)).toBe(-EOPNOTSUPP);
    expect(api.fallocate(file, 0x10, 0, PAGE)).toBe(-EOPNOTSUPP);
    expect(api.fallocate(new OpenFile(file.inode, true, false), 0, 0, PAGE)).toBe(-EBADF);
    expect([api.fallocate(file, hole, -1, PAGE), api.fallocate(file, 0, 0, 0)]).toEqual([-EINVAL, -EINVAL]);
  });

  it('6.18: fadvise DONTNEED drops whole clean pages, and starts to write dirty ones back without waiting', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device);
    for (let at = 0; at < 4 * PAGE; at += PAGE) write(b, file, at, pattern(PAGE, 9));
    expect([api.fadvise(file, 0, 0, api.POSIX_FADV_DONTNEED), stat(b, file)]).toEqual([0, [4, 0]]);
    expect(api.fsync(file)).toBe(0);
    expect([api.fadvise(file, 100, 2 * PAGE, api.POSIX_FADV_DONTNEED), stat(b, file)]).toEqual([0, [3, 0]]);
    expect([...file.inode.pages.keys()]).toEqual([0, 2, 3]);
    expect([api.fadvise(file, 3 * PAGE, PAGE - 1, api.POSIX_FADV_DONTNEED), stat(b, file)]).toEqual([0, [3, 0]]);
    // Part of a page, but to the end of the file.
    expect(api.ftruncate(file, 3 * PAGE + 5)).toBe(0);
    expect(api.fsync(file)).toBe(0);
    expect([api.fadvise(file, 3 * PAGE, 5, api.POSIX_FADV_DONTNEED), stat(b, file)]).toEqual([0, [2, 0]]);
    expect([api.fadvise(file, 0, 0, api.POSIX_FADV_DONTNEED), stat(b, file)]).toEqual([0, [0, 0]]);
  });

  it('6.18: fadvise WILLNEED reads the pages that the range touches and are not cached, up to the end of the file', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device);
    write(b, file, 0, pattern(7 * PAGE + 100, 9));
    expect([api.fsync(file), api.fadvise(file, 0, 0, api.POSIX_FADV_DONTNEED)]).toEqual([0, 0]);
    const willNeed = (offset: number, length: number): number[] => {
      expect(api.fadvise(file, offset, length, api.POSIX_FADV_WILLNEED)).toBe(0);
      return [...file.inode.pages.keys()].sort();
    };
    expect(willNeed(PAGE + 1, 2 * PAGE)).toEqual([1, 2, 3]);
    write(b, file, 2 * PAGE, pattern(10, 4));
    expect([willNeed(7 * PAGE, 3 * PAGE), willNeed(8 * PAGE, PAGE)]).toEqual([
      [1, 2, 3, 7],
      [1, 2, 3, 7],
    ]);
    expect([willNeed(0, 0), stat(b, file)]).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7],
      [8, 1],
    ]);
    const expected = pattern(7 * PAGE + 100, 9);
    expected.set(pattern(10, 4), 2 * PAGE);
    expect(contents(b, file.inode)).toEqual(expected);
    api.checkMachine(b.machine);
  });

  it('fadvise: shmem ignores it, other advice does nothing, bad arguments are -EINVAL', () => {
    const b = filesBench(name, api);
    const [memfd, disk] = bothKinds(b);
    for (const file of [memfd!, disk!]) write(b, file, 0, pattern(PAGE, 9));
    expect([api.fadvise(memfd!, 0, 0, api.POSIX_FADV_DONTNEED), stat(b, memfd!)]).toEqual([0, [1, 0]]);
    expect([api.fadvise(disk!, 0, 0, 0), stat(b, disk!)]).toEqual([0, [1, 1]]);
    expect(api.ftruncate(memfd!, 2 * PAGE)).toBe(0);
    expect([api.fadvise(memfd!, 0, 0, api.POSIX_FADV_WILLNEED), stat(b, memfd!)]).toEqual([0, [1, 0]]);
    expect([api.fadvise(disk!, 0, -1, 4), api.fadvise(disk!, 0, 0, 6), api.fadvise(disk!, 0, 0, -1)]).toEqual([
      -EINVAL,
      -EINVAL,
      -EINVAL,
    ]);
    expect(() => api.fadvise(disk!, -1, 0, 4)).toThrow(RangeError);
  });
});

describe.each(builds)('%s build: files that are mapped', (name, api) => {
  it('truncation takes the pages out of every page table; the rest of the file stays mapped', () => {
    const b = filesBench(name, api);
    for (const file of bothKinds(b)) {
      write(b, file, 0, pattern(3 * PAGE, 9));
      const at = api.mmap(b.process.mm, 0, 3 * PAGE, PROT_READ, MAP_SHARED, file, 0);
      expect(bytesAt(b, at, 3 * PAGE)).toEqual(pattern(3 * PAGE, 9));
      expect(api.ftruncate(file, PAGE)).toBe(0);
      const byte = new Uint8Array(1);
      expect(api.load(b.machine, b.process, at, byte, 0, 1)).toBe(0);
      expect(api.load(b.machine, b.process, at + PAGE, byte, 0, 1)).toBe(-EFAULT);
      expect([b.process.exitSignal?.signal, b.process.exitSignal?.code]).toEqual([api.SIGBUS, api.BUS_ADRERR]);
      api.checkMachine(b.machine);
    }
  });

  it('fsync writes what was stored through a shared mapping, and a store after it is written by the next', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: PAGE, offset: 0 });
    const at = api.mmap(b.process.mm, 0, PAGE, RW, MAP_SHARED, file, 0);
    for (const value of [77, 78]) {
      fill(b, at + 5, Uint8Array.of(value));
      expect([api.fsync(file), b.disk[5], stat(b, file)]).toEqual([0, value, [1, 0]]);
    }
  });
});
