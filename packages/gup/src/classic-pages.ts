/** What the documented call's user does with a page afterwards (A.15). Never waits, shared by both builds. */
import type { Memory } from '@mmkit/aspace';
import { folioMarkDirty } from '@mmkit/filemap';
import { putPage } from '@mmkit/phys';

/** Gives back one reference of page `pfn`; the last one frees it. */
export function put_page(memory: Memory, pfn: number): void {
  putPage(memory.phys, pfn);
}

/** Marks the page dirty; only where its mapping cannot vanish (anonymous memory, or the page lock held). */
export function set_page_dirty(memory: Memory, pfn: number): void {
  folioMarkDirty(memory.files, pfn);
}
