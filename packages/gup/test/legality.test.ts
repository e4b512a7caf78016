import { describe, expect, it } from 'vitest';
import { mmapIsLocked, MMF_HAS_PINNED, MM_FLAGS } from '@mmkit/aspace';
import {
  EINVAL,
  FOLL_ANON,
  FOLL_DUMP,
  FOLL_FAST_ONLY,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_HONOR_NUMA_FAULT,
  FOLL_HWPOISON,
  FOLL_INTERRUPTIBLE,
  FOLL_LONGTERM,
  FOLL_MADV_POPULATE,
  FOLL_NOFAULT,
  FOLL_NOWAIT,
  FOLL_PCI_P2PDMA,
  FOLL_PIN,
  FOLL_REMOTE,
  FOLL_SPLIT_PMD,
  FOLL_TOUCH,
  FOLL_TRIED,
  FOLL_UNLOCKABLE,
  FOLL_WRITE,
} from '@mmkit/base';
import { AT, builds, codeOf, space } from './builds.ts';
import type { Build, Space } from './builds.ts';

type Call = (build: Build, s: Space, flags: number, pages: Uint32Array | null, nr?: number, start?: number) => number;

const calls: Record<string, Call> = {
  getUserPages: ({ gup }, s, flags, pages, nr = 1, start = AT) =>
    s.locked(() => gup.getUserPages(s.mm, start, nr, flags, pages)),
  getUserPagesUnlocked: ({ gup }, s, flags, pages, nr = 1, start = AT) =>
    gup.getUserPagesUnlocked(s.mm, start, nr, pages, flags),
  getUserPagesFast: ({ gup }, s, flags, pages, nr = 1, start = AT) =>
    gup.getUserPagesFast(s.mm, start, nr, flags, pages!),
  getUserPagesFastOnly: ({ gup }, s, flags, pages, nr = 1, start = AT) =>
    gup.getUserPagesFastOnly(s.mm, start, nr, flags, pages!),
  pinUserPages: ({ gup }, s, flags, pages, nr = 1, start = AT) =>
    s.locked(() => gup.pinUserPages(s.mm, start, nr, flags, pages!)),
  pinUserPagesUnlocked: ({ gup }, s, flags, pages, nr = 1, start = AT) =>
    gup.pinUserPagesUnlocked(s.mm, start, nr, pages!, flags),
  pinUserPagesFast: ({ gup }, s, flags, pages, nr = 1, start = AT) =>
    gup.pinUserPagesFast(s.mm, start, nr, flags, pages!),
};

/** What a call with flags that may not be gives (B.2, last line). */
const INVALID: Record<string, number> = {
  getUserPages: -EINVAL,
  getUserPagesUnlocked: -EINVAL,
  getUserPagesFast: -EINVAL,
  getUserPagesFastOnly: -EINVAL,
  pinUserPages: 0,
  pinUserPagesUnlocked: 0,
  pinUserPagesFast: -EINVAL,
};

const names = Object.keys(calls);
const fastNames = ['getUserPagesFast', 'getUserPagesFastOnly', 'pinUserPagesFast'];

