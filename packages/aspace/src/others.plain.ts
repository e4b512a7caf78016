/** What others may do meanwhile, plain build: nothing, as a call that does not wait runs alone. */

/** A table that was found stays hooked. */
export const OTHERS_RUN: boolean = false;
