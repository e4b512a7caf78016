/** D.6: which VMAs there are after merging and splitting, row by row as 6.18 showed them; FACTS 18, 20, 21. */
import { describe, expect, it } from 'vitest';
import { createInode, OpenFile } from '@mmkit/filemap';
import { fileRmap, linux6_12, linux6_18 } from '@mmkit/aspace';
import type { Mm } from '@mmkit/aspace';
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
} from '@mmkit/mm';
import { VM_ACCOUNT, VM_MAYBE_GUARD, vmaLookup } from '@mmkit/vma';
import { ANON, BASE, builds, mapPages, PAGE, RW, setUp, touch, vmas } from './builds.ts';

describe.each(builds)('%s build: VMAs merged and split', (_name, api) => {
  const at = (page: number): number => BASE + page * PAGE;
  const map = (mm: Mm, page: number, count: number, prot = RW): void => {
    expect(api.mmap(mm, at(page), count * PAGE, prot, ANON | MAP_FIXED)).toBe(at(page));
  };
  const write = (mm: Mm, page: number, count = 1): void => void touch(api, mm, at(page), count);
  const read = (mm: Mm, page: number): void => void api.getUserPagesUnlocked(mm, at(page), 1, null, 0);
  const protect = (mm: Mm, page: number, count: number, prot: number): number =>
    api.mprotect(mm, at(page), count * PAGE, prot);
  const fork = (mm: Mm): Mm => api.dupMm(mm).mm!;

  const move = (mm: Mm, page: number, count: number, to: number): void =>
    void api.mremap(mm, at(page), count * PAGE, count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(to));

  const rows: [string, (mm: Mm) => void, string[]][] = [
    [
      'two adjacent maps, untouched',
      (mm) => {
        map(mm, 0, 2);
        map(mm, 2, 2);
      },
      ['0-4'],
    ],
    [
      'left touched, right newly mapped',
      (mm) => {
        map(mm, 0, 2);
        write(mm, 0);
        map(mm, 2, 2);
      },
      ['0-4'],
    ],
    [
      'left and right touched, each with an anon_vma of its own, then the gap mapped: joins left only',
      (mm) => {
        map(mm, 0, 2);
        map(mm, 4, 2);
        write(mm, 0);
        write(mm, 4);
        map(mm, 2, 2);
      },
      ['0-4', '4-6'],
    ],
    [
      'a read-only neighbour, only read, then made writable',
      (mm) => {
        map(mm, 0, 2);
        write(mm, 0);
        map(mm, 2, 2, PROT_READ);
        read(mm, 2);
        protect(mm, 2, 2, RW);
      },
      ['0-4'],
    ],
    [
      'the middle made read-only',
      (mm) => {
        map(mm, 0, 6);
        write(mm, 0, 6);
        protect(mm, 2, 2, PROT_READ);
      },
      ['0-2', '2-4', '4-6'],
    ],
    [
      'and writable again',
      (mm) => {
        map(mm, 0, 6);
        write(mm, 0, 6);
        protect(mm, 2, 2, PROT_READ);
        protect(mm, 2, 2, RW);
      },
      ['0-6'],
    ],
    [
      'read-only, writable, read-only: the middle made read-only joins all three',
      (mm) => {
        map(mm, 0, 2, PROT_READ);
        map(mm, 2, 2);
        map(mm, 4, 2, PROT_READ);
        protect(mm, 2, 2, PROT_READ);
      },
      ['0-6'],
    ],
    [
      'MADV_DONTFORK on the first page',
      (mm) => {
        map(mm, 0, 4);
        api.madvise(mm, at(0), PAGE, MADV_DONTFORK);
      },
      ['0-1', '1-4'],
    ],
    [
      'and MADV_DOFORK',
      (mm) => {
        map(mm, 0, 4);
        api.madvise(mm, at(0), PAGE, MADV_DONTFORK);
        api.madvise(mm, at(0), PAGE, MADV_DOFORK);
      },
      ['0-4'],
    ],
    [
      'one page in the middle locked',
      (mm) => {
        map(mm, 0, 3);
        api.mlock(mm, at(1), PAGE);
      },
      ['0-1', '1-2', '2-3'],
    ],
    [
      'and unlocked',
      (mm) => {
        map(mm, 0, 3);
        api.mlock(mm, at(1), PAGE);
        api.munlock(mm, at(1), PAGE);
      },
      ['0-3'],
    ],
    [
      'one page in the middle unmapped',
      (mm) => {
        map(mm, 0, 3);
        api.munmap(mm, at(1), PAGE);
      },
      ['0-1', '2-3'],
    ],
    [
      'and mapped again',
      (mm) => {
        map(mm, 0, 3);
        api.munmap(mm, at(1), PAGE);
        map(mm, 1, 1);
      },
      ['0-3'],
    ],
  ];
  rows.push(
    [
      'the untouched tail moved away',
      (mm) => {
        map(mm, 0, 4);
        move(mm, 2, 2, 6);
      },
      ['0-2', '6-8'],
    ],
    [
      'and back',
      (mm) => {
        map(mm, 0, 4);
        move(mm, 2, 2, 6);
        move(mm, 6, 2, 2);
      },
      ['0-4'],
    ],
    [
      'the touched head moved away, then the room between mapped: the moved head keeps its old offset and merges with nobody',
      (mm) => {
        map(mm, 0, 4);
        write(mm, 0, 4);
        move(mm, 0, 2, 6);
        map(mm, 4, 2);
      },
      ['2-6', '6-8'],
    ],
  );
  it.each(rows)('D.6: %s', (_what, run, expected) => {
    const mm = setUp(api);
    run(mm);
    expect(vmas(mm)).toEqual(expected);
  });

  const EXEC = RW | PROT_EXEC;
  const sides: [string, (mm: Mm) => void, string[], string[]][] = [
    [
      'written memory made as neighbours that were never written to: it goes over to them on 6.18 alone',
      (mm) => {
        map(mm, 0, 6, EXEC);
        protect(mm, 2, 2, RW);
        write(mm, 2);
        protect(mm, 2, 2, EXEC);
      },
      ['0-6'],
      ['0-2', '2-4', '4-6'],
    ],
    [
      'the neighbour before has the same anon_vma: the one after joins on 6.18 alone',
      (mm) => {
        map(mm, 0, 6);
        protect(mm, 4, 2, EXEC);
        write(mm, 0, 4);
        protect(mm, 0, 2, EXEC);
        protect(mm, 2, 2, EXEC);
      },
      ['0-6'],
      ['0-4', '4-6'],
    ],
    [
      'pages that mlock has populated, and munlock: on 6.12 they stay apart',
      (mm) => {
        map(mm, 0, 6);
        api.mlock(mm, at(2), 2 * PAGE);
        api.munlock(mm, at(2), 2 * PAGE);
      },
      ['0-6'],
      ['0-2', '2-4', '4-6'],
    ],
    [
      'memory never written to goes over to a neighbour that was, on both',
      (mm) => {
        map(mm, 0, 4);
        protect(mm, 0, 2, EXEC);
        write(mm, 2);
        protect(mm, 0, 2, RW);
      },
      ['0-4'],
      ['0-4'],
    ],
    [
      'the room between one written to and one not, mapped: all join, on both',
      (mm) => {
        map(mm, 0, 2);
        write(mm, 0);
        map(mm, 4, 2);
        map(mm, 2, 2);
      },
      ['0-6'],
      ['0-6'],
    ],
  ];
  it.each(sides)('OBSERVED 12, merge.ksft: %s', (_what, run, today, earlier) => {
    for (const [policy, expected] of [
      [linux6_18, today],
      [linux6_12, earlier],
    ] as const) {
      const mm = setUp(api, 256, undefined, policy);
      run(mm);
      expect([policy.name, vmas(mm)]).toEqual([policy.name, expected]);
    }
  });

  it('6.18: growing in a child joins a next VMA that was never written to, not one that was', () => {
    for (const [written, expected] of [
      [0, ['0-3']],
      [2, ['0-2', '2-3']],
    ] as const) {
      const mm = setUp(api);
      map(mm, 0, 3);
      api.munmap(mm, at(1), PAGE);
      write(mm, 0);
      if (written > 0) write(mm, written);
      const child = fork(mm);
      expect(api.mremap(child, at(0), PAGE, 2 * PAGE, 0, 0)).toBe(at(0));
      expect(vmas(child)).toEqual(expected);
    }
  });

  it('D.6: a forked child that extends what the parent had not touched / had touched: 1 / 2', () => {
    const mm = setUp(api);
    map(mm, 0, 2);
    const child = fork(mm);
    map(child, 2, 2);
    expect(vmas(child)).toEqual(['0-4']);
    write(mm, 0);
    const second = fork(mm);
    map(second, 2, 2);
    expect(vmas(second)).toEqual(['0-2', '2-4']);
  });

  it('D.6: the same file shared: contiguous offsets 1, others 2; shared beside private 2; other open files 2', () => {
    const mm = setUp(api);
    const inode = createInode(mm.memory.files, null, fileRmap(mm.memory));
    inode.size = 16 * PAGE;
    const file = new OpenFile(inode, true, true);
    const place = (page: number, type: number, offset: number, opened = file): void =>
      void api.mmap(mm, at(page), 2 * PAGE, PROT_READ, type | MAP_FIXED, opened, offset * PAGE);
    place(0, MAP_SHARED, 0);
    place(2, MAP_SHARED, 2);
    place(4, MAP_SHARED, 8);
    place(6, MAP_PRIVATE, 10);
    place(8, MAP_PRIVATE, 12);
    place(10, MAP_PRIVATE, 14, new OpenFile(inode, true, true));
    expect(vmas(mm)).toEqual(['0-4', '4-6', '6-10', '10-12']);
    expect(inode.iMmap.size).toBe(4);
    api.munmap(mm, at(0), 12 * PAGE);
    expect([inode.iMmap.size, inode.mmapWritable]).toEqual([0, 0]);
  });

  it('FACTS 20: mprotect to writable accounts; to read-only it stays accounted once written, else not', () => {
    const mm = setUp(api);
    map(mm, 0, 2, PROT_READ);
    const flags = (page: number): number => vmaLookup(mm.vmas, at(page))!.flags & VM_ACCOUNT;
    expect(flags(0)).toBe(0);
    protect(mm, 0, 2, RW);
    expect(flags(0)).toBe(VM_ACCOUNT);
    protect(mm, 0, 2, PROT_NONE);
    expect(flags(0)).toBe(0);
    protect(mm, 0, 2, RW);
    write(mm, 0);
    protect(mm, 0, 2, PROT_NONE);
    expect(flags(0)).toBe(VM_ACCOUNT);
  });

  it('FACTS 21: a first write takes over the anon_vma of a neighbour that differs in its rights alone', () => {
    const mm = setUp(api);
    map(mm, 0, 2);
    write(mm, 0);
    map(mm, 2, 2, PROT_READ | 4);
    protect(mm, 2, 2, RW | 4);
    write(mm, 2);
    expect(vmaLookup(mm.vmas, at(2))!.anonVma).toBe(vmaLookup(mm.vmas, at(0))!.anonVma);
    protect(mm, 2, 2, RW);
    expect(vmas(mm)).toEqual(['0-4']);
  });

  it('6.18: sealed memory does not lend its anon_vma to a neighbour that is not sealed', () => {
    const mm = setUp(api);
    map(mm, 0, 2);
    write(mm, 0);
    api.mseal(mm, at(0), 2 * PAGE);
    map(mm, 2, 2);
    write(mm, 2);
    api.mseal(mm, at(2), 2 * PAGE);
    expect(vmas(mm)).toEqual(['0-2', '2-4']);
  });

  it('FACTS 18: guard regions do not keep VMAs apart, and the merged one may have guards', () => {
    const mm = setUp(api);
    map(mm, 0, 2);
    vmaLookup(mm.vmas, at(0))!.flags |= VM_MAYBE_GUARD;
    map(mm, 2, 2);
    expect(vmas(mm)).toEqual(['0-4']);
    expect(vmaLookup(mm.vmas, at(3))!.flags & VM_MAYBE_GUARD).toBe(VM_MAYBE_GUARD);
  });

  it('what is merged away and split off keeps its pages', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 8);
    write(mm, 0, 8);
    protect(mm, 2, 4, PROT_READ);
    protect(mm, 3, 1, RW);
    protect(mm, 2, 4, RW);
    expect([vmas(mm), mm.anonPages]).toEqual([['0-8'], 8]);
  });
});
