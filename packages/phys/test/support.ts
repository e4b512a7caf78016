/** What the tests share: the allocator's whole state by value, and calls that must be refused. */
import { InvariantError } from '@mmkit/base';
import { PcpList } from '../src/index.ts';
import type { Phys } from '../src/index.ts';

/** Everything an allocator call may change, by value: functions stay; of a per-CPU list what is on it. */
export function snapshot(phys: Phys): unknown {
  return copy(phys, new Map());
}

function copy(value: unknown, seen: Map<object, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  if (ArrayBuffer.isView(value)) return (value as Int32Array).slice();
  const made: Record<string, unknown> = {};
  seen.set(value, made);
  for (const [key, inner] of Object.entries(value)) {
    if (value instanceof PcpList && key === 'capacity') continue;
    const listed = value instanceof PcpList && key === 'slots';
    made[key] = listed ? value.slots.slice(0, value.top) : copy(inner, seen);
  }
  return made;
}

/** Where two snapshots differ first; '': nowhere. `seen`: pairs under comparison. */
function difference(a: unknown, b: unknown, path: string, seen: Map<unknown, unknown>): string {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return Object.is(a, b) ? '' : `${path}: ${String(a)} became ${String(b)}`;
  }
  if (seen.get(a) === b) return '';
  seen.set(a, b);
  const before = a as Record<string, unknown>;
  const after = b as Record<string, unknown>;
  const keys = ArrayBuffer.isView(a) ? (a as Int32Array).keys() : new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) {
    if (before[key] === after[key]) continue;
    const found = difference(before[key], after[key], `${path}.${key}`, seen);
    if (found !== '') return found;
  }
  return '';
}

/** Throws unless the machine is as it was when the snapshot was taken. */
export function expectSame(phys: Phys, before: unknown): void {
  const found = difference(before, snapshot(phys), 'phys', new Map());
  if (found !== '') throw new Error(found);
}

/** The code of the InvariantError that `call` throws, 'RangeError' for that one, '' when it returns. */
export function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof RangeError) return 'RangeError';
    if (error instanceof InvariantError) return error.code;
    throw error;
  }
  return '';
}

/** `call` is refused with `code` and changes nothing. */
export function expectRefused(phys: Phys, code: string, call: () => unknown): void {
  const before = snapshot(phys);
  const got = refusal(call);
  if (got !== code) throw new Error(`expected ${code || 'no refusal'}, got ${got || 'no refusal'}`);
  expectSame(phys, before);
}
