/** Exit codes of the programs, and bad input as an error of its own. */

/** The command did what it should. */
export const EXIT_OK = 0;
/** A machine's answer differs from ours. */
export const EXIT_DIFFERENT = 1;
/** Bad usage or input. */
export const EXIT_USAGE = 2;

/** Bad usage or input: its message is the one line the user sees. */
export class BadInput extends Error {}
