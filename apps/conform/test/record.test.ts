/** The running kernel as the recorder: what it prints today is what was recorded. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { recordCommand } from '../src/commands.ts';
import { BadInput } from '../src/exit.ts';
import { checkRecordable, Recorder } from '../src/live/recorder.ts';
import { parseTrace } from '../src/trace/parse.ts';
import { sample } from './data.ts';
import { onKernel } from './kernel.ts';

const HEAD = 'trace v=1 profile=t seed=1 pages=64 thp=never observe=each';

it('a machine that cannot record is told in one line', () => {
  const path = process.env['PATH'];
  process.env['PATH'] = '';
  try {
    expect(() => new Recorder()).toThrow(/^the running kernel: needs .+$/);
  } finally {
    process.env['PATH'] = path;
  }
});

describe('the running kernel', () => {
  it.each(['anon', 'anonvma', 'cow', 'grow', 'force'])('%s: gives the recorded lines again', (profile) => {
    const list = sample(profile, 30).slice(0, 2);
    onKernel((recorder) => {
      expect(recorder.run(list.map(({ trace }) => trace))).toEqual(list.map(({ out }) => out));
    });
  });

  it('prints a trace, by the rules of the format', () => {
    const trace = `${HEAD}
mmap at=2 n=2 prot=rw flags=private,anon,fixed
load at=1 n=3
store at=2 n=2 o=5 v=9
load at=63 n=2
unpin s=3
store p=2 at=2 v=1
dmaw s=1 len=1 v=1
fork c=0
`;
    onKernel((recorder) => {
      const lines = recorder.run([trace])[0]!.split('\n');
      expect(lines.filter((line) => line.includes('"op"'))).toEqual([
        '{"i":0,"op":"mmap","p":0,"ret":2}',
        '{"i":1,"op":"load","p":0,"ret":0,"sig":"SEGV","code":"MAPERR","at":[1,0]}',
        '{"i":2,"op":"store","p":0,"ret":2,"flt":[2,0]}',
        '{"i":3,"op":"load","err":"RANGE"}',
        '{"i":4,"op":"unpin","p":0,"err":"ENXIO"}',
        '{"i":5,"op":"store","err":"BADREF"}',
        '{"i":6,"op":"dmaw","p":0,"err":"EINVAL"}',
        '{"i":7,"op":"fork","err":"BADREF"}',
      ]);
    });
  });

  it('a trace that ends in the middle is named', () => {
    onKernel((recorder) => {
      const bad = `${HEAD}\nfread f=0 len=1048577\n`;
      expect(() => recorder.run([HEAD, bad])).toThrow(/^the running kernel: trace 2 of 2: record: len/);
    });
  });
});

it.each([
  [`${HEAD} swap=zram\n`, 'cannot be recorded: swap=zram'],
  [`${HEAD} hugepages=4\n`, 'cannot be recorded: a pool of huge pages'],
  [`${HEAD}\nksm\n`, 'cannot be recorded: ksm'],
  [`${HEAD}\nmmap prot=r flags=anon,hugetlb\n`, 'cannot be recorded: mmap prot=r flags=anon,hugetlb'],
])('%j is refused', (text, message) => {
  expect(() => checkRecordable(parseTrace(text))).toThrow(new BadInput(message));
});

it('record: recordings without --out are refused before anything runs', () => {
  const never = (): never => {
    throw new Error('nothing is printed or written');
  };
  const path = join(import.meta.dirname, '../data/traces/anon.jsonl.gz');
  expect(() => recordCommand(path, {}, never, never)).toThrow(
    new BadInput(`${path}: holds recordings: expected --out FILE`),
  );
});
