import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { digest, fnv1a } from '../src/digest.ts';
import { BadInput } from '../src/exit.ts';
import { runsText } from '../src/observe/page.ts';
import type { PageView } from '../src/observe/page.ts';
import { parseRecordings, readText } from '../src/records.ts';
import { parseTrace } from '../src/trace/parse.ts';

const DATA = resolve(import.meta.dirname, '../data/traces');
const HEAD = 'trace v=1 profile=t seed=1 pages=16 thp=never observe=each';

/** The message of the BadInput that `call` throws. */
function complaint(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof BadInput) return error.message;
    throw error;
  }
  return 'nothing';
}

describe('digests', () => {
  it.each([
    ['', []],
    ['00', [0]],
    ['1e', new Array<number>(4096).fill(0x1e)],
    ['1e00', [0x1e, 0]],
    ['000102030405060708090a0b0c0d0e0f', Array.from({ length: 16 }, (_, i) => i)],
    ['#6fe9fddf', Array.from({ length: 17 }, (_, i) => i)],
  ])('%s', (text, bytes) => {
    expect(digest(Uint8Array.from(bytes))).toBe(text);
  });

  it("FNV-1a's own vectors: the empty string, a, foobar", () => {
    const of = (text: string): string => fnv1a(new TextEncoder().encode(text)).toString(16);
    expect(['', 'a', 'foobar'].map(of)).toEqual(['811c9dc5', 'e40c292c', 'bf9cf968']);
  });

  it('a page that a store at byte 7 changed, as recorded: #83f15d90 for value 23', () => {
    const page = new Uint8Array(4096);
    page[7] = 23;
    expect(digest(page)).toBe('#83f15d90');
  });
});

describe('traces', () => {
  it('every recorded trace parses, to as many operations as its record says', () => {
    let traces = 0;
    for (const name of readdirSync(DATA)) {
      for (const recording of parseRecordings(name, readText(resolve(DATA, name)))) {
        expect(parseTrace(recording.trace).ops.length, recording.id).toBe(recording.ops);
        traces++;
      }
    }
    expect(traces).toBe(2105);
  });

  it('comments and empty lines do not count; defaults; numbers in three bases', () => {
    const { ops, files, pages } = parseTrace(
      `# one\n\n${HEAD}\nfile id=2 kind=tmpfs pages=3 fill=0\nload at=0x10\n# two\nstore p=3 at=010 n=-2 v=255\nmmap prot=none flags=private,anon\n`,
    );
    expect(pages).toBe(16);
    expect(files).toEqual([{ id: 2, kind: 'tmpfs', pages: 3, fill: 0 }]);
    expect(ops[0]).toMatchObject({ name: 'load', p: 0, at: 16, n: 1, o: 0, f: -1, words: [] });
    expect(ops[1]).toMatchObject({ name: 'store', p: 3, at: 8, n: -2, v: 255 });
    expect(ops[2]).toMatchObject({ name: 'mmap', at: null, prot: 'none', words: ['private', 'anon'] });
  });

  it.each([
    ['', 'line 1: expected "trace v=1 …", got the end'],
    ['# nothing\n', 'line 1: expected "trace v=1 …", got the end'],
    ['mmap n=1', 'line 1: expected "trace v=1 …", got "mmap n=1"'],
    [HEAD.replace('v=1', 'v=2'), 'line 1: expected v=1..1, got "v=2"'],
    [HEAD.replace(' pages=16', ''), 'line 1: expected pages=1..268435456, got "pages="'],
    [HEAD.replace('never', 'always'), 'line 1: expected thp=never|madvise, got "thp=always"'],
    [HEAD.replace(' profile=t', ''), 'line 1: expected profile=NAME, got nothing'],
    [`${HEAD} colour=red`, 'line 1: expected trace without colour, got "colour"'],
    [`${HEAD}\nfile id=8 kind=memfd pages=1 fill=0`, 'line 2: expected id=0..7, got "id=8"'],
    [`${HEAD}\nfile id=1 kind=nfs pages=1 fill=0`, 'line 2: expected kind=memfd|tmpfs|ext4|hugetlb, got "kind=nfs"'],
    [
      `${HEAD}\nfile id=1 kind=memfd pages=1 fill=0\nfile id=1 kind=memfd pages=1 fill=0`,
      'line 3: expected an id that no other file has, got "id=1"',
    ],
    [
      `${HEAD}\nexit\nfile id=1 kind=memfd pages=1 fill=0`,
      'line 3: expected an operation (files come before the first)',
    ],
    [`${HEAD}\n\nfly at=1`, 'line 3: expected an operation, got "fly"'],
    [`${HEAD}\ntoString at=1`, 'line 2: expected an operation, got "toString"'],
    [`${HEAD}\nload n=1`, 'line 2: expected load with at=, got nothing'],
    [`${HEAD}\nload at=1 v=1`, 'line 2: expected load without v, got "v"'],
    [`${HEAD}\nload at=1 at=2`, 'line 2: expected at once, got "at=2"'],
    [`${HEAD}\nload at`, 'line 2: expected key=value, got "at"'],
    [`${HEAD}\nload  at=1`, 'line 2: expected key=value, got nothing'],
    [`${HEAD}\nload at=1e3`, 'line 2: expected at=integer, got "at=1e3"'],
    [`${HEAD}\nload at=08`, 'line 2: expected at=integer, got "at=08"'],
    [`${HEAD}\nload at=99999999999999999999`, 'line 2: expected at=integer, got "at=99999999999999999999"'],
    [`${HEAD}\nmprotect at=1 prot=rr`, 'line 2: expected prot=none or letters of rwxG, got "prot=rr"'],
    [
      `${HEAD}\nmremap at=1 old=1 new=1 flags=fast`,
      'line 2: expected flags: one of maymove fixed dontunmap 0, got "fast"',
    ],
    [`${HEAD}\nmadvise at=1 adv=free,cold`, 'line 2: expected adv: one of normal random'],
  ])('malformed: %j', (text, message) => {
    expect(complaint(() => parseTrace(text)).slice(0, message.length)).toBe(message);
  });
});