describe.each(builds)('%s: B.2, which flags a caller may give', (_, build) => {
  function refused(name: string, flags: number, pages: Uint32Array | null): void {
    const s = space(build);
    s.map(AT, 4);
    const free = s.phys.freeFrames;
    expect(calls[name]!(build, s, flags, pages)).toBe(INVALID[name]);
    expect(s.warnings.length).toBe(1);
    // Nothing was touched.
    expect(s.phys.freeFrames).toBe(free);
    expect(s.memory.stat.pgfault).toBe(0);
    expect(s.mm.words[MM_FLAGS]).toBe(0);
    if (pages !== null) expect(pages).toEqual(new Uint32Array(pages.length));
  }

  const internal = [FOLL_TOUCH, FOLL_TRIED, FOLL_REMOTE, FOLL_PIN, FOLL_FAST_ONLY, FOLL_UNLOCKABLE, FOLL_MADV_POPULATE];
  it.each(names)('%s: an internal flag is refused, each of the seven', (name) => {
    for (const flag of internal) refused(name, flag, new Uint32Array(4));
  });

  it('B.22 #1: pin_user_pages with FOLL_GET warns and gives 0', () =>
    refused('pinUserPages', FOLL_GET, new Uint32Array(4)));
  it('pin_user_pages_fast with FOLL_GET', () => refused('pinUserPagesFast', FOLL_GET, new Uint32Array(4)));

  it.each(['getUserPages', 'getUserPagesUnlocked', 'getUserPagesFast', 'getUserPagesFastOnly'])(
    'B.22 #2: %s with FOLL_LONGTERM, which needs FOLL_PIN',
    (name) => refused(name, FOLL_LONGTERM, new Uint32Array(4)),
  );

  it.each(['pinUserPages', 'pinUserPagesUnlocked', 'pinUserPagesFast', 'getUserPagesFast'])(
    '%s without pages',
    (name) => refused(name, 0, null),
  );
  it('FOLL_GET without pages', () => refused('getUserPages', FOLL_GET, null));

  it.each(['pinUserPages', 'pinUserPagesUnlocked', 'pinUserPagesFast'])(
    '%s: FOLL_LONGTERM with FOLL_PCI_P2PDMA',
    (name) => {
      refused(name, FOLL_LONGTERM | FOLL_PCI_P2PDMA, new Uint32Array(4));
    },
  );

  it.each(fastNames)('B.22 #3: %s refuses what gup-fast does not know', (name) => {
    const unknown = [FOLL_NOWAIT, FOLL_ANON, FOLL_HWPOISON, FOLL_DUMP, FOLL_SPLIT_PMD, FOLL_INTERRUPTIBLE];
    for (const flag of unknown) refused(name, flag, new Uint32Array(4));
  });

  it.each(fastNames)('%s takes the others', (name) => {
    for (const flags of [0, FOLL_WRITE, FOLL_FORCE, FOLL_NOFAULT, FOLL_PCI_P2PDMA, FOLL_HONOR_NUMA_FAULT]) {
      const s = space(build);
      s.map(AT, 1);
      s.touch(AT, 1);
      expect(calls[name]!(build, s, flags, new Uint32Array(1))).toBe(1);
      expect(s.warnings).toEqual([]);
    }
  });

  it('get_user_pages with pages gets FOLL_GET by itself, and takes it from the caller too', () => {
    for (const flags of [0, FOLL_GET]) {
      const s = space(build);
      s.map(AT, 1);
      const [pfn] = s.touch(AT, 1);
      expect(calls['getUserPages']!(build, s, flags, new Uint32Array(1))).toBe(1);
      expect(s.refs(pfn!)).toBe(2);
    }
  });

  it('without pages, FOLL_GET or FOLL_PIN it faults in and keeps nothing', () => {
    for (const name of ['getUserPages', 'getUserPagesUnlocked']) {
      const s = space(build);
      s.map(AT, 3);
      expect(calls[name]!(build, s, FOLL_WRITE, null, 3)).toBe(3);
      expect(s.memory.stat.pgfault).toBe(3);
      for (let i = 0; i < 3; i++) expect(s.refs(s.entry(AT + i * 4096).pfn)).toBe(1);
    }
  });

  it('only pins set MMF_HAS_PINNED, for good', () => {
    const s = space(build);
    s.map(AT, 1);
    for (const name of names.slice(0, 3)) calls[name]!(build, s, 0, new Uint32Array(1));
    expect(s.mm.words[MM_FLAGS]).toBe(0);
    const pages = new Uint32Array(1);
    calls['pinUserPages']!(build, s, FOLL_WRITE, pages);
    build.gup.unpinUserPages(s.memory, pages, 1);
    expect(s.mm.words[MM_FLAGS]).toBe(MMF_HAS_PINNED);
  });

  it('pin_user_pages_fast sets it before it looks at anything', () => {
    const s = space(build);
    calls['pinUserPagesFast']!(build, s, 0, new Uint32Array(1));
    expect(s.mm.words[MM_FLAGS]).toBe(MMF_HAS_PINNED);
  });
});

