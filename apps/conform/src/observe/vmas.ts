/** The VMAs of the arena, as /proc/PID/maps and the VmFlags of smaps show them. */
import type { Process } from '@mmkit/kernel';
import * as vm from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { addressOf, ARENA, PAGE, World } from '../world/world.ts';

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

/** Soft-dirty is left out. */
function flagsText({ flags, flagsHigh }: Vma): string {
  return vm.vmFlagLetters({ flags: flags & ~vm.VM_SOFTDIRTY, flagsHigh }).join(' ');
}
