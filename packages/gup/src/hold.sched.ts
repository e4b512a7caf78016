/** How long lookups hold a page-table lock, sched build: as in Linux, so that others come in between pages. */

/** Pages looked up in one hold of the page-table lock. */
export const PAGES_A_HOLD: number = 1;
