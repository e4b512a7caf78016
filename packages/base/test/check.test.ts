import { describe, expect, it } from 'vitest';
import { checkAddress, checkInteger, checkPages, InvariantError } from '@mmkit/base';

const notIntegers = [NaN, Infinity, -Infinity, 0.5, 2 ** 53, -(2 ** 53), '1', null, undefined, 1n] as number[];

describe('checkInteger', () => {
  it('lets the bounds and what is between through', () => {
    for (const value of [-3, -0, 0, 7]) expect(checkInteger('n', value, -3, 7)).toBeUndefined();
  });

  it.each([...notIntegers, -4, 8])('refuses %s with RangeError', (value) => {
    expect(() => checkInteger('order', value, -3, 7)).toThrow(RangeError);
  });

  it('names the argument, the range and the value', () => {
    expect(() => checkInteger('order', 11, 0, 10)).toThrow('order: expected an integer from 0 to 10, got 11');
  });
});

describe('checkAddress', () => {
  it('lets every safe integer from 0 through', () => {
    for (const value of [0, 1, 2 ** 47, Number.MAX_SAFE_INTEGER]) expect(checkAddress('start', value)).toBeUndefined();
  });

  it.each([...notIntegers, -1])('refuses %s with RangeError', (value) => {
    expect(() => checkAddress('start', value)).toThrow(RangeError);
  });

  it('names the argument and the value', () => {
    expect(() => checkAddress('start', -1)).toThrow('start: expected an address (a safe integer, 0 or more), got -1');
  });
});

describe('checkPages', () => {
  it('lets an array that is long enough through', () => {
    expect(checkPages('pages', new Uint32Array(4), 4)).toBeUndefined();
    expect(checkPages('pages', new Uint32Array(0), 0)).toBeUndefined();
  });

  it.each([
    [[1, 2], 'object'],
    [new Int32Array(4), 'object'],
    [null, 'null'],
    [undefined, 'undefined'],
  ])('refuses %s with RangeError', (value, got) => {
    const call = (): void => checkPages('pages', value as unknown as Uint32Array, 1);
    expect(call).toThrow(RangeError);
    expect(call).toThrow(`pages: expected a Uint32Array of PFNs, got ${got}`);
  });

  it('refuses an array that is too short', () => {
    const call = (): void => checkPages('pages', new Uint32Array(3), 4);
    expect(call).toThrow(RangeError);
    expect(call).toThrow('pages: expected at least 4 slots, got 3');
  });
});

it('InvariantError carries its code, and its message begins with it', () => {
  const error = new InvariantError('DOUBLE_FREE', 'frame 7');
  expect(error).toBeInstanceOf(Error);
  expect([error.name, error.code, error.message]).toEqual(['InvariantError', 'DOUBLE_FREE', 'DOUBLE_FREE: frame 7']);
});
