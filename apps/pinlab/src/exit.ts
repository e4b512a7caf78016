/** Exit codes of the programs, and bad input as an error of its own. */

/** The command did what it should. */
export const EXIT_OK = 0;
/** The check failed. */
export const EXIT_FAILED = 1;
/** Bad usage or input. */
export const EXIT_USAGE = 2;

/** Bad usage or input: its message is the one line the user sees. */
export class BadInput extends Error {}

/** The command could not do what it should: its message is the one line the user sees, the exit code is EXIT_FAILED. */
export class Failed extends Error {}
