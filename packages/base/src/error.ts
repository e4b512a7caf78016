/**
 * Thrown where Linux has undefined behaviour or a BUG: a double free, a put below zero, a lock not held, a deadlock.
 * The call that throws leaves the state as it was. Test `code`, not the class: two copies of a package have two classes.
 */
export class InvariantError extends Error {
  /** What was broken, in capitals: `'DOUBLE_FREE'`, `'DEADLOCK'`, … */
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.name = 'InvariantError';
    this.code = code;
  }
}
