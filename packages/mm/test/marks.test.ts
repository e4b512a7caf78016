/** What fork and mremap do to a VMA's policy, name and registration with userfaultfd, as a running 6.18 does. */
import { describe, expect, it } from 'vitest';
import { Mm } from '@mmkit/aspace';
import { MREMAP_FIXED, MREMAP_MAYMOVE } from '@mmkit/mm';
import { VM_UFFD_MINOR, VM_UFFD_MISSING, VM_UFFD_WP, vmaLookup } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { BASE, builds, mapPages, PAGE, setUp, vmas } from './builds.ts';
import type { Api } from './builds.ts';

const at = (page: number): number => BASE + page * PAGE;
const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED;

describe.each(builds)('%s build: marks of a VMA', (_name, api: Api) => {
  const marked = (mm: Mm, page: number, fd: object | null): Vma => {
    mapPages(api, mm, page, 2);
    const vma = vmaLookup(mm.vmas, at(page))!;
    vma.policy = policy;
    vma.anonName = 'heap';
    vma.uffdCtx = fd;
    if (fd !== null) vma.flags |= VM_UFFD_MISSING | VM_UFFD_WP;
    if (fd !== null) vma.flagsHigh |= VM_UFFD_MINOR;
    return vma;
  };
  const policy = { mode: 2 };
  const fd = { fd: 3 };
  const bare = (vma: Vma | null): unknown[] => [
    vma!.flags & (VM_UFFD_MISSING | VM_UFFD_WP),
    vma!.flagsHigh & VM_UFFD_MINOR,
    vma!.uffdCtx,
    vma!.policy,
    vma!.anonName,
  ];
  const kept = [0, 0, null, policy, 'heap'];

  it('6.18: the child has policy and name, and is not registered; the parent stays as it is', () => {
    const mm = setUp(api);
    const vma = marked(mm, 0, fd);
    const child = api.dupMm(mm).mm!;
    expect(bare(vmaLookup(child.vmas, at(0)))).toEqual(kept);
    expect(bare(vma)).toEqual([VM_UFFD_MISSING | VM_UFFD_WP, VM_UFFD_MINOR, fd, policy, 'heap']);
  });

  it('6.18: moved memory is registered no more; beside memory that never was it stays apart', () => {
    const mm = setUp(api);
    marked(mm, 0, fd);
    marked(mm, 10, null);
    expect(api.mremap(mm, at(0), 2 * PAGE, 2 * PAGE, MOVE, at(12))).toBe(at(12));
    expect([vmas(mm), bare(vmaLookup(mm.vmas, at(12)))]).toEqual([['10-12', '12-14'], kept]);
  });

  it('6.18: beside memory of the same registration it joins, and all of it is registered no more', () => {
    const mm = setUp(api);
    marked(mm, 0, fd);
    marked(mm, 10, fd);
    api.mremap(mm, at(0), 2 * PAGE, 2 * PAGE, MOVE, at(12));
    expect([vmas(mm), bare(vmaLookup(mm.vmas, at(10)))]).toEqual([['10-14'], kept]);
  });

  it('6.18: grown up to memory of another registration they stay two', () => {
    const mm = setUp(api);
    marked(mm, 0, fd);
    marked(mm, 4, { fd: 4 });
    expect(api.mremap(mm, at(0), 2 * PAGE, 4 * PAGE, 0)).toBe(at(0));
    expect([vmas(mm), vmaLookup(mm.vmas, at(3))!.uffdCtx]).toEqual([['0-4', '4-6'], fd]);
  });
});