describe('records', () => {
  it.each([
    ['', 'f: line 1: expected {"id":…,"ops":…,"trace":…,"out":…}'],
    ['{"id":"a","ops":0,"trace":"","out":""}\n{"id":"b"}', 'f: line 2: expected {"id":…,"ops":…,"trace":…,"out":…}'],
    ['not json', 'f: line 1: expected {"id":…,"ops":…,"trace":…,"out":…}'],
  ])('malformed: %j', (text, message) => {
    expect(complaint(() => parseRecordings('f', text))).toBe(message);
  });
});

describe('runs', () => {
  const view = (letters: string, ref: PageView['ref'] = null): PageView => ({
    letters,
    mapcount: 1,
    digest: '00',
    ref,
  });

  it('adjacent pages that look the same share one; a gap, other letters, another mapcount begin a new one', () => {
    const pages: [number, PageView | undefined][] = [
      [1, view('A')],
      [2, view('A')],
      [4, view('A')],
      [5, view('F')],
      [6, undefined],
      [7, undefined],
    ];
    expect(runsText(pages)).toBe('[[1,2,"A",1,"00"],[4,1,"A",1,"00"],[5,1,"F",1,"00"],[6,2,""]]');
  });

  it('identities: on one process and growing by one they share a run, else not', () => {
    const pages: [number, PageView][] = [
      [1, view('A', { q: 0, b: 7 })],
      [2, view('A', { q: 0, b: 8 })],
      [3, view('A', { q: 0, b: 8 })],
      [4, view('A', { q: 1, b: 9 })],
      [5, view('A')],
    ];
    const runs = '[1,2,"A",1,"00","0:7"],[3,1,"A",1,"00","0:8"],[4,1,"A",1,"00","1:9"],[5,1,"A",1,"00"]';
    expect(runsText(pages)).toBe(`[${runs}]`);
  });
});
