/** Large folios of a mapped disk file, as a program saw them on 6.18 by pagemap, kpageflags and cachestat. */
import { describe, expect, it } from 'vitest';
import { linux6_12 } from '@mmkit/aspace';
import type { OpenFile } from '@mmkit/filemap';
import { MADV_COLD, MADV_PAGEOUT, MAP_PRIVATE, MAP_SHARED } from '@mmkit/mm';
import { folioNrPages, getPage, PG_DIRTY, putPage, testFlag } from '@mmkit/phys';
import { builds, Cpu, PAGE, RW } from './builds.ts';
import { filesBench, stat, write } from './files-bench.ts';
import type { FilesBench } from './files-bench.ts';

const PAGES = 16;

describe.each(builds)('%s build: large folios of a mapped file', (name, api) => {
  /** A file of 16 pages in one clean folio, mapped twice by one process; shared, all touched, and private, page 1 a copy. */
  function start(): { b: FilesBench; file: OpenFile; shared: number; own: number } {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device);
    write(b, file, 0, new Uint8Array(PAGES * PAGE).fill(9));
    api.fsync(file);
    const map = (type: number): number => api.mmap(b.process.mm, 0, PAGES * PAGE, RW, type, file, 0);
    const at = { b, file, shared: map(MAP_SHARED), own: map(MAP_PRIVATE) };
    const cpu = new Cpu(api, b.machine);
    for (let page = 0; page < PAGES; page++) expect(cpu.peek(b.process, at.shared + page * PAGE)).toBe(9);
    cpu.poke(b.process, at.own + PAGE, 7);
    expect([present(b, at.shared), folios(b, file), stat(b, file)]).toEqual(['1'.repeat(16), '16', [16, 0]]);
    return at;
  }
  function present(b: FilesBench, at: number): string {
    return Array.from({ length: PAGES }, (_, page) =>
      api.translate(b.machine, b.process, at + page * PAGE) < 0 ? '.' : '1',
    ).join('');
  }
  function folios(b: FilesBench, file: OpenFile): string {
    const parts: number[] = [];
    for (let index = 0; index < PAGES; index += parts.at(-1)!) {
      const pfn = file.inode.pages.get(index);
      parts.push(pfn === undefined ? 1 : folioNrPages(b.machine.memory.phys, pfn));
    }
    return parts.join(' ');
  }

  it('a store makes the whole folio dirty, and so each entry that maps a page of it', () => {
    const { b, file, shared } = start();
    const cpu = new Cpu(api, b.machine);
    cpu.poke(b.process, shared + 2 * PAGE, 5);
    expect(stat(b, file)).toEqual([16, 16]);
    expect([api.fsync(file), stat(b, file), b.disk[2 * PAGE]]).toEqual([0, [16, 0], 5]);
    api.checkMachine(b.machine);
  });

  it('a fault reads a folio in that was written in part, and keeps what was written', () => {
    const b = filesBench(name, api);
    const file = api.createDiskFile(b.machine, b.device, { size: 16 * PAGE, offset: 0 });
    const end = b.address + 8 * PAGE;
    new Cpu(api, b.machine).poke(b.process, end - PAGE, 77);
    expect(api.writeFile(b.machine, b.process, file, 0, end - PAGE, 8 * PAGE)).toBe(PAGE);
    expect(stat(b, file)).toEqual([8, 8]);
    const at = api.mmap(b.process.mm, 0, PAGES * PAGE, RW, MAP_SHARED, file, 0);
    const cpu = new Cpu(api, b.machine);
    expect([cpu.peek(b.process, at), cpu.peek(b.process, at + PAGE)]).toEqual([77, b.disk[PAGE]]);
    expect(folios(b, file)).toBe('8 1 1 1 1 1 1 1 1');
    api.checkMachine(b.machine);
  });

  it.each(['ftruncate', 'hole'])(
    '%s through the folio unmaps all of it, dirty or clean; private copies stay',
    (how) => {
      for (const dirty of [false, true]) {
        const { b, file, shared, own } = start();
        if (dirty) write(b, file, 2 * PAGE, new Uint8Array(PAGE).fill(6));
        if (how === 'hole') b.filemap.punchHole(file.inode, 4 * PAGE, 2 * PAGE);
        else api.ftruncate(file, 8 * PAGE + 10);
        expect([present(b, shared), present(b, own)]).toEqual(['.'.repeat(16), `.1${'.'.repeat(14)}`]);
        expect(folios(b, file).startsWith(dirty ? '16' : '4 1 1')).toBe(dirty || how === 'hole');
        expect(new Cpu(api, b.machine).peek(b.process, shared)).toBe(9);
        api.checkMachine(b.machine);
      }
    },
  );

  it.each([MADV_COLD, MADV_PAGEOUT])(
    'advice %i for a part splits it into single pages, which nobody maps then',
    (advice) => {
      const { b, file, shared, own } = start();
      expect(api.madvise(b.process.mm, shared + 4 * PAGE, 2 * PAGE, advice)).toBe(0);
      expect([folios(b, file), present(b, shared)]).toEqual([Array(16).fill(1).join(' '), '.'.repeat(16)]);
      expect([present(b, own), stat(b, file)]).toEqual([`.1${'.'.repeat(14)}`, [16, 0]]);
      expect(new Cpu(api, b.machine).peek(b.process, shared + 5 * PAGE)).toBe(9);
      api.checkMachine(b.machine);
    },
  );

  it('not for all of it, a dirty one, one that is held, or one that another process maps', () => {
    const cases: [string, (at: ReturnType<typeof start>) => void][] = [
      ['dirty', ({ b, file }) => write(b, file, 2 * PAGE, new Uint8Array(PAGE).fill(6))],
      ['held', ({ b, file }) => getPage(b.machine.memory.phys, file.inode.pages.get(9)!)],
      ['shared', ({ b }) => void api.forkProcess(b.machine, b.process)],
      ['whole', () => {}],
    ];
    for (const [what, before] of cases) {
      const at = start();
      const { b, file, shared } = at;
      before(at);
      if (what === 'shared') {
        const child = [...b.machine.processes.values()].at(-1)!;
        for (let page = 0; page < PAGES; page++) new Cpu(api, b.machine).peek(child, shared + page * PAGE);
      }
      const [from, pages] = what === 'whole' ? [0, PAGES] : [4, 2];
      expect(api.madvise(b.process.mm, shared + from * PAGE, pages * PAGE, MADV_COLD)).toBe(0);
      expect([what, folios(b, file), present(b, shared)]).toEqual([what, '16', '1'.repeat(16)]);
      if (what === 'held') putPage(b.machine.memory.phys, file.inode.pages.get(9)!);
      api.checkMachine(b.machine);
    }
  });

  it('dirty alone what a hole takes, and held: the folio leaves the file whole', () => {
    const { b, file } = start();
    write(b, file, 5 * PAGE, new Uint8Array(PAGE).fill(6));
    const held = file.inode.pages.get(1)!;
    getPage(b.machine.memory.phys, held);
    b.filemap.punchHole(file.inode, 4 * PAGE, 4 * PAGE);
    expect([stat(b, file), testFlag(b.machine.memory.phys, held, PG_DIRTY)]).toEqual([[0, 0], false]);
    putPage(b.machine.memory.phys, held);
    api.checkMachine(b.machine);
  });

  it('largeFolios: not on 6.12', () => {
    const machine = api.createMachine({ ramBytes: 64 * PAGE, policy: linux6_12 });
    expect(machine.memory.files.maxOrder).toBe(0);
    expect(api.createMachine({ ramBytes: 64 * PAGE }).memory.files.maxOrder).toBe(9);
  });
});
