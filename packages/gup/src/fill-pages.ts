/** The PFNs of part of a large folio. */

/** `count` frames in a row, from `pfn` on, into `pages[at…]`. */
export function fillPages(pages: Uint32Array, at: number, count: number, pfn: number): void {
  // `| 0` spares tests for overflow (a fifth).
  const end = (at + count) | 0;
  for (let i = at, frame = pfn | 0; i < end; i = (i + 1) | 0) {
    pages[i] = frame;
    frame = (frame + 1) | 0;
  }
}
