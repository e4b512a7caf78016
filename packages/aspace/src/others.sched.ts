/** What others may do meanwhile, sched build: run at every point. */

/** A table that was found may be unhooked before its lock is taken. */
export const OTHERS_RUN: boolean = true;
