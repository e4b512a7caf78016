/**
 * Large folios of a disk file: how a program saw them on ext4 of Linux 6.18 (4 KiB blocks, no read-ahead), by cachestat,
 * mincore and /proc/kpageflags. A state is one letter a page: `.` not cached, `u` cached, `d` dirty, capital where the folio is
 * uptodate; folios are told by where they begin.
 */
import { describe, expect, it } from 'vitest';
import { EIO } from '@mmkit/base';
import type { Inode } from '@mmkit/filemap';
import { compoundHead, folioNrPages, getPage, PG_DIRTY, PG_UPTODATE, putPage, testFlag } from '@mmkit/phys';
import { builds, pattern } from './builds.ts';
import { bench, PAGE } from './files.ts';
import type { Bench } from './files.ts';

/** Pages of each folio from the first on; `-` a page without. */
function folios(b: Bench, inode: Inode): string {
  const end = Math.max(0, ...inode.pages.keys()) + 1;
  const parts: string[] = [];
  for (let index = 0; index < end; ) {
    const pfn = inode.pages.get(index);
    parts.push(pfn === undefined ? '-' : `${folioNrPages(b.phys, pfn)}`);
    index += pfn === undefined ? 1 : folioNrPages(b.phys, pfn);
  }
  return parts.join(' ');
}

function state(b: Bench, inode: Inode): string {
  let text = '';
  for (let index = 0; index < 16; index++) {
    const pfn = inode.pages.get(index);
    if (pfn === undefined) text += '.';
    else {
      const head = compoundHead(b.phys, pfn);
      const letter = testFlag(b.phys, head, PG_DIRTY) ? 'd' : 'u';
      text += testFlag(b.phys, head, PG_UPTODATE) ? letter.toUpperCase() : letter;
    }
  }
  return text.replace(/\.+$/, '');
}

