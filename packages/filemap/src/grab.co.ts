/** Getting a page of a file locked (Linux: __filemap_get_folio with FGP_LOCK). */
import { P_CACHE_LOOKUP } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { putPage } from '@mmkit/phys';
import { folioUnlock } from './folio.ts';
import { folioLock } from './folio-lock.co.ts';
import { Inode } from './inode.ts';
import { filemapAddFolio, filemapGetFolio, folioInFile } from './page-cache.ts';

/**
 * The cached page at `index`, its folio locked, with a reference for the caller: it stays there until the lock is given back. -1:
 * none is cached.
 */
export function* filemapLockFolio(inode: Inode, index: number): Task<number> {
  const { files } = inode;
  for (;;) {
    yield P_CACHE_LOOKUP;
    const pfn = filemapGetFolio(inode, index);
    if (pfn < 0) return -1;
    yield* folioLock(files, pfn);
    if (folioInFile(inode, pfn, index)) return pfn;
    // Taken out of the file while we waited.
    folioUnlock(files, pfn);
    putPage(files.phys, pfn);
  }
}

/** The same with FGP_CREAT: a new folio of up to 2^order pages, as of `filemapAddFolio`, where none is cached; or -ENOMEM. */
export function* filemapGrabFolio(inode: Inode, index: number, order: number = 0): Task<number> {
  const pfn = yield* filemapLockFolio(inode, index);
  // Nobody came in between: the lookup that found nothing was the last step.
  return pfn >= 0 ? pfn : filemapAddFolio(inode, index, order);
}
