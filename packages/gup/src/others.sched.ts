/** What others may do meanwhile, sched build: run at every point. */

/** Pages looked up in one hold of the page-table lock: Linux takes it anew for each. */
export const PAGES_A_HOLD: number = 1;
/** What a walk without locks has read may change under it. */
export const OTHERS_RUN: boolean = true;
