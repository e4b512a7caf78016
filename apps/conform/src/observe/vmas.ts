/** The VMAs of the arena, as /proc/PID/maps and the VmFlags of smaps show them. */
import type { Process } from '@mmkit/kernel';
import * as vm from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { addressOf, ARENA, PAGE, World } from '../world/world.ts';

/** Two letters for each flag, in the order of its bit. Soft-dirty is left out. */
const LETTERS: readonly (readonly [number, string])[] = [
  [vm.VM_READ, 'rd'],
  [vm.VM_WRITE, 'wr'],
  [vm.VM_EXEC, 'ex'],
  [vm.VM_SHARED, 'sh'],
  [vm.VM_MAYREAD, 'mr'],
  [vm.VM_MAYWRITE, 'mw'],
  [vm.VM_MAYEXEC, 'me'],
  [vm.VM_MAYSHARE, 'ms'],
  [vm.VM_GROWSDOWN, 'gd'],
  [vm.VM_UFFD_MISSING, 'um'],
  [vm.VM_PFNMAP, 'pf'],
  [vm.VM_MAYBE_GUARD, 'gu'],
  [vm.VM_UFFD_WP, 'uw'],
  [vm.VM_LOCKED, 'lo'],
  [vm.VM_IO, 'io'],
  [vm.VM_SEQ_READ, 'sr'],
  [vm.VM_RAND_READ, 'rr'],
  [vm.VM_DONTCOPY, 'dc'],
  [vm.VM_DONTEXPAND, 'de'],
  [vm.VM_LOCKONFAULT, 'lf'],
  [vm.VM_ACCOUNT, 'ac'],
  [vm.VM_NORESERVE, 'nr'],
  [vm.VM_HUGETLB, 'ht'],
  [vm.VM_SYNC, 'sf'],
  [vm.VM_ARCH_1, 'ar'],
  [vm.VM_WIPEONFORK, 'wf'],
  [vm.VM_DONTDUMP, 'dd'],
  [vm.VM_MIXEDMAP, 'mm'],
  [vm.VM_HUGEPAGE, 'hg'],
  [vm.VM_NOHUGEPAGE, 'nh'],
  [vm.VM_MERGEABLE, 'mg'],
];

/** The VMAs of the process in the arena. */
export function arenaVmas(world: World, process: Process): Vma[] {
  return vm.vmasIn(process.mm.vmas, ARENA, addressOf(world.trace.pages));
}

/** The list of a `vmas` line. */
export function vmasText(world: World, vmas: readonly Vma[]): string {
  return `[${vmas.map((vma) => vmaText(world, vma)).join(',')}]`;
}

function vmaText(world: World, vma: Vma): string {
  const start = (vma.start - ARENA) / PAGE;
  const end = (vma.end - ARENA) / PAGE;
  const off = vma.file === null ? 0 : vma.pgoff;
  const perm = vm.formatVmaFlags(vma.flags);
  return `[${start},${end},"${perm}",${off},"${fileName(world, vma)}","${flagsText(vma)}"]`;
}

function fileName(world: World, vma: Vma): string {
  if (vma.file === null) return '';
  const id = world.files.findIndex((file) => file === vma.file);
  return id < 0 ? 'zero' : `f${id}`;
}

function flagsText(vma: Vma): string {
  const words = LETTERS.filter(([flag]) => (vma.flags & flag) !== 0).map(([, letters]) => letters);
  return (vma.sealed ? [...words, 'sl'] : words).join(' ');
}
