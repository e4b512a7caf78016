/**
 * /proc/PID/maps (Linux: show_map_vma, show_vma_header_prefix). In one step and without a lock: Linux's reader may see
 * changes between two lines. Shared by both builds.
 */
import type { Mm } from '@mmkit/aspace';
import { OpenFile } from '@mmkit/filemap';
import { mapsText } from '@mmkit/vma';
import type { MapsName, Vma } from '@mmkit/vma';
import { checkAlive, Process } from './process.ts';

/** Minor number of what shmem has for a device. */
const SHMEM_MINOR = 1;

/** The text of /proc/PID/maps, a line for each VMA; '' for a process that maps nothing. */
export function procMaps(process: Process): string {
  checkAlive(process);
  const { mm } = process;
  return mapsText(mm.vmas, (vma) => mapsName(mm, vma));
}

/** What a line says besides the VMA: its file, `[heap]` or `[stack]`; null: nothing, nor of a file that is not one of ours. */
export function mapsName(mm: Mm, { start, end, file }: Vma): MapsName | null {
  if (!(file instanceof OpenFile)) {
    if (start < mm.brk && end > mm.startBrk) return { name: '[heap]' };
    return start <= mm.startStack && end >= mm.startStack ? { name: '[stack]' } : null;
  }
  const { inode, path } = file;
  const { major, minor } = inode.device ?? { major: 0, minor: SHMEM_MINOR };
  return { major, minor, inode: inode.id, name: path };
}
