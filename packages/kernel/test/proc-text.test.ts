/**
 * smaps, status, pagemap and vmstat, compared with what Linux 6.18.44 wrote for a C program: data/proc.c and what it printed,
 * data/proc.txt.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FOLL_WRITE } from '@mmkit/base';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import type { OpenFile } from '@mmkit/filemap';
import type { Machine, Process } from '@mmkit/kernel';
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_HUGEPAGE,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MAP_NORESERVE,
  MAP_SHARED,
  MAP_ANONYMOUS,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  MAP_PRIVATE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
} from '@mmkit/mm';
import { PG_WRITEBACK, setFlag } from '@mmkit/phys';
import { ANON, builds, Cpu, PAGE, RW, thrown } from './builds.ts';
import type { Api } from './builds.ts';

const BASE = 0x2_0000_0000;
const DATA = join(import.meta.dirname, 'data');

/** The recorded parts by title. */
const recorded = new Map(
  readFileSync(join(DATA, 'proc.txt'), 'utf8')
    .split(/^== /m)
    .slice(1)
    .map((part): [string, string] => {
      const end = part.search(part.startsWith('smaps') ? /\n/ : /:/);
      return [part.slice(0, end), part.slice(end + 1)];
    }),
);

/** The program of proc.c in a process of its own. */
class Program {
  readonly api: Api;
  readonly machine: Machine;
  readonly process: Process;
  readonly cpu: Cpu;

  constructor(api: Api) {
    this.api = api;
    this.machine = api.createMachine({ ramBytes: 32 << 20 });
    this.process = api.createProcess(this.machine)!;
    this.cpu = new Cpu(api, this.machine);
  }

  at(page: number): number {
    return BASE + page * PAGE;
  }

  put(...pages: number[]): void {
    for (const page of pages) this.cpu.poke(this.process, this.at(page), 1);
  }

  get(page: number): void {
    this.cpu.peek(this.process, this.at(page));
  }

  map(page: number, pages: number, prot: number, flags: number, file: OpenFile | null = null, offset = 0): void {
    const at = this.at(page);
    const mapped = this.api.mmap(this.process.mm, at, pages * PAGE, prot, flags | MAP_FIXED, file, offset * PAGE);
    if (mapped !== at) throw new Error(`mmap: ${mapped}`);
  }

  madvise(page: number, pages: number, advice: number): void {
    const error = this.api.madvise(this.process.mm, this.at(page), pages * PAGE, advice);
    if (error !== 0) throw new Error(`madvise: ${error}`);
  }

  /** Everything up to the first print. */
  start(): void {
    const { api, machine } = this;
    this.map(0, 8, RW, ANON);
    this.put(0, 1);
    this.get(2);
    this.map(16, 4, PROT_NONE, ANON);
    const mem = api.createMemfd(machine, 8 * PAGE, 0, 'buf');
    this.map(32, 4, RW, MAP_SHARED, mem);
    this.put(32);
    this.get(33);
    this.map(48, 4, RW, MAP_PRIVATE, mem);
    this.get(48);
    this.put(49);
    this.map(64, 4, RW, MAP_SHARED | MAP_ANONYMOUS);
    this.put(64);
    this.map(80, 2, RW, ANON);
    api.mlock(this.process.mm, this.at(80), 2 * PAGE);
    this.map(96, 2, RW, ANON);
    this.put(96, 97);
    this.madvise(96, 2, MADV_FREE);
    this.put(97);
    this.map(112, 3, RW, ANON);
    this.put(112, 113);
    this.madvise(113, 1, MADV_GUARD_INSTALL);
    this.map(128, 2, RW, ANON | MAP_GROWSDOWN);
    this.put(129);
    this.map(144, 2, RW, ANON | MAP_NORESERVE);
    const disk = this.fileOnDisk();
    this.map(160, 4, RW, MAP_SHARED, disk);
    this.get(160);
    this.put(161);
    this.map(176, 4, PROT_READ, MAP_PRIVATE, disk, 4);
    this.get(176);
    this.map(192, 4, PROT_READ | PROT_EXEC, MAP_PRIVATE, disk);
    this.get(192);
    this.map(512, 1024, RW, ANON);
    this.madvise(512, 1024, MADV_HUGEPAGE);
    this.put(512);
  }

