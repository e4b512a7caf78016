/** Checks of values from a JSON file; each refusal is one BadInput: `WHERE: expected …, got …`. */
import { BadInput } from '../exit.ts';

export type Fields = Readonly<Record<string, unknown>>;
/** What `value` at `where` must be; throws BadInput. */
export type Check = (where: string, value: unknown) => void;

const HEX = /^0x[0-9a-f]{1,16}$/i;
/** Longest piece of a wrong value shown. */
const SHOWN = 60;

export function refuse(where: string, expected: string, value: unknown): never {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  const got = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
  throw new BadInput(`${where}: expected ${expected}, got ${got}`);
}

export const hex: Check = (where, value) => {
  if (typeof value !== 'string' || !HEX.test(value)) refuse(where, '"0x" and up to 16 hex digits', value);
};

export const text: Check = (where, value) => {
  if (typeof value !== 'string') refuse(where, 'a string', value);
};

export const flag: Check = (where, value) => {
  if (typeof value !== 'boolean') refuse(where, 'true or false', value);
};

export function integer(min: number, max: number): Check {
  return (where, value) => {
    if (!Number.isInteger(value) || Number(value) < min || Number(value) > max) {
      refuse(where, `an integer from ${min} to ${max}`, value);
    }
  };
}

export function oneOf(...values: readonly (string | number | boolean)[]): Check {
  return (where, value) => {
    if (!values.includes(value as string)) refuse(where, values.map((one) => JSON.stringify(one)).join(' or '), value);
  };
}

export function list(where: string, value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : refuse(where, 'a list', value);
}

export function object(where: string, value: unknown): Fields {
  const plain = typeof value === 'object' && value !== null && !Array.isArray(value);
  return plain ? (value as Fields) : refuse(where, 'an object', value);
}

/** Checks an object's keys: every one of `required`, any of `optional`, no other. */
export function fields(
  where: string,
  value: unknown,
  required: Readonly<Record<string, Check>>,
  optional: Readonly<Record<string, Check>> = {},
): void {
  const all: Readonly<Record<string, Check>> = { ...required, ...optional };
  const found = object(where, value);
  for (const key of Object.keys(found)) {
    if (!Object.hasOwn(all, key)) refuse(where, `no key but ${Object.keys(all).join(', ')}`, key);
    all[key]!(`${where}: ${key}`, found[key]);
  }
  for (const key of Object.keys(required)) {
    if (!Object.hasOwn(found, key)) refuse(where, `the key ${key}`, undefined);
  }
}
