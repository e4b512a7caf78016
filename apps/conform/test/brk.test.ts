/**
 * brk(2) between other calls near the heap: data/brk.txt.gz is what native/brk.c printed on Linux 6.18.44, line for line;
 * the model prints the same.
 */
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as plain from '@mmkit/kernel';
import * as coloured from '@mmkit/kernel/sched';
import * as calls from '@mmkit/mm';
import * as colouredCalls from '@mmkit/mm/sched';
import { dataPages } from '@mmkit/aspace';
import { runTask } from '@mmkit/task';
import type { Task } from '@mmkit/task';
import { checkVmaTree } from '@mmkit/vma';
import { readText } from '../src/records.ts';

const PAGE = 4096;
const HEAP = 0x5555_0000_0000;
/** Where the program's own memory is. */
const PROGRAM = 0x7000_0000_0000;
const WINDOW = 16;
const SHOWN = ['lo', 'lf', 'ac', 'dc', 'sl'];

const scripts = readText(resolve(import.meta.dirname, '../data/brk.txt.gz'))
  .trimEnd()
  .split(/\n(?=script )/);

/** The mappings near the heap, from the text of smaps, as native/brk.c prints them. */
function show(process: plain.Process): string {
  let text = ' |';
  for (const block of plain
    .procSmaps(process)
    .split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
    .filter((part) => part !== '')) {
    const [, start, end, rights, name] = /^(\S+)-(\S+) (\S+) \S+ \S+ \S+ *(.*)$/m.exec(block)!;
    const [first, last] = [start!, end!].map((address) => (Number.parseInt(address, 16) - HEAP) / PAGE);
    const flags = /^VmFlags:(.*)$/m.exec(block)![1]!.trim().split(' ');
    if (last! <= -WINDOW || first! >= 1000) continue;
    text += ` ${[`${first},${last},${rights}${name}`, ...SHOWN.filter((flag) => flags.includes(flag))].join(',')}`;
  }
  return text;
}

/** One call in words to the model: its result. `api`: the calls of either build, as plain functions. */
function call(
  api: typeof calls & typeof plain,
  machine: plain.Machine,
  process: plain.Process,
  words: string[],
): number {
  const { mm } = process;
  const [name, ...rest] = words;
  const [a, b, c, d] = rest.map(Number) as [number, number, number, number];
  const at = HEAP + a * PAGE;
  switch (name) {
    case 'brk':
      return api.brk(mm, HEAP + a) - HEAP;
    case 'munmap':
      return api.munmap(mm, at, b * PAGE);
    case 'mmap': {
      const grows = d === 1 ? api.MAP_GROWSDOWN : 0;
      const flags = api.MAP_PRIVATE | api.MAP_ANONYMOUS | api.MAP_FIXED_NOREPLACE | grows;
      const result = api.mmap(mm, at, b * PAGE, c, flags);
      return result < 0 ? result : 0;
    }
    case 'mprotect':
      return api.mprotect(mm, at, b * PAGE, c);
    case 'madvise':
      return api.madvise(mm, at, b * PAGE, c);
    case 'mseal':
      return api.mseal(mm, at, b * PAGE, 0);
    case 'lock':
      if (a === 0) return api.munlockall(mm);
      return api.mlockall(mm, a === 1 ? api.MCL_FUTURE : api.MCL_FUTURE | api.MCL_ONFAULT);
    case 'touch':
      return api.processVmWritev(machine, process, at, new Uint8Array(1), 0, 1);
    case 'memlock':
      mm.rlimitMemlock = a * PAGE;
      return 0;
    case 'as':
      mm.rlimitAs = (mm.vmas.totalPages + a) * PAGE;
      return 0;
    case 'data':
      mm.rlimitData = rest[0] === 'none' ? 0 : (dataPages(mm) + a) * PAGE;
      return 0;
    case 'fork':
      return api.forkProcess(machine, process).process!.mm.brk - HEAP;
    default:
      throw new Error(`what is ${name}?`);
  }
}

/** The sched build's calls as plain functions, each a task of its own. */
function driven(machine: plain.Machine): typeof calls & typeof plain {
  const all = { ...calls, ...plain, ...colouredCalls, ...coloured };
  const entries = Object.entries(all).map(([name, value]) => {
    const generator = typeof value === 'function' && value.constructor.name === 'GeneratorFunction';
    const run = (...args: never[]): unknown =>
      runTask(machine.sched, (value as unknown as (...args: never[]) => Task<unknown>)(...args));
    return [name, generator ? run : value];
  });
  return Object.fromEntries(entries) as typeof calls & typeof plain;
}

function answers(build: string, recorded: string[]): string[] {
  const machine = (build === 'plain' ? plain : coloured).createMachine({ ramBytes: 1024 * PAGE, cpus: 1 });
  const api = build === 'plain' ? { ...calls, ...plain } : driven(machine);
  const process = api.createProcess(machine)!;
  const { mm } = process;
  const [first, ...lines] = recorded;
  const [, , kind, data] = first!.split(' ').map(Number);
  // What the program has besides counts as its data.
  api.mmap(
    mm,
    PROGRAM,
    data! * PAGE,
    api.PROT_READ | api.PROT_WRITE,
    api.MAP_PRIVATE | api.MAP_ANONYMOUS | api.MAP_FIXED,
  );
  mm.startBrk = HEAP;
  mm.brk = HEAP;
  mm.capIpcLock = kind !== 1;
  const found = lines.map((line) => {
    const asked = line.slice(0, line.indexOf(' = '));
    const result = call(api, machine, process, asked.split(' '));
    checkVmaTree(mm.vmas);
    return `${asked} = ${result}${show(process)}`;
  });
  api.checkMachine(machine);
  return [first!, ...found];
}

describe.each(['plain', 'sched'])('%s', (build) => {
  it(`sys_brk, as a program asked 6.18: ${scripts.length} scripts of random calls near the heap`, () => {
    expect(scripts.length).toBe(150);
    for (const script of scripts) expect(answers(build, script.split('\n')).join('\n')).toBe(script);
  });
});