describe.each(builds)('%s build: large folios', (_, api) => {
  /** A file of 16 pages in one folio; clean if `synced`. */
  function whole(synced: boolean): [Bench, Inode] {
    const b = bench(api);
    const inode = b.file('disk');
    b.write(inode, 0, pattern(16 * PAGE, 5));
    if (synced) b.fsync(inode);
    expect([folios(b, inode), state(b, inode)]).toEqual(['16', (synced ? 'U' : 'D').repeat(16)]);
    return [b, inode];
  }
  /** Announces `length` bytes at `pos` and takes `copied`, as a write does whose buffer ends there. */
  function attempt(inode: Inode, pos: number, length: number, copied: number): number {
    const pfn = api.filemapWriteBegin(inode, pos, length);
    const part = api.lengthInFolio(inode, pfn, pos, length);
    return api.filemapWriteEnd(inode, pfn, pos, part, Math.min(copied, part), pattern(length, 9), 0);
  }
  /** 16 pages on the disk, of which 8 are announced to be written and 3 were: one folio that is not uptodate. */
  function partly(): [Bench, Inode] {
    const b = bench(api);
    const inode = b.file('disk', 16 * PAGE, 0);
    attempt(inode, 0, 8 * PAGE, 3 * PAGE);
    expect(attempt(inode, 0, 3 * PAGE, 3 * PAGE)).toBe(3 * PAGE);
    expect([folios(b, inode), state(b, inode)]).toEqual(['8', 'dddddddd']);
    return [b, inode];
  }

  it.each([
    [0, 8 * PAGE, '8'],
    [PAGE, 8 * PAGE, '- 1 2 4 1'],
    [PAGE, 12 * PAGE, '- 1 2 4 4 1'],
    [100, 3 * PAGE, '2 1 1'],
    [0, 7 * PAGE + 5, '4 2 1 1'],
    [2 * PAGE, 9 * PAGE + 5, '- - 2 4 2 1 1'],
    [PAGE + 512, 2 * PAGE, '- 1 1 1'],
    [512, 4 * PAGE, '4 1'],
    [0, 31 * PAGE, '16 8 4 2 1'],
  ])(
    '6.18: a write at byte %i of %i bytes: as many pages a folio as are left and its place allows',
    (pos, length, want) => {
      const b = bench(api);
      const inode = b.file('disk');
      expect([b.write(inode, pos, pattern(length, 5)), folios(b, inode)]).toEqual([length, want]);
      expect(b.read(inode, pos, length)).toEqual(pattern(length, 5));
      b.check(inode);
      const shmem = b.file('shmem');
      b.write(shmem, pos, pattern(length, 5));
      expect(new Set([...shmem.pages.values()].map((pfn) => folioNrPages(b.phys, pfn)))).toEqual(new Set([1]));
    },
  );

  it('6.18: not over pages that are cached already; 512 at most', () => {
    const b = bench(api, { latency: 0 }, 2048);
    for (const [page, want] of [
      [1, '1 1 2 4'],
      [3, '2 1 1 4'],
    ] as const) {
      const inode = b.file('disk');
      b.write(inode, page * PAGE, pattern(PAGE, 5));
      b.write(inode, 0, pattern(8 * PAGE, 6));
      expect(folios(b, inode)).toBe(want);
    }
    const long = b.file('disk');
    b.write(long, 0, pattern(1024 * PAGE, 5));
    expect(folios(b, long)).toBe('512 512');
  });

  it('6.18: what was announced and not copied is zeros and dirty in a new file, and in one with data to be read in', () => {
    const b = bench(api);
    const fresh = b.file('disk');
    expect([attempt(fresh, 0, 4 * PAGE, PAGE + 10), fresh.size, state(b, fresh)]).toEqual([0, 0, 'DDDD']);
    const old = b.file('disk', 16 * PAGE, 0);
    expect([attempt(old, 0, 4 * PAGE, 0), state(b, old)]).toEqual([0, 'uuuu']);
    expect([attempt(old, 512, 5000, 0), state(b, old)]).toEqual([0, 'dddd']);
    expect(b.read(old, 0, 4 * PAGE)).toEqual(pattern(16 * PAGE, 3).slice(0, 4 * PAGE));
    expect(state(b, old)).toBe('DDDD');
    b.check(old);
  });

  it('6.18: of a folio written in part those pages are read without the device; another reads it whole, over nothing new', () => {
    const [b, inode] = partly();
    expect([b.read(inode, 0, 3 * PAGE), state(b, inode)]).toEqual([pattern(3 * PAGE, 9), 'dddddddd']);
    expect(b.read(inode, 4 * PAGE, 1)).toEqual(pattern(16 * PAGE, 3).slice(4 * PAGE, 4 * PAGE + 1));
    expect(state(b, inode)).toBe('DDDDDDDD');
    expect(b.read(inode, 0, 3 * PAGE)).toEqual(pattern(3 * PAGE, 9));
    b.check(inode);
  });

  it('writing back writes the blocks that are dirty, and only those; after a mapping made it dirty all', () => {
    const ops: number[] = [];
    const b = bench(api, { fail: (_op, offset) => (ops.push(offset / PAGE), 0) });
    const inode = b.file('disk', 16 * PAGE, 0);
    attempt(inode, 0, 8 * PAGE, 0);
    attempt(inode, 2 * PAGE, 2 * PAGE, 2 * PAGE);
    expect([b.fsync(inode), ops, state(b, inode)]).toEqual([0, [2, 3], 'uuuuuuuu']);
    ops.length = 0;
    b.read(inode, 0, 1);
    expect(ops).toEqual([0, 1, 4, 5, 6, 7]);
    ops.length = 0;
    api.folioMarkDirty(b.files, inode.pages.get(5)!);
    expect([b.fsync(inode), ops, inode.nrDirty]).toEqual([0, [0, 1, 2, 3, 4, 5, 6, 7], 0]);
    b.check(inode);
  });

  it('EIO: of the blocks read or written one fails: not uptodate, and the next fsync says so', () => {
    let bad = 5;
    const b = bench(api, { fail: (_op, offset) => (offset === bad * PAGE ? -EIO : 0) });
    const inode = b.file('disk', 16 * PAGE, 0);
    attempt(inode, 0, 8 * PAGE, 0);
    expect(api.filemapRead(inode, 0, new Uint8Array(1), 0, 1)).toBe(-EIO);
    bad = -1;
    expect([b.read(inode, 0, 1), state(b, inode)]).toEqual([pattern(1, 3), 'uuuuuuuu']);
    b.read(inode, 5 * PAGE, 1);
    expect(state(b, inode)).toBe('UUUUUUUU');
    bad = 2;
    b.write(inode, 0, pattern(8 * PAGE, 9));
    expect([b.fsync(inode), b.fsync(inode), inode.nrDirty]).toEqual([-EIO, 0, 0]);
  });

  it.each([
    [3 * PAGE, 'UUU', '2 1'],
    [3 * PAGE + 30, 'UUUD', '2 1 1'],
    [9 * PAGE + 10, 'UUUUUUUUUD', '8 1 1'],
    [15 * PAGE + 30, 'UUUUUUUUUUUUUUUD', '8 4 2 1 1'],
  ])('6.18: cut to %i bytes a clean folio is split where the end lies', (size, pages, parts) => {
    const [b, inode] = whole(true);
    expect(api.truncateSetSize(inode, size)).toBe(0);
    expect([state(b, inode), folios(b, inode)]).toEqual([pages, parts]);
    expect(b.read(inode, 0, size)).toEqual(pattern(16 * PAGE, 5).slice(0, size));
    expect(api.truncateSetSize(inode, 16 * PAGE)).toBe(0);
    expect(b.read(inode, size, 16 * PAGE - size)).toEqual(new Uint8Array(16 * PAGE - size));
    b.check(inode);
  });

  it('6.18: a dirty one stays whole, its rest zeros; unless only what is cut off was dirty', () => {
    const [b, inode] = whole(false);
    api.truncateSetSize(inode, 6 * PAGE + 20);
    expect([state(b, inode), folios(b, inode)]).toEqual(['D'.repeat(16), '16']);
    api.truncateSetSize(inode, 16 * PAGE);
    expect(b.read(inode, 6 * PAGE + 20, PAGE)).toEqual(new Uint8Array(PAGE));
    b.check(inode);
    const [c, other] = whole(true);
    c.write(other, 12 * PAGE, pattern(PAGE, 6));
    expect(state(c, other)).toBe('D'.repeat(16));
    api.truncateSetSize(other, 8 * PAGE + 10);
    expect([state(c, other), folios(c, other)]).toEqual(['D'.repeat(9), '8 1']);
    c.check(other);
  });

  it('6.18: a clean one that somebody holds goes whole; the page with the end is read anew', () => {
    const [b, inode] = whole(true);
    const held = inode.pages.get(2)!;
    getPage(b.phys, held);
    api.truncateSetSize(inode, 8 * PAGE + 10);
    expect([state(b, inode), folios(b, inode)]).toEqual(['........d', '- - - - - - - - 1']);
    expect(api.folioInode(b.files, held)).toBe(null);
    putPage(b.phys, held);
    expect(b.read(inode, 0, 8 * PAGE + 10)).toEqual(pattern(16 * PAGE, 5).slice(0, 8 * PAGE + 10));
    b.check(inode);
  });

  it('6.18: holes split a clean folio at both ends, and a part of one page does; a dirty one stays', () => {
    const [b, inode] = whole(true);
    const steps: [number, number, string, string][] = [
      [4 * PAGE, 2 * PAGE, 'UUUU..UUUUUUUUUU', '4 - - 1 1 8'],
      [8 * PAGE + 5, 100, 'UUUU..UUDUUUUUUU', '4 - - 1 1 1 1 2 4'],
      [9 * PAGE + 5, 3 * PAGE, 'UUUU..UUDD..DUUU', '4 - - 1 1 1 1 - - 1 1 2'],
    ];
    for (const [at, length, pages, parts] of steps) {
      expect(api.punchHole(inode, at, length)).toBe(0);
      expect([state(b, inode), folios(b, inode)]).toEqual([pages, parts]);
      b.check(inode);
    }
    for (const [at, length] of steps) expect(b.read(inode, at, length)).toEqual(new Uint8Array(length));
    const [c, dirty] = whole(false);
    api.punchHole(dirty, 5 * PAGE, PAGE);
    expect([state(c, dirty), folios(c, dirty)]).toEqual(['D'.repeat(16), '16']);
    expect([c.read(dirty, 5 * PAGE, PAGE), c.fsync(dirty)]).toEqual([new Uint8Array(PAGE), 0]);
    expect(api.mapBlock(dirty, 5)).toBe(-1);
    c.check(dirty);
  });

  it('6.18: split by a hole, it loses what lies beyond the end, which a cut had to leave', () => {
    const [b, inode] = whole(true);
    b.write(inode, 0, pattern(PAGE, 6));
    api.truncateSetSize(inode, 4 * PAGE);
    expect(state(b, inode)).toBe('D'.repeat(16));
    api.punchHole(inode, 0, PAGE);
    expect([state(b, inode), folios(b, inode), inode.nrDirty]).toEqual(['.DDD', '- 1 2', 3]);
    b.check(inode);
  });

  it('6.18: one that was not uptodate is not afterwards', () => {
    const [b, inode] = partly();
    b.fsync(inode);
    api.truncateSetSize(inode, 5 * PAGE);
    expect([state(b, inode), folios(b, inode)]).toEqual(['uuuuu', '4 1']);
    b.read(inode, 0, 1);
    expect(state(b, inode)).toBe('UUUUu');
    b.check(inode);
  });

  it('6.18: dropping takes folios that lie in the range whole; a write past the cache those that it touches', () => {
    const [b, inode] = whole(true);
    api.invalidateMappingPages(inode, 0, 15);
    expect(folios(b, inode)).toBe('16');
    api.invalidateMappingPages(inode, 0, 16);
    expect(inode.pages.size).toBe(0);
    b.read(inode, 0, PAGE);
    b.write(inode, 4 * PAGE, pattern(4 * PAGE, 6));
    b.fsync(inode);
    expect([api.invalidateInodePages2Range(inode, 5, 6), state(b, inode)]).toEqual([0, 'U']);
    b.check(inode);
  });

  it('6.18: a dirty folio beyond the end, behind one that was written, waits for the next fsync', () => {
    const [b, inode] = whole(true);
    b.write(inode, 15 * PAGE, pattern(PAGE, 6));
    attempt(inode, 16 * PAGE, 4 * PAGE, 0);
    expect([b.fsync(inode), inode.nrDirty, inode.pages.size]).toEqual([0, 4, 20]);
    expect([b.fsync(inode), inode.nrDirty, inode.pages.size]).toEqual([0, 0, 20]);
    b.check(inode);
  });

  it('maxOrder 0: small ones only, as before ext4 had large ones', () => {
    const b = bench(api);
    b.files.maxOrder = 0;
    const inode = b.file('disk');
    b.write(inode, 0, pattern(8 * PAGE, 5));
    expect(folios(b, inode)).toBe('1 1 1 1 1 1 1 1');
  });

  it('without memory for a large one it is smaller', () => {
    const b = bench(api);
    const inode = b.file('disk');
    const free = b.hog(3);
    expect([b.write(inode, 0, pattern(4 * PAGE, 5)), inode.size]).toEqual([3 * PAGE, 3 * PAGE]);
    free();
    b.check(inode);
  });
});
