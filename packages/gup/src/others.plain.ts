/** What others may do meanwhile, plain build: nothing, as a call that does not wait runs alone. */

/** Pages looked up in one hold of the page-table lock: all of the table. */
export const PAGES_A_HOLD: number = Infinity;
/** What a walk without locks has read stays as it is. */
export const OTHERS_RUN: boolean = false;
