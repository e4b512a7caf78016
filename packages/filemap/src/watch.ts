/** What a step touches of a file, noted as it is touched, for an explorer (footprint.ts of @mmkit/task). */
import { noteRead, noteWrite } from '@mmkit/task';
import type { Inode } from './inode.ts';

/** Fields that are written, whole or in part, where they are used at all. */
const CONTAINERS = ['pages', 'blocks', 'unwritten', 'iMmap', 'buffers'] as const;
/** Plain values; `nrDirty` only counts, but sync asks for it. */
const VALUES = ['size', 'nrDirty', 'writebackError', 'mmapWritable', 'seals'] as const;

/** From now on every use of the fields of `inode` that change is noted, each as a word of the inode. */
export function watchInode(inode: Inode): void {
  const { sched } = inode.files;
  noteRead(sched, inode);
  for (const [index, name] of [...CONTAINERS, ...VALUES].entries()) {
    const container = index < CONTAINERS.length;
    let value: unknown = inode[name];
    Object.defineProperty(inode, name, {
      get() {
        if (container) noteWrite(sched, inode, index);
        else noteRead(sched, inode, index);
        return value;
      },
      set(next: unknown) {
        noteWrite(sched, inode, index);
        value = next;
      },
    });
  }
}
