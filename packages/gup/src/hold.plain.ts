/** How long lookups hold a page-table lock, plain build: to the end of the table, as nobody could come in between. */

/** Pages looked up in one hold of the page-table lock. */
export const PAGES_A_HOLD: number = Infinity;
