/** MADV_PAGEOUT of file pages, as programs saw it on 6.18 without swap by pagemap and mincore. */
import { describe, expect, it } from 'vitest';
import type { OpenFile } from '@mmkit/filemap';
import { MADV_COLD, MADV_PAGEOUT, MAP_PRIVATE, MAP_SHARED } from '@mmkit/mm';
import { builds, Cpu, PAGE, RW } from './builds.ts';
import { filesBench, write } from './files-bench.ts';
import type { FilesBench } from './files-bench.ts';

const PAGES = 16;
const ALL = '1'.repeat(PAGES);
const NONE = '.'.repeat(PAGES);
const MIDDLE = '1111....11111111';

describe.each(builds)('%s build: MADV_PAGEOUT of file pages', (name, api) => {
  interface Place {
    readonly b: FilesBench;
    readonly file: OpenFile;
    readonly at: number;
  }
  /** A file of 16 pages written `chunk` pages at a time, 0: a memfd with nothing in it, mapped as `type`. */
  function start(chunk: number, type: number, sync = true): Place {
    const b = filesBench(name, api);
    const file = chunk === 0 ? api.createMemfd(b.machine) : api.createDiskFile(b.machine, b.device);
    if (chunk === 0) expect(api.ftruncate(file, PAGES * PAGE)).toBe(0);
    else {
      for (let page = 0; page < PAGES; page += chunk) write(b, file, page * PAGE, new Uint8Array(chunk * PAGE).fill(9));
      if (sync) api.fsync(file);
    }
    return { b, file, at: api.mmap(b.process.mm, 0, PAGES * PAGE, RW, type, file, 0) };
  }
  function touch({ b, at }: Place, how: 'peek' | 'poke' = 'peek'): void {
    const cpu = new Cpu(api, b.machine);
    for (let page = 0; page < PAGES; page++) {
      if (how === 'peek') cpu.peek(b.process, at + page * PAGE);
      else cpu.poke(b.process, at + page * PAGE, 1);
    }
  }
  const letters = (has: (page: number) => boolean): string =>
    Array.from({ length: PAGES }, (_, page) => (has(page) ? '1' : '.')).join('');
  function advise(place: Place, advice = MADV_PAGEOUT, first = 0, count = PAGES): [mapped: string, cached: string] {
    const { b, file, at } = place;
    expect(api.madvise(b.process.mm, at + first * PAGE, count * PAGE, advice)).toBe(0);
    api.checkMachine(b.machine);
    return [
      letters((page) => api.translate(b.machine, b.process, at + page * PAGE) >= 0),
      letters((page) => file.inode.pages.has(page)),
    ];
  }

  it.each([1, 4])(
    '6.18: clean and mapped by nobody else: unmapped and out of the file, written %i pages at a time',
    (chunk) => {
      for (const type of [MAP_SHARED, MAP_PRIVATE]) {
        const part = start(chunk, type);
        touch(part);
        expect(advise(part, MADV_PAGEOUT, 4, 4)).toEqual([MIDDLE, MIDDLE]);
        expect(advise(part)).toEqual([NONE, NONE]);
        const { b, at } = part;
        expect(new Cpu(api, b.machine).peek(b.process, at + 5 * PAGE)).toBe(9);
      }
    },
  );

  it('6.18: what is not mapped here, or is mapped elsewhere too, stays; MADV_COLD leaves all', () => {
    expect(advise(start(1, MAP_SHARED))).toEqual([NONE, ALL]);
    const place = start(1, MAP_SHARED);
    touch(place);
    expect(advise(place, MADV_COLD)).toEqual([ALL, ALL]);
    const { b, file } = place;
    touch({ ...place, at: api.mmap(b.process.mm, 0, PAGES * PAGE, RW, MAP_PRIVATE, file, 0) });
    expect(advise(place)).toEqual([ALL, ALL]);
  });

  it('6.18: dirty pages are unmapped and stay in the file, until they are written back', () => {
    const unwritten = start(1, MAP_SHARED, false);
    touch(unwritten);
    expect(advise(unwritten)).toEqual([NONE, ALL]);
    const stored = start(1, MAP_SHARED);
    touch(stored, 'poke');
    expect(advise(stored)).toEqual([NONE, ALL]);
    touch(stored, 'poke');
    expect([api.fsync(stored.file), ...advise(stored)]).toEqual([0, NONE, NONE]);
    expect(new Cpu(api, stored.b.machine).peek(stored.b.process, stored.at)).toBe(1);
  });

  it('6.18: private copies stay mapped: nothing swaps', () => {
    const place = start(1, MAP_PRIVATE);
    touch(place, 'poke');
    expect(advise(place)[0]).toBe(ALL);
  });

  it('6.18: a page that vmsplice holds is unmapped and stays in the file', () => {
    const place = start(1, MAP_SHARED);
    touch(place);
    const { b, at } = place;
    expect(api.vmsplice(api.createPipe(b.machine), b.process, at, 4 * PAGE)).toBe(4 * PAGE);
    expect(advise(place)).toEqual([NONE, '1111............']);
  });

  it('6.18: of a file in memory what was only read goes, what was stored stays', () => {
    const read = start(0, MAP_SHARED);
    touch(read);
    expect(advise(read)).toEqual([NONE, NONE]);
    const stored = start(0, MAP_SHARED);
    touch(stored, 'poke');
    expect(advise(stored)).toEqual([NONE, ALL]);
    expect(new Cpu(api, stored.b.machine).peek(stored.b.process, stored.at)).toBe(1);
  });
});
