/**
 * What a step touches of the state that all address spaces share, noted as it is touched, for an explorer (footprint.ts
 * of @mmkit/task): frames and RAM, each CPU's TLB, files. The words of an `Mm` are declared by the points before them;
 * VMAs are covered by mmap_lock. Counters nobody decides by are not noted.
 */
import { noteRead, noteWrite } from '@mmkit/task';
import { watchInode } from '@mmkit/filemap';
import { watchPhys } from '@mmkit/phys';
import type { Memory } from './memory.ts';

/** Fields of `Memory` that change while tasks run. */
const FIELDS = ['accessing', 'hugeZeroPfn', 'nextMmId', 'nextAnonVma', 'transparentHugepage'] as const;

/** From now on what tasks touch of `memory` is noted. */
export function watchMemory(memory: Memory): void {
  const { sched, phys, files, tlbs } = memory;
  watchPhys(phys, (object, index, write) => {
    if (write) noteWrite(sched, object, index);
    else noteRead(sched, object, index);
  });
  for (const inode of files.inodes) if (inode !== null) watchInode(inode);
  for (const tlb of tlbs) noteRead(sched, tlb);
  Object.defineProperty(memory, 'tlbs', {
    value: new Proxy(tlbs, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target);
        // A lookup counts its hits: it writes too.
        if (typeof value === 'object' && value !== null) noteWrite(sched, value);
        return value;
      },
    }),
  });
  for (const [index, name] of FIELDS.entries()) {
    let value: unknown = memory[name];
    Object.defineProperty(memory, name, {
      get() {
        noteRead(sched, memory, index);
        return value;
      },
      set(next: unknown) {
        noteWrite(sched, memory, index);
        value = next;
      },
    });
  }
}
