/** Allocations that fail: 20 of the recordings, drawn by the hash of their ids; all of them by a script (README). */
import { describe, expect, it } from 'vitest';
import { fnv1a } from '../src/digest.ts';
import { checkEnding, failEach } from '../src/failing.ts';
import { parseTrace } from '../src/trace/parse.ts';
import { recordings } from './data.ts';

const COUNT = 20;
const BUILT = 'anon anonvma cow filepriv force grow lock madv mix mprot mremap odirect search shared'.split(' ');

const drawn = BUILT.flatMap((profile) => recordings(profile))
  .map((recording) => ({ recording, hash: fnv1a(new TextEncoder().encode(recording.id)) }))
  .sort((a, b) => a.hash - b.hash)
  .slice(0, COUNT);

describe('every allocation of a trace fails once', () => {
  it.each(drawn.map(({ recording }) => [recording.id, recording.trace]))(
    '%s: nothing leaks, E.3 holds, and the call says so as its kind does, or did less',
    (_id, text) => {
      const { allocations, changed } = failEach(parseTrace(text));
      expect(allocations).toBeGreaterThan(0);
      expect(changed).toHaveLength(allocations);
    },
    60_000,
  );

  it('a fork, a store, a pin: ENOMEM, tried again, ENOMEM or EFAULT when some pages were there', () => {
    const lines = [
      'trace v=1 profile=t seed=1 pages=64 thp=never observe=each',
      'mmap at=2 n=4 prot=rw flags=private,anon,fixed',
      'store at=2 v=7',
      'load at=2',
      'pin at=3 len=8192 s=0',
      'fork c=1',
    ];
    const { changed } = failEach(parseTrace(lines.join('\n')));
    const results = new Set(
      changed.map((line) => line?.replace(/^.*("op":"\w+").*("err":"\w+").*$/, '$1 $2') ?? 'none'),
    );
    expect(results).toEqual(
      new Set(['none', '"op":"pin" "err":"ENOMEM"', '"op":"pin" "err":"EFAULT"', '"op":"fork" "err":"ENOMEM"']),
    );
  });

  it.each([
    ['mlock', '"ret":0', '"err":"EAGAIN"', true],
    ['mlock', '"ret":0', '"err":"ENOMEM"', false],
    ['pvw', '"ret":8', '"err":"EFAULT"', true],
    ['pvw', '"ret":8', '"err":"ENOMEM"', false],
    ['pvw', '"ret":8', '"ret":4', true],
    ['pvw', '"ret":8', '"ret":9', false],
    ['pvw', '"err":"EFAULT"', '"ret":8', false],
    ['pin', '"ret":0', '"err":"EIO"', false],
    ['mmap', '"ret":3', '"ret":3', true],
    ['mmap', '"ret":3', '"err":"ENOMEM"', false],
    ['mremap', '"ret":3', '"ret":2', false],
    ['store', '"ret":3', '"ret":2,"sig":"BUS"', false],
    ['store', '"ret":2,"sig":"SEGV"', '"ret":2,"sig":"BUS"', false],
  ])('an ending of %s, %s when all succeeds: %s, allowed %s', (op, whole, line, allowed) => {
    const check = (): void => checkEnding(op, `{${whole}}`, `{${line}}`);
    if (allowed) expect(check).not.toThrow();
    else expect(check).toThrow('where all succeed');
  });
});
