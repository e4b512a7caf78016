/** N.16: the hooks of what a VMA maps (vma.ops) through the calls: open, close and may_split of vm_operations_struct. */
import { describe, expect, it } from 'vitest';
import { EINVAL } from '@mmkit/base';
import { MADV_DONTFORK, MREMAP_FIXED, MREMAP_MAYMOVE, PROT_READ } from '@mmkit/mm';
import { isLocked } from '@mmkit/rwsem';
import type { Vma } from '@mmkit/vma';
import { vmaLookup } from '@mmkit/vma';
import { BASE, builds, mapPages, PAGE, setUp, vmas } from './builds.ts';

describe.each(builds)('%s build: vma.ops', (_name, api) => {
  const pages = ({ start, end }: Vma): string => `${(start - BASE) / PAGE}-${(end - BASE) / PAGE}`;

  it('munmap, mremap, fork and exit: opened for each VMA more, closed for each that is gone', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 8);
    const log: string[] = [];
    const open = (vma: Vma): unknown => log.push(`open ${pages(vma)}`);
    const close = (vma: Vma): unknown => log.push(`close ${pages(vma)}`);
    vmaLookup(mm.vmas, BASE)!.ops = { open, close };
    expect(api.munmap(mm, BASE + 2 * PAGE, PAGE)).toBe(0);
    expect(log.splice(0)).toEqual(['open 2-8', 'open 3-8', 'close 2-3']);
    const to = BASE + 20 * PAGE;
    expect(api.mremap(mm, BASE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to)).toBe(to);
    expect(log.splice(0)).toEqual(['open 20-22', 'close 0-2']);
    const child = api.dupMm(mm).mm!;
    expect(log.splice(0)).toEqual(['open 3-8', 'open 20-22']);
    api.exitMm(child);
    expect([log.splice(0), vmas(mm)]).toEqual([
      ['close 3-8', 'close 20-22'],
      ['3-8', '20-22'],
    ]);
  });

  it('may_split refuses: munmap, mprotect and madvise return what it says, and nothing has changed', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 8);
    vmaLookup(mm.vmas, BASE)!.ops = { maySplit: () => -EINVAL };
    expect(api.munmap(mm, BASE, PAGE)).toBe(-EINVAL);
    expect(api.munmap(mm, BASE + PAGE, PAGE)).toBe(-EINVAL);
    expect(api.mprotect(mm, BASE + PAGE, PAGE, PROT_READ)).toBe(-EINVAL);
    expect(api.madvise(mm, BASE, PAGE, MADV_DONTFORK)).toBe(-EINVAL);
    expect([vmas(mm), isLocked(mm.mmapLock)]).toEqual([['0-8'], false]);
    expect([api.munmap(mm, BASE, 8 * PAGE), vmas(mm)]).toEqual([0, []]);
  });
});
