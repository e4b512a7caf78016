/** What an operation gave, and its line in the output (trace format, section 4). */
import { errnoName } from '@mmkit/base';
import { digest } from '../digest.ts';
import type { Op } from '../trace/ops.ts';

/** A signal that ended a load, store or fill. */
export interface Signal {
  readonly name: string;
  readonly code: string;
  /** Page in the arena and byte in it of the address accessed. */
  readonly page: number;
  readonly byte: number;
}

export interface OpResult {
  /** Name of the error; null: none. */
  readonly err: string | null;
  readonly ret: number;
  readonly signal: Signal | null;
  /** The bytes that `v` sums up; null where the operation has none. */
  readonly data: Uint8Array | null;
}

/** No observation follows these: nothing happened. */
const NOT_RUN: ReadonlySet<string> = new Set(['RANGE', 'BADREF']);

/** The operation was refused by the rules of the format. */
export const RANGE: OpResult = { err: 'RANGE', ret: 0, signal: null, data: null };
/** It names a process, file or slot that is not there. */
export const BADREF: OpResult = { err: 'BADREF', ret: 0, signal: null, data: null };
/** The model has no such operation yet. */
export const UNSUPPORTED: OpResult = { err: 'UNSUPPORTED', ret: 0, signal: null, data: null };

/** `value` of a system call: a result, or a negative errno; `data` the bytes of a call that reads some. */
export function returned(value: number, data: Uint8Array | null = null): OpResult {
  if (value < 0) return { err: errnoName(value), ret: 0, signal: null, data: null };
  return { err: null, ret: value, signal: null, data };
}

/** False when the format refused it. */
export function wasRun(result: OpResult): boolean {
  return result.err === null || !NOT_RUN.has(result.err);
}

/** The result line of operation `i`; `minor` and `major` faults are charged to whom it is about. */
export function resultLine(i: number, op: string, p: number, result: OpResult, minor: number, major: number): string {
  const { err, ret, signal, data } = result;
  let line = `{"i":${i},"op":"${op}"`;
  if (!wasRun(result)) return `${line},"err":"${err}"}`;
  line += `,"p":${p},${err === null ? `"ret":${ret}` : `"err":"${err}"`}`;
  if (signal !== null) {
    line += `,"sig":"${signal.name}","code":"${signal.code}","at":[${signal.page},${signal.byte}]`;
  }
  if (data !== null && data.length > 0) line += `,"v":"${digest(data)}"`;
  if (minor + major > 0) line += `,"flt":[${minor},${major}]`;
  return `${line}}`;
}

/** The line of an operation in which the model broke a rule of its own. */
export function failureLine(i: number, op: Op, code: string): string {
  return resultLine(i, op.name, op.p, { err: code, ret: 0, signal: null, data: null }, 0, 0);
}