describe.each(builds)('%s: values no C caller could pass', (_, build) => {
  function bad(name: string, argument: string, call: (s: Space) => unknown): void {
    const s = space(build);
    s.map(AT, 4);
    const free = s.phys.freeFrames;
    const error = codeOf(() => call(s));
    expect(error, name).toBeInstanceOf(RangeError);
    expect((error as RangeError).message.startsWith(`${argument}: `), `${name}: ${String(error)}`).toBe(true);
    expect([s.phys.freeFrames, s.mm.words[MM_FLAGS], mmapIsLocked(s.mm)]).toEqual([free, 0, false]);
  }

  it.each(names)('%s: start', (name) => {
    for (const start of [NaN, 1.5, -4096, 2 ** 53, Infinity]) {
      bad(name, 'start', (s) => calls[name]!(build, s, 0, new Uint32Array(4), 1, start));
    }
  });

  it.each(names)('%s: nr', (name) => {
    for (const nr of [NaN, 0.5, 2 ** 31, Infinity]) {
      bad(name, 'nr', (s) => calls[name]!(build, s, 0, new Uint32Array(4), nr));
    }
    const negative = fastNames.includes(name) ? -(2 ** 31) - 1 : -1;
    bad(name, 'nr', (s) => calls[name]!(build, s, 0, new Uint32Array(4), negative));
  });

  it.each(names)('%s: flags', (name) => {
    for (const flags of [NaN, 0.5, -1, 2 ** 32]) {
      bad(name, 'flags', (s) => calls[name]!(build, s, flags, new Uint32Array(4)));
    }
  });

  it.each(names)('%s: pages', (name) => {
    for (const pages of [new Uint32Array(3), new Int32Array(4), [0, 0, 0, 0], undefined, 7]) {
      bad(name, 'pages', (s) => calls[name]!(build, s, 0, pages as unknown as Uint32Array, 4));
    }
  });

  it.each(['unpinUserPages', 'putUserPages', 'unpinUserPagesDirtyLock'] as const)('%s: nr and pages', (name) => {
    const release = (s: Space, pages: unknown, nr: number): void =>
      build.gup[name](s.memory, pages as Uint32Array, nr, true as never);
    for (const nr of [NaN, 1.5, -1, 2 ** 31]) bad(name, 'nr', (s) => release(s, new Uint32Array(4), nr));
    for (const pages of [new Uint32Array(1), new Int32Array(4), null]) bad(name, 'pages', (s) => release(s, pages, 2));
  });
});

describe.each(builds)('%s: nothing to do', (_, build) => {
  it('nr 0 is 0, with or without mmap_lock, wherever start is', () => {
    const s = space(build);
    expect(build.gup.getUserPages(s.mm, 0x1234, 0, FOLL_WRITE, null)).toBe(0);
    expect(build.gup.getUserPagesUnlocked(s.mm, AT, 0, new Uint32Array(0), FOLL_WRITE)).toBe(0);
    expect(build.gup.pinUserPages(s.mm, AT, 0, FOLL_WRITE, new Uint32Array(0))).toBe(0);
  });

  it.each(fastNames)('G.2: %s does not expect 0 pages: ZERO_PAGES', (name) => {
    const s = space(build);
    expect(codeOf(() => calls[name]!(build, s, 0, new Uint32Array(0), 0))).toBe('ZERO_PAGES');
    expect(s.mm.words[MM_FLAGS]).toBe(0);
  });

  it.each(['getUserPages', 'pinUserPages'] as const)('%s without mmap_lock: LOCK_NOT_HELD, nothing changed', (name) => {
    const s = space(build);
    s.map(AT, 1);
    expect(codeOf(() => build.gup[name](s.mm, AT, 1, 0, new Uint32Array(1)))).toBe('LOCK_NOT_HELD');
    expect(s.mm.words[MM_FLAGS]).toBe(0);
    expect(s.memory.stat.pgfault).toBe(0);
  });
});
