/** mmap of files (D.3, FACTS 22, 28; G.29): rights, seals, flags and places, as a running 6.18 answers. */
import { describe, expect, it } from 'vitest';
import { EACCES, EINVAL, ENOMEM, EOPNOTSUPP, EPERM } from '@mmkit/base';
import { fileRmap } from '@mmkit/aspace';
import type { Mm } from '@mmkit/aspace';
import {
  createBlockDevice,
  createInode,
  createMemoryBackend,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_WRITE,
  OpenFile,
} from '@mmkit/filemap';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_SYNC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  STACK_GAP,
} from '@mmkit/mm';
import { VM_ACCOUNT, VM_MAYSHARE, VM_MAYWRITE, VM_SHARED, vmaLookup } from '@mmkit/vma';
import { ANON, BASE, builds, mapPages, PAGE, RW, setUp, touch, vmas } from './builds.ts';

describe.each(builds)('%s build: mmap of files', (_name, api) => {
  function shmem(mm: Mm, pages = 16): OpenFile {
    const inode = createInode(mm.memory.files, null, fileRmap(mm.memory));
    inode.size = pages * PAGE;
    return new OpenFile(inode, true, true);
  }
  function disk(mm: Mm): OpenFile {
    const { sched, phys, files } = mm.memory;
    const device = createBlockDevice(sched, phys, createMemoryBackend(new Uint8Array(PAGE)));
    return new OpenFile(createInode(files, device, fileRmap(mm.memory)), true, true);
  }
  const flagsAt = (mm: Mm, address: number): number =>
    vmaLookup(mm.vmas, address)!.flags & (VM_SHARED | VM_MAYSHARE | VM_MAYWRITE | VM_ACCOUNT);

  it('G.29: shared of a file open for reading alone is neither VM_SHARED nor VM_MAYWRITE; private is copy-on-write', () => {
    const mm = setUp(api);
    const { inode } = shmem(mm);
    const readOnly = new OpenFile(inode, true, false);
    api.mmap(mm, BASE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, readOnly);
    api.mmap(mm, BASE + 2 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_FIXED, readOnly);
    expect([flagsAt(mm, BASE), flagsAt(mm, BASE + 2 * PAGE)]).toEqual([VM_MAYSHARE, VM_MAYWRITE | VM_ACCOUNT]);
    expect(inode.mmapWritable).toBe(0);
    api.mmap(mm, BASE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, new OpenFile(inode, true, true));
    expect([flagsAt(mm, BASE), inode.mmapWritable]).toEqual([VM_SHARED | VM_MAYSHARE | VM_MAYWRITE, 1]);
  });

  it('EACCES: shared and writable of a file not open for writing; anything of one not open for reading', () => {
    const mm = setUp(api);
    const { inode } = shmem(mm);
    const only = { read: new OpenFile(inode, true, false), write: new OpenFile(inode, false, true) };
    expect(api.mmap(mm, BASE, PAGE, PROT_WRITE, MAP_SHARED | MAP_FIXED, only.read)).toBe(-EACCES);
    expect(api.mmap(mm, BASE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_FIXED, only.write)).toBe(-EACCES);
    expect(api.mmap(mm, BASE, PAGE, PROT_WRITE, MAP_SHARED | MAP_FIXED, only.write)).toBe(-EACCES);
    expect([vmas(mm), inode.iMmap.size]).toEqual([[], 0]);
  });

  it('FACTS 28: a write-sealed file: EPERM for shared and writable, with nothing unmapped; read-only for ever else', () => {
    for (const seal of [F_SEAL_WRITE, F_SEAL_FUTURE_WRITE]) {
      const mm = setUp(api);
      const file = shmem(mm);
      file.inode.seals = seal;
      mapPages(api, mm, 0, 4);
      touch(api, mm, BASE, 4);
      expect(api.mmap(mm, BASE + PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, file)).toBe(-EPERM);
      expect([vmas(mm), mm.anonPages]).toEqual([['0-4'], 4]);
      expect(api.mmap(mm, BASE + 8 * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file)).toBe(BASE + 8 * PAGE);
      expect(flagsAt(mm, BASE + 8 * PAGE)).toBe(VM_SHARED | VM_MAYSHARE);
      expect(api.mprotect(mm, BASE + 8 * PAGE, PAGE, RW)).toBe(-EACCES);
      expect(api.mmap(mm, BASE, PAGE, RW, MAP_PRIVATE | MAP_FIXED, file)).toBe(BASE);
    }
  });

  it('6.18: MAP_SHARED_VALIDATE refuses what it does not know: EOPNOTSUPP, before rights; also MAP_FIXED_NOREPLACE', () => {
    const mm = setUp(api);
    const file = new OpenFile(shmem(mm).inode, true, false);
    for (const flag of [MAP_SYNC, MAP_FIXED_NOREPLACE, 0x20_0000, 0x100_0000]) {
      expect(api.mmap(mm, BASE, PAGE, PROT_WRITE, MAP_SHARED_VALIDATE | flag, file)).toBe(-EOPNOTSUPP);
    }
    expect(api.mmap(mm, BASE, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_FIXED, file)).toBe(BASE);
    expect(api.mmap(mm, BASE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED | 0x20_0000, file)).toBe(BASE);
  });

  it('6.18: MAP_SYNC of a file on disk: EOPNOTSUPP, and what was mapped there is gone', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 4);
    expect(api.mmap(mm, BASE + PAGE, PAGE, RW, MAP_SHARED_VALIDATE | MAP_FIXED | MAP_SYNC, disk(mm))).toBe(-EOPNOTSUPP);
    expect(vmas(mm)).toEqual(['0-1', '2-4']);
  });

  it('EINVAL: an offset inside a page, growing down, a type that is none', () => {
    const mm = setUp(api);
    const file = shmem(mm);
    expect(api.mmap(mm, 0, PAGE, RW, MAP_PRIVATE, file, 1)).toBe(-EINVAL);
    expect(api.mmap(mm, 0, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, file)).toBe(-EINVAL);
    expect(api.mmap(mm, 0, PAGE, RW, MAP_SHARED | MAP_GROWSDOWN, file)).toBe(-EINVAL);
    expect(api.mmap(mm, 0, PAGE, RW, 0, file)).toBe(-EINVAL);
    expect([vmas(mm), file.inode.iMmap.size]).toEqual([[], 0]);
  });

  it('MAP_ANONYMOUS makes nothing of a file that is given too, but looks at the offset', () => {
    const mm = setUp(api);
    const file = shmem(mm);
    const address = api.mmap(mm, 0, PAGE, RW, ANON, file, 3 * PAGE);
    expect([vmaLookup(mm.vmas, address)!.file, vmaLookup(mm.vmas, address)!.pgoff]).toEqual([null, address / PAGE]);
    expect(api.mmap(mm, 0, PAGE, RW, ANON, file, 1)).toBe(-EINVAL);
  });

  it('FACTS 22 for files on disk: where a whole huge page of the file fits, the place in it is that of the offset', () => {
    const huge = 512 * PAGE;
    const top = api.format.taskSize - STACK_GAP;
    const place = (size: number, offset: number, hint = 0, of = disk): number => {
      const mm = setUp(api);
      return api.mmap(mm, hint, size, PROT_READ, MAP_PRIVATE, of(mm), offset);
    };
    expect(place(2 * huge, 13 * PAGE) % huge).toBe(13 * PAGE);
    expect(place(1023 * PAGE, PAGE) % huge).toBe(PAGE);
    expect(place(1022 * PAGE, PAGE)).toBe(top - 1022 * PAGE);
    expect(place(600 * PAGE, huge) % huge).toBe(0);
    expect(place(huge, 13 * PAGE)).toBe(top - huge);
    expect(place(huge, 0, 0, shmem)).toBe(top - huge);
    // A hint counts when a huge page more would fit there; else the search is as without one.
    expect(place(2 * huge, 13 * PAGE, BASE)).toBe(BASE);
    expect(place(2 * huge, 13 * PAGE, api.format.taskSize - 2 * huge) % huge).toBe(13 * PAGE);
  });

  it('shared memory without a file ends with its last mapping: no page and no inode is left', () => {
    const mm = setUp(api);
    const used = mm.memory.files.inodes.filter((inode) => inode !== null).length;
    api.mmap(mm, BASE, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED);
    expect(touch(api, mm, BASE, 4)).toBe(4);
    const child = api.dupMm(mm).mm!;
    api.munmap(mm, BASE, 4 * PAGE);
    expect(mm.memory.files.inodes.filter((inode) => inode !== null).length).toBe(used + 1);
    expect(touch(api, child, BASE, 4)).toBe(4);
    expect(child.memory.stat.pgfault).toBeGreaterThan(0);
    api.munmap(child, BASE + PAGE, 3 * PAGE);
    api.exitMm(child);
    expect(mm.memory.files.inodes.filter((inode) => inode !== null).length).toBe(used);
  });

  it('FACTS 28: a mapping refused for want of room is not in i_mmap', () => {
    const mm = setUp(api);
    const file = shmem(mm);
    expect(api.mmap(mm, 0, api.format.userEnd, PROT_READ, MAP_SHARED, file)).toBe(-ENOMEM);
    expect(api.mmap(mm, 0, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, file)).toBe(-EINVAL);
    expect(file.inode.iMmap.size).toBe(0);
  });
});
