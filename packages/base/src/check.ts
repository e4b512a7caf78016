/**
 * Argument checks at the public edge: a JavaScript value that no C caller could pass throws `RangeError` and names the
 * argument, before anything is changed.
 */

/** `value` must be an integer in [min, max]. */
export function checkInteger(name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`${name}: expected an integer from ${min} to ${max}, got ${String(value)}`);
  }
}

/** `value` must be a user address: a safe integer, 0 or more (bytes). */
export function checkAddress(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${name}: expected an address (a safe integer, 0 or more), got ${String(value)}`);
  }
}

/** `value` must be a `Uint32Array` with at least `length` slots. */
export function checkPages(name: string, value: Uint32Array, length: number): void {
  if (!(value instanceof Uint32Array)) {
    throw new RangeError(`${name}: expected a Uint32Array of PFNs, got ${value === null ? 'null' : typeof value}`);
  }
  if (value.length < length) {
    throw new RangeError(`${name}: expected at least ${length} slots, got ${value.length}`);
  }
}
