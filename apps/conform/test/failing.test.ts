/** Allocations that fail: 20 of the recordings, drawn by the hash of their ids; all of them by a script (README). */
import { describe, expect, it } from 'vitest';
import { fnv1a } from '../src/digest.ts';
import { failEach } from '../src/failing.ts';
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
    '%s: nothing leaks, E.3 holds, and the call says so or did less',
    (_id, text) => {
      const { allocations, changed } = failEach(parseTrace(text));
      expect(allocations).toBeGreaterThan(0);
      expect(changed).toHaveLength(allocations);
      for (const line of changed) {
        // Also a load: of a page that an mmap with populate, which says nothing of failures, had not brought in.
        if (line !== null) expect(line).toMatch(/"err":"(ENOMEM|EFAULT|EIO|EAGAIN)"|"ret":\d+/);
      }
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
});