  /** 8 pages, written one by one by another process, and clean again. */
  fileOnDisk(): OpenFile {
    const { api, machine } = this;
    const { sched, memory } = machine;
    const device = createBlockDevice(sched, memory.phys, createMemoryBackend(new Uint8Array(16 * PAGE)));
    const file = api.createDiskFile(machine, device, { path: '/var/tmp/mk-file' });
    const writer = api.createProcess(machine)!;
    const from = api.mmap(writer.mm, 0, 8 * PAGE, RW, ANON);
    for (let at = 0; at < 8 * PAGE; at += PAGE) api.writeFile(machine, writer, file, at, from, PAGE);
    api.fsync(file);
    api.exitProcess(machine, writer);
    return file;
  }

  /** The rows of status that proc.c prints, as it prints them. */
  status(): string {
    const text = this.api.procStatus(this.machine, this.process);
    const names = ['VmPeak', 'VmSize', 'VmLck', 'VmPin', 'RssShmem', 'VmData', 'VmStk', 'VmExe', 'VmLib', 'VmPTE'];
    return `${[...names, 'VmSwap'].map((name) => ` ${name} ${kilobytes(text, name)}`).join('')}\n`;
  }

  /** Words of pagemap as proc.c prints them. */
  pagemap(page: number, pages: number): string {
    const words = this.api.procPagemap(this.process, this.at(page), pages);
    const text = [...words].map((word) => {
      const low = word & ((1n << 55n) - 1n);
      const mark = word >> 62n === 1n ? `!${low.toString(16)}` : low !== 0n ? '+' : '';
      return ` ${(word >> 55n).toString(16)}${mark}`;
    });
    return `${text.join('')}\n`;
  }
}

