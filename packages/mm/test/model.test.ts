/** Random system calls against the plainest model there is: an array of pages. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { ENOMEM } from '@mmkit/base';
import type { Mm } from '@mmkit/aspace';
import { MADV_DONTNEED } from '@mmkit/mm';
import { BASE, builds, framesUsed, mapPages, PAGE, pfnAt, setUp, touch } from './builds.ts';
import { checkVmaTree, vmaLookup } from '@mmkit/vma';

const PAGES = 12;

/** What a page is: not mapped, mapped, or mapped with a page that was written. */
type PageState = 'none' | 'mapped' | 'written';

const op = fc.tuple(
  fc.constantFrom('map', 'unmap', 'drop', 'write', 'fork'),
  fc.nat(PAGES - 1),
  fc.integer({ min: 1, max: 5 }),
);

describe.each(builds)('%s build', (_name, api) => {
  function states(mm: Mm): PageState[] {
    checkVmaTree(mm.vmas);
    return Array.from({ length: PAGES }, (_, page) => {
      const address = BASE + page * PAGE;
      if (vmaLookup(mm.vmas, address) === null) return 'none';
      return pfnAt(mm, address) > 0 ? 'written' : 'mapped';
    });
  }

  it('property: mmap, munmap, MADV_DONTNEED, writes and forks do to each page what they should', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 25 }), (calls) => {
        const mm = setUp(api);
        const model = new Array<PageState>(PAGES).fill('none');
        const children: [Mm, PageState[]][] = [];
        for (const [what, first, count] of calls) {
          const last = Math.min(first + count, PAGES);
          const address = BASE + first * PAGE;
          const length = (last - first) * PAGE;
          const range = model.slice(first, last);
          if (what === 'map') {
            expect(mapPages(api, mm, first, last - first)).toBe(address);
            model.fill('mapped', first, last);
          } else if (what === 'unmap') {
            expect(api.munmap(mm, address, length)).toBe(0);
            model.fill('none', first, last);
          } else if (what === 'drop') {
            expect(api.madvise(mm, address, length, MADV_DONTNEED)).toBe(range.includes('none') ? -ENOMEM : 0);
            for (let page = first; page < last; page++) if (model[page] === 'written') model[page] = 'mapped';
          } else if (what === 'write') {
            const reached = range.includes('none') ? range.indexOf('none') : range.length;
            expect(Math.max(touch(api, mm, address, last - first), 0)).toBe(reached);
            model.fill('written', first, first + reached);
          } else {
            children.push([api.dupMm(mm).mm!, model.slice()]);
          }
          expect(states(mm)).toEqual(model);
          expect(mm.anonPages).toBe(model.filter((state) => state === 'written').length);
        }
        for (const [child, then] of children) {
          expect(states(child)).toEqual(then);
          api.exitMm(child);
        }
        api.exitMm(mm);
        expect(framesUsed(mm)).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});
