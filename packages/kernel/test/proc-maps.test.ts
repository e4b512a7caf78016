/** /proc/PID/maps, compared with the text that a C program's own had on Linux 6.18.44 (inode numbers are the model's). */
import { describe, expect, it } from 'vitest';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_GROWSDOWN, MAP_PRIVATE, MAP_SHARED } from '@mmkit/mm';
import { PROT_EXEC, PROT_READ } from '@mmkit/mm';
import { builds, PAGE, RW, thrown } from './builds.ts';

const BASE = 0x2_0000_0000;
const FIXED = MAP_PRIVATE | MAP_FIXED;

/** As printed, but for the inode numbers, which were 1025, 1026, 1027 and 15343617. */
const RECORDED = `\
200000000-200001000 rw-p 00000000 00:00 0 
200001000-200002000 r--p 00000000 00:00 0 
200002000-200004000 rw-p 00000000 00:00 0 
200008000-20000a000 rw-s 00000000 00:01 1                                /dev/zero (deleted)
20000c000-20000e000 rw-s 00002000 00:01 2                                /memfd:buf (deleted)
200010000-200012000 r--p 00000000 00:01 2                                /memfd:buf (deleted)
200014000-200015000 r-xs 00000000 00:01 3                                /memfd: (deleted)
200018000-200019000 rw-s 00001000 fe:00 4                                /var/tmp/mk-file
20001c000-20001e000 ---p 00000000 fe:00 4                                /var/tmp/mk-file
200020000-200022000 rw-p 00000000 00:00 0 
`;

describe.each(builds)('%s', (_name, api) => {
  it('6.18: anonymous memory, shared memory, memfds, a file on a disk', () => {
    const machine = api.createMachine({ ramBytes: 64 * PAGE, cpus: 1 });
    const process = api.createProcess(machine)!;
    const { mm } = process;
    expect(api.procMaps(process)).toBe('');
    const map = (
      at: number,
      pages: number,
      prot: number,
      flags: number,
      file: Parameters<typeof api.mmap>[5],
      from = 0,
    ) => expect(api.mmap(mm, BASE + at * PAGE, pages * PAGE, prot, flags, file, from * PAGE)).toBe(BASE + at * PAGE);
    map(0, 4, RW, FIXED | MAP_ANONYMOUS, null);
    expect(api.mprotect(mm, BASE + PAGE, PAGE, PROT_READ)).toBe(0);
    map(8, 2, RW, MAP_SHARED | MAP_FIXED | MAP_ANONYMOUS, null);
    const named = api.createMemfd(machine, 8 * PAGE, 0, 'buf');
    map(12, 2, RW, MAP_SHARED | MAP_FIXED, named, 2);
    map(16, 2, PROT_READ, FIXED, named);
    map(20, 1, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, api.createMemfd(machine, PAGE));
    const disk = createBlockDevice(machine.sched, machine.memory.phys, createMemoryBackend(new Uint8Array(8 * PAGE)));
    const file = api.createDiskFile(machine, disk, { size: 8 * PAGE, path: '/var/tmp/mk-file' });
    map(24, 1, RW, MAP_SHARED | MAP_FIXED, file, 1);
    map(28, 2, 0, FIXED, file);
    map(32, 2, RW, FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN, null);
    expect(api.procMaps(process)).toBe(RECORDED);
    const { process: child } = api.forkProcess(machine, process);
    expect(api.procMaps(child!)).toBe(RECORDED);
  });

  it('6.18: every VMA without a file that overlaps the heap is [heap]', () => {
    const machine = api.createMachine({ ramBytes: 64 * PAGE, cpus: 1 });
    const process = api.createProcess(machine)!;
    const { mm } = process;
    mm.startBrk = BASE;
    mm.brk = BASE;
    expect(api.mmap(mm, BASE - PAGE, PAGE, RW, FIXED | MAP_ANONYMOUS, null)).toBe(BASE - PAGE);
    expect(api.brk(mm, BASE + 2 * PAGE + 1)).toBe(BASE + 2 * PAGE + 1);
    expect(api.mprotect(mm, BASE, PAGE, PROT_READ)).toBe(0);
    const named = (line: string): string => `${line.padEnd(73)}[heap]\n`;
    expect(api.procMaps(process)).toBe(
      '1fffff000-200000000 rw-p 00000000 00:00 0 \n' +
        named('200000000-200001000 r--p 00000000 00:00 0 ') +
        named('200001000-200003000 rw-p 00000000 00:00 0 '),
    );
    expect(api.procSmaps(process)).toContain(named('200001000-200003000 rw-p 00000000 00:00 0 '));
    expect(api.procStatus(machine, process)).toContain('VmData:\t      12 kB\n');
  });

  it('6.18: [stack] is the VMA in which the stack began; what mprotect has cut off below has no name; a child too', () => {
    const machine = api.createMachine({ ramBytes: 64 * PAGE, cpus: 1 });
    const process = api.createProcess(machine)!;
    const { mm } = process;
    expect(api.mmap(mm, BASE, 8 * PAGE, RW, FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN, null)).toBe(BASE);
    mm.startStack = BASE + 8 * PAGE - 16;
    const named = (line: string): string => `${line.padEnd(73)}[stack]\n`;
    expect(api.procMaps(process)).toBe(named('200000000-200008000 rw-p 00000000 00:00 0 '));
    expect(api.mprotect(mm, BASE + PAGE, PAGE, PROT_READ)).toBe(0);
    const text =
      '200000000-200001000 rw-p 00000000 00:00 0 \n200001000-200002000 r--p 00000000 00:00 0 \n' +
      named('200002000-200008000 rw-p 00000000 00:00 0 ');
    expect(api.procMaps(process)).toBe(text);
    expect(api.procSmaps(process)).toContain(
      `${named('200002000-200008000 rw-p 00000000 00:00 0 ')}Size:                 24 kB\n`,
    );
    expect(api.procMaps(api.forkProcess(machine, process).process!)).toBe(text);
  });

  it('a disk by its number; a file without a path by its inode; a name too long; after exit', () => {
    const machine = api.createMachine({ ramBytes: 64 * PAGE, cpus: 1 });
    const process = api.createProcess(machine)!;
    const { sched, memory } = machine;
    const backend = createMemoryBackend(new Uint8Array(PAGE));
    const disk = createBlockDevice(sched, memory.phys, backend, { major: 7, minor: 17 });
    const file = api.createDiskFile(machine, disk, { size: PAGE });
    api.mmap(process.mm, BASE, PAGE, PROT_READ, FIXED, file);
    const line = '200000000-200001000 r--p 00000000 07:11 1                                /file1\n';
    expect(api.procMaps(process)).toBe(line);
    expect(() => createBlockDevice(sched, memory.phys, backend, { major: 4096 })).toThrow('major');
    expect(() => createBlockDevice(sched, memory.phys, backend, { minor: -1 })).toThrow('minor');
    expect(() => api.createMemfd(machine, 0, 0, 'x'.repeat(250))).toThrow('name');
    api.exitProcess(machine, process);
    expect(thrown(() => api.procMaps(process))).toBe('PROCESS_GONE');
  });
});