/** A figure of status. */
function kilobytes(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\t *(\\d+) kB$`, 'm').exec(text)![1]);
}

/** The sum of a row of smaps, kB. */
function sum(smaps: string, name: string): number {
  return [...smaps.matchAll(new RegExp(`^${name}: +(\\d+) kB$`, 'gm'))].reduce((all, [, kB]) => all + Number(kB), 0);
}

/** Names in the order of a text of `name value` lines. */
function names(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/[:\s]/)[0]!);
}

/** The lines with N for each figure, one of kB as wide as it was. */
function figureless(text: string): string[] {
  return text
    .replaceAll(/ *\d+ kB/g, (figure) => 'N kB'.padStart(figure.length))
    .replaceAll(/\d+/g, 'N')
    .split('\n');
}

describe.each(builds)('%s: /proc', (_name, api) => {
  it('6.18: smaps, status and pagemap of every kind of memory, before and after fork, a split and an unmap', () => {
    const program = new Program(api);
    program.start();
    const expectPrinted = (title: string): void => {
      const smaps = api.procSmaps(program.process);
      expect(smaps).toBe(recorded.get(`smaps ${title}`));
      expect(program.status()).toBe(recorded.get(`status ${title}`));
      const status = api.procStatus(program.machine, program.process);
      expect(kilobytes(status, 'VmRSS')).toBe(sum(smaps, 'Rss'));
      expect(kilobytes(status, 'RssAnon')).toBe(sum(smaps, 'Anonymous'));
    };
    expectPrinted('one');
    const places: readonly (readonly [string, number, number])[] = [
      ['anon', 0, 8],
      ['memfd', 32, 4],
      ['private', 48, 4],
      ['free', 96, 2],
      ['guard', 112, 3],
      ['disk', 160, 4],
      ['huge', 1023, 2],
    ];
    for (const [title, page, pages] of places.filter(([title]) => title !== 'anon')) {
      expect([title, program.pagemap(page, pages)]).toEqual([title, recorded.get(`pagemap ${title} ${page}`)]);
    }
    // Printed twice in proc.txt, before and after fork; the map has the later one.
    expect([program.pagemap(0, 8), program.pagemap(511, 3)]).toEqual([' 102+ 102+ 100+ 0 0 0 0 0\n', ' 0 102+ 102+\n']);
    expect(api.forkProcess(program.machine, program.process).error).toBe(0);
    program.put(0);
    expectPrinted('two');
    expect(program.pagemap(0, 8)).toBe(recorded.get('pagemap anon 0'));
    expect(program.pagemap(511, 3)).toBe(recorded.get('pagemap huge 511'));
    expect(api.mprotect(program.process.mm, program.at(600), PAGE, PROT_READ)).toBe(0);
    expectPrinted('three');
    expect(program.pagemap(599, 3)).toBe(recorded.get('pagemap huge 599'));
    expect(api.munmap(program.process.mm, program.at(512), 1024 * PAGE)).toBe(0);
    expect(program.status()).toBe(recorded.get('status four'));
    api.checkMachine(program.machine);
  });

  it('status: every line of 6.18, in its order and form', () => {
    const { machine, process } = new Program(api);
    process.comm = 'cat';
    process.capIpcLock = true;
    const text = api.procStatus(machine, process);
    const ours = figureless(text);
    const theirs = readFileSync(join(DATA, 'status.txt'), 'utf8');
    expect(names(text)).toEqual(names(theirs));
    const same =
      /^(Name|Umask|State|TracerPid|[UG]id|Groups|Kthread|Vm|Rss|Huge|Core|THP|untag|Threads|Sig[PBC]|ShdPnd|CapInh|CapAmb|NoNew|Mems_allowed:)/;
    const expected = figureless(theirs);
    expect(ours.filter((line) => same.test(line))).toEqual(expected.filter((line) => same.test(line)));
    expect(text).toContain(`Tgid:\t1\n`);
    expect(text).toContain('CapPrm:\t0000000000004000\nCapEff:\t0000000000004000\n');
    expect(text).toContain('Cpus_allowed:\t1\nCpus_allowed_list:\t0\n');
    expect(text).toMatch(/Mems_allowed:\t(00000000,){31}00000001\nMems_allowed_list:\t0\n/);
  });

  it('status: parents, and whose name a child has', () => {
    const { machine, process } = new Program(api);
    process.comm = 'sh';
    const child = api.forkProcess(machine, process).process!;
    const grandchild = api.forkProcess(machine, child).process!;
    expect(api.procStatus(machine, grandchild)).toMatch(/^Name:\tsh\n[^]*\nPid:\t3\nPPid:\t2\n/);
    api.exitProcess(machine, child);
    expect(api.procStatus(machine, grandchild)).toContain('\nPPid:\t1\n');
    expect(api.procStatus(machine, process)).toContain('\nPPid:\t0\n');
    for (const call of [
      () => api.procStatus(machine, child),
      () => api.procSmaps(child),
      () => api.procPagemap(child, 0, 1),
    ])
      expect(thrown(call)).toBe('PROCESS_GONE');
  });

  it('6.18: Referenced: by the entry, or once O_DIRECT has looked the page up', () => {
    const program = new Program(api);
    const referenced = (): number => sum(api.procSmaps(program.process), 'Referenced');
    program.map(0, 1, RW, ANON);
    program.put(0);
    expect(referenced()).toBe(4);
    program.madvise(0, 1, MADV_FREE);
    expect(referenced()).toBe(0);
    const pages = new Uint32Array(1);
    expect(api.pinUserPagesFast(program.process.mm, BASE, 1, 0, pages)).toBe(1);
    expect(referenced()).toBe(4);
  });

  it('status: what may be written and executed is data; a process without huge pages', () => {
    const program = new Program(api);
    program.map(0, 2, RW | PROT_EXEC, ANON);
    program.process.mm.thpDisabled = true;
    const text = api.procStatus(program.machine, program.process);
    expect([kilobytes(text, 'VmData'), kilobytes(text, 'VmLib')]).toEqual([8, 0]);
    expect(text).toContain('\nTHP_enabled:\t0\n');
  });

  it('VmPin: pages registered for long; VmHWM: the most there were', () => {
    const program = new Program(api);
    const { machine, process } = program;
    program.map(0, 8, RW, ANON);
    program.put(0, 1, 2, 3);
    const ring = api.createIoUring(machine);
    expect(api.registerBuffers(ring, process, [{ address: BASE, length: 2 * PAGE }])).toBe(0);
    expect(kilobytes(api.procStatus(machine, process), 'VmPin')).toBe(8);
    api.unregisterBuffers(ring);
    program.madvise(1, 3, MADV_DONTNEED);
    const text = api.procStatus(machine, process);
    expect([kilobytes(text, 'VmPin'), kilobytes(text, 'VmRSS'), kilobytes(text, 'VmHWM')]).toEqual([0, 4, 16]);
    program.put(1, 2, 3, 4);
    expect(kilobytes(api.procStatus(machine, process), 'VmHWM')).toBe(20);
  });

  it('6.18: VmPeak is what was mapped at a time; both places of a move count once, as does what is mapped over', () => {
    const program = new Program(api);
    const { machine, process } = program;
    const peak = (): number[] => {
      const text = api.procStatus(machine, process);
      return [kilobytes(text, 'VmPeak'), kilobytes(text, 'VmSize')];
    };
    const move = (from: number, pages: number, to: number, long: number): void => {
      const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
      const moved = api.mremap(process.mm, program.at(from), pages * PAGE, long * PAGE, flags, program.at(to));
      expect(moved).toBe(program.at(to));
    };
    program.map(0, 256, RW, ANON);
    program.map(0x1000, 1024, PROT_NONE, ANON | MAP_NORESERVE);
    expect(peak()).toEqual([5120, 5120]);
    api.munmap(process.mm, program.at(0x1000), 1024 * PAGE);
    expect(peak()).toEqual([5120, 1024]);
    program.map(0x2000, 1024, RW, ANON);
    move(0, 256, 0x1000, 256);
    expect(peak()).toEqual([5120, 5120]);
    move(0x1000, 256, 0x1400, 512);
    expect(peak()).toEqual([6144, 6144]);
    program.map(0x1400, 512, RW, ANON);
    expect(peak()).toEqual([6144, 6144]);
    api.munmap(process.mm, program.at(0x1402), PAGE);
    expect(peak()).toEqual([6144, 6140]);
    // A child begins with what it has.
    const child = api.forkProcess(machine, process).process!;
    expect(kilobytes(api.procStatus(machine, child), 'VmPeak')).toBe(6140);
  });

  it('vmstat: every line of 6.18 in its order; what the machine knows', () => {
    const program = new Program(api);
    const { machine, process } = program;
    program.start();
    const pages = new Uint32Array(3);
    expect(api.pinUserPagesFast(process.mm, BASE, 3, FOLL_WRITE, pages)).toBe(3);
    api.unpinUserPages(machine.memory, pages, 1);
    const text = api.procVmstat(machine);
    expect(names(text)).toEqual(names(readFileSync(join(DATA, 'vmstat.txt'), 'utf8')));
    const value = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)![1]);
    const smaps = api.procSmaps(process);
    const { phys, stat } = machine.memory;
    expect(value('nr_foll_pin_acquired') - value('nr_foll_pin_released')).toBe(2);
    expect([value('pgfault'), value('pgmajfault')]).toEqual([stat.pgfault, stat.pgmajfault]);
    expect([value('thp_fault_alloc'), value('thp_split_pmd'), value('thp_zero_page_alloc')]).toEqual([1, 0, 0]);
    expect([value('nr_anon_pages'), value('nr_anon_transparent_hugepages')]).toEqual([sum(smaps, 'Anonymous') / 4, 1]);
    // 2 pages of the memfd, 8 of the disk, one of shared anonymous memory.
    expect([value('nr_file_pages'), value('nr_shmem'), value('nr_mapped')]).toEqual([11, 3, 11]);
    expect([value('nr_dirty'), value('nr_writeback'), value('nr_mlock')]).toEqual([1, 0, 2]);
    expect(value('nr_zone_write_pending')).toBe(1);
    expect(value('nr_page_table_pages')).toBe(kilobytes(api.procStatus(machine, process), 'VmPTE') / 4 + 1);
    expect(value('nr_free_pages')).toBe(phys.zones.reduce((free, zone) => free + zone.free, 0));
    expect(value('nr_free_pages_blocks')).toBeGreaterThan(0);
    expect(value('nr_free_pages_blocks') % 2 ** phys.pageblockOrder).toBe(0);
    setFlag(phys, pages[0]!, PG_WRITEBACK);
    expect(api.procVmstat(machine)).toContain('\nnr_writeback 1\n');
    expect(value('nr_zone_unevictable')).toBe(value('nr_unevictable'));
    expect(value('pswpout')).toBe(0);
  });

  it('pagemap: a range inside a huge page; nothing mapped; ranges that are not user memory', () => {
    const program = new Program(api);
    const { process } = program;
    program.map(512, 512, RW, ANON);
    program.madvise(512, 512, MADV_HUGEPAGE);
    program.put(512);
    const first = api.procPagemap(process, program.at(512), 1)[0]!;
    expect([...api.procPagemap(process, program.at(700) + 5, 2)]).toEqual([first + 188n, first + 189n]);
    expect([...api.procPagemap(process, 0, 2)]).toEqual([0n, 0n]);
    expect(() => api.procPagemap(process, -1, 1)).toThrow('address');
    expect(() => api.procPagemap(process, 0, 2 ** 40)).toThrow('pages');
  });
});
