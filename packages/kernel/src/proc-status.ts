/**
 * /proc/PID/status (Linux: proc_pid_status, task_mem), every line that 6.18 prints. Shared by both builds.
 *
 * A process of ours has no threads, signals, groups, descriptors or namespaces: those lines are as of a task that has none.
 */
import { dataPages, MM_ROOT } from '@mmkit/aspace';
import type { Mm } from '@mmkit/aspace';
import { createDecoded, createEntry, ENTRY_TABLE, readEntry } from '@mmkit/pgtable';
import { COLD_NEXT, COLD_PRIVATE, COLD_WORDS } from '@mmkit/phys';
import { VM_EXEC, VM_GROWSDOWN, VM_WRITE, vmasIn } from '@mmkit/vma';
import type { Machine } from './machine.ts';
import { checkAlive, Process } from './process.ts';

/** Number of CAP_IPC_LOCK. */
const CAP_IPC_LOCK = 14;
/** Words of 32 nodes that Mems_allowed has (MAX_NUMNODES 1024). */
const NODE_WORDS = 32;

/** The text of /proc/PID/status. */
export function procStatus(machine: Machine, process: Process): string {
  checkAlive(process);
  const { pid, parent, comm } = process;
  // Orphans belong to init.
  const ppid = parent === null ? 0 : parent.exited ? 1 : parent.pid;
  const capabilities = process.capIpcLock ? mask(1 << CAP_IPC_LOCK) : mask(0);
  const cpus = machine.sched.cpus.length;
  const nodes = machine.memory.phys.nodes.length;
  const rows: readonly (readonly [string, string | number])[] = [
    ['Name', comm],
    ['Umask', '0022'],
    ['State', 'R (running)'],
    ['Tgid', pid],
    ['Ngid', 0],
    ['Pid', pid],
    ['PPid', ppid],
    ['TracerPid', 0],
    ['Uid', '0\t0\t0\t0'],
    ['Gid', '0\t0\t0\t0'],
    ['FDSize', 0],
    ['Groups', ' '],
    ['NStgid', pid],
    ['NSpid', pid],
    ['NSpgid', 0],
    ['NSsid', 0],
    ['Kthread', 0],
    ...memoryRows(process.mm),
    ['CoreDumping', 0],
    ['THP_enabled', process.mm.thpDisabled ? 0 : 1],
    ['untag_mask', '0xffffffffffffffff'],
    ['Threads', 1],
    ['SigQ', '0/0'],
    ...['SigPnd', 'ShdPnd', 'SigBlk', 'SigIgn', 'SigCgt', 'CapInh'].map((name) => [name, mask(0)] as const),
    ...['CapPrm', 'CapEff', 'CapBnd'].map((name) => [name, capabilities] as const),
    ['CapAmb', mask(0)],
    ['NoNewPrivs', 0],
    ['Seccomp', 0],
    ['Seccomp_filters', 0],
    ['Speculation_Store_Bypass', 'not vulnerable'],
    ['SpeculationIndirectBranch', 'not affected'],
    ['Cpus_allowed', (2 ** cpus - 1).toString(16)],
    ['Cpus_allowed_list', list(cpus)],
    ['Mems_allowed', nodeMask(nodes)],
    ['Mems_allowed_list', list(nodes)],
    ['voluntary_ctxt_switches', 0],
    ['nonvoluntary_ctxt_switches', 0],
  ];
  return rows.map(([name, value]) => `${name}:\t${value}\n`).join('');
}

/** The lines of task_mem. */
function memoryRows(mm: Mm): [string, string][] {
  const { vmas } = mm;
  const pages = (test: (flags: number) => boolean): number =>
    vmasIn(vmas, 0, vmas.taskSize).reduce(
      (sum, { start, end, flags }) => (test(flags) ? sum + (end - start) * vmas.pagesPerByte : sum),
      0,
    );
  const isStack = (flags: number): boolean => (flags & VM_GROWSDOWN) !== 0;
  const rows: readonly (readonly [string, number])[] = [
    ['VmPeak', Math.max(mm.hiwaterVm, vmas.totalPages)],
    ['VmSize', vmas.totalPages],
    ['VmLck', mm.lockedVm],
    ['VmPin', mm.pinnedVm],
    ['VmHWM', Math.max(mm.hiwaterRss, mm.rss)],
    ['VmRSS', mm.rss],
    ['RssAnon', mm.anonPages],
    ['RssFile', mm.filePages],
    ['RssShmem', mm.shmemPages],
    ['VmData', dataPages(mm)],
    ['VmStk', pages(isStack)],
    // There is no exec: nothing tells the program's own text from that of libraries.
    ['VmExe', 0],
    ['VmLib', pages((flags) => (flags & (VM_EXEC | VM_WRITE)) === VM_EXEC && !isStack(flags))],
    ['VmPTE', countTables(mm, mm.words[MM_ROOT]!, mm.memory.format.levels - 1) - 1],
    ['VmSwap', 0],
    ['HugetlbPages', 0],
  ];
  const kilobytes = mm.memory.phys.pageSize / 1024;
  return rows.map(([name, value]) => [name, `${String(value * kilobytes).padStart(8)} kB`]);
}

/** A table and those below it, those laid by for huge pages too (mm_pgtables_bytes). */
function countTables(mm: Mm, table: number, level: number): number {
  const { tables, format, phys } = mm.memory;
  if (level === 0) return 1;
  const entry = createEntry();
  const decoded = createDecoded();
  let count = 1;
  for (let index = 0; index < tables.entries; index++) {
    readEntry(tables, table, index, entry);
    if ((entry.lo | entry.hi) === 0) continue;
    format.decode(entry.lo, entry.hi, level, decoded);
    if (decoded.kind === ENTRY_TABLE) count += countTables(mm, decoded.pfn, level - 1);
  }
  if (level > 1) return count;
  const { cold } = phys;
  let laidBy = cold[table * COLD_WORDS + COLD_PRIVATE]!;
  for (; laidBy !== 0; laidBy = cold[laidBy * COLD_WORDS + COLD_NEXT]!) count++;
  return count;
}

function mask(bits: number): string {
  return bits.toString(16).padStart(16, '0');
}

/** Numbers below `count` (1 and up) as a list: `0-3`. */
function list(count: number): string {
  return count === 1 ? '0' : `0-${count - 1}`;
}

function nodeMask(nodes: number): string {
  const words = new Array<string>(NODE_WORDS).fill('00000000');
  words[NODE_WORDS - 1] = (2 ** nodes - 1).toString(16).padStart(8, '0');
  return words.join(',');
}
