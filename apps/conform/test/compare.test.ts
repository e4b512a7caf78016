import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareOutputs } from '../src/compare/compare.ts';
import type { Agreement } from '../src/compare/compare.ts';
import { parseRecordings, readText } from '../src/records.ts';
import { summarize } from '../src/summary.ts';
import { parseTrace } from '../src/trace/parse.ts';

const DATA = resolve(import.meta.dirname, '../data/traces');
const HEAD = 'trace v=1 profile=t seed=1 pages=16 thp=never observe=each';
const { ops } = parseTrace(`${HEAD}\nstore at=1 v=1\nfork c=1\nexit p=1\n`);

const RESULTS = [
  '{"i":0,"op":"store","p":0,"ret":1,"flt":[1,0]}',
  '{"i":1,"op":"fork","p":0,"ret":1}',
  '{"i":2,"op":"exit","p":1,"ret":0}',
];
const VMAS = '{"i":0,"proc":0,"vmas":[[1,2,"rw-p",0,"","rd wr mr mw me ac"]]}';
const PAGES = '{"i":0,"proc":0,"pages":[[1,1,"AXBE",1,"01"]]}';
const CHILD = '{"i":1,"proc":1,"pages":[[1,1,"AB",2,"01","0:1"]]}';
const PINS = '{"i":1,"pins":[[0,[[0,2,"AXB",1,"01","0:1"]]]]}';
const PIPES = '{"i":1,"pipes":[[0,[[5,4,"AB",2,"0:1"]]]]}';
const ALL = [RESULTS[0]!, VMAS, PAGES, RESULTS[1]!, CHILD, PINS, PIPES, RESULTS[2]!];

/** Compares the output with one in which `line` is replaced. */
function changed(line: string, by: string, count = 3): Agreement {
  return compareOutputs(
    ops,
    count,
    ALL,
    ALL.map((one) => (one === line ? by : one)).filter((one) => one !== ''),
  );
}

describe('levels', () => {
  it('every recorded output agrees with itself at every level', () => {
    for (const name of readdirSync(DATA)) {
      const recording = parseRecordings(name, readText(resolve(DATA, name)))[0]!;
      const trace = parseTrace(recording.trace);
      const lines = recording.out.split('\n').filter((line) => line !== '');
      const n = recording.ops;
      const result = compareOutputs(trace.ops, n, lines, lines);
      expect(result).toEqual({ ops: n, agree: [n, n, n, n], before: [n, n, n, n], difference: null });
    }
  });

  it('1: another result: no level from there on for the operation, the others still agree', () => {
    const { agree, before, difference } = changed(RESULTS[1]!, '{"i":1,"op":"fork","p":0,"err":"ENOMEM"}');
    expect([agree, before]).toEqual([
      [2, 2, 2, 2],
      [1, 1, 1, 1],
    ]);
    expect(difference).toEqual({
      op: 1,
      text: 'fork c=1',
      level: 1,
      expected: RESULTS[1],
      got: '{"i":1,"op":"fork","p":0,"err":"ENOMEM"}',
    });
  });

  it('4 only: another number of faults', () => {
    expect(changed(RESULTS[0]!, RESULTS[0]!.replace('[1,0]', '[2,0]')).agree).toEqual([3, 3, 3, 2]);
  });

  it('2: other VMAs stay other until a line says otherwise', () => {
    expect(changed(VMAS, VMAS.replace('me ac', 'me')).agree).toEqual([3, 0, 0, 0]);
  });

  it.each([
    ['the kind', 'AXBE', 'FBE'],
    ['the contents', '"01"', '"02"'],
    ['no page', '"pages":[[1,1,"AXBE",1,"01"]]', '"pages":[[2,1,"AXBE",1,"01"]]'],
  ])('3: %s of a page', (_what, from, to) => {
    expect(changed(PAGES, PAGES.replace(from, to)).agree).toEqual([3, 3, 0, 0]);
  });

  it('3: which pages are the same, of processes, pins and pipes', () => {
    expect(changed(CHILD, CHILD.replace(',"0:1"', '')).agree).toEqual([3, 3, 2, 2]);
    expect(changed(PINS, PINS.replace('0:1', '0:2')).agree).toEqual([3, 3, 1, 1]);
    expect(changed(PIPES, PIPES.replace('0:1', '0:2')).agree).toEqual([3, 3, 1, 1]);
    expect(changed(PIPES, PIPES.replace('5,4', '5,3')).agree).toEqual([3, 3, 1, 1]);
  });

  it('4 only: letters and map counts of pages, pins and pipes', () => {
    expect(changed(PAGES, PAGES.replace('AXBE', 'ABE')).agree).toEqual([3, 3, 3, 0]);
    expect(changed(PAGES, PAGES.replace('E",1', 'E",2')).agree).toEqual([3, 3, 3, 0]);
    expect(changed(PINS, PINS.replace('AXB', 'AB')).agree).toEqual([3, 3, 3, 1]);
    expect(changed(PIPES, PIPES.replace('"AB",2', '"AB",1')).agree).toEqual([3, 3, 3, 1]);
  });

  it('runs cut elsewhere say the same', () => {
    const cut = '{"i":1,"pins":[[0,[[0,1,"AXB",1,"01","0:1"],[1,1,"AXB",1,"01","0:2"]]]]}';
    expect(changed(PINS, cut).agree).toEqual([3, 3, 3, 1]);
  });

  it('an exit forgets what was there', () => {
    expect(changed(CHILD, '').agree).toEqual([3, 3, 2, 2]);
  });

  it('a page that is there and should have gone stays a difference', () => {
    const gone = '{"i":2,"proc":0,"pages":[[1,1,""]]}';
    expect(compareOutputs(ops, 3, [...ALL, gone], ALL).agree).toEqual([3, 3, 2, 2]);
    expect(compareOutputs(ops, 3, ALL, [...ALL, gone]).agree).toEqual([3, 3, 2, 2]);
  });

  it('an output that ends early disagrees from there on; only the operations asked for count', () => {
    const { agree, before, difference } = compareOutputs(ops, 3, ALL, ALL.slice(0, 3));
    expect([agree[0], before[0], difference]).toEqual([1, 1, expect.objectContaining({ op: 1, level: 1, got: '' })]);
    expect(compareOutputs(ops, 1, ALL, ALL.slice(0, 3))).toMatchObject({
      ops: 1,
      agree: [1, 1, 1, 1],
      difference: null,
    });
  });

  it('the first observation, before any operation, is compared too', () => {
    const files = '{"i":-1,"files":[[0,4096,1,0]]}';
    const { agree, before, difference } = compareOutputs(ops, 3, [files, ...ALL], ALL);
    expect([agree, before]).toEqual([
      [3, 3, 3, 0],
      [3, 3, 3, 0],
    ]);
    expect(difference).toMatchObject({ op: -1, level: 4, expected: files, got: '' });
  });
});

describe('figures', () => {
  it('a trace counts at a level when all of it agrees there; the sums are by profile, then of all', () => {
    const half = { ...changed(VMAS, VMAS.replace('me ac', 'me')), id: 'a-1', profile: 'a' };
    const whole = { ...changed('', ''), id: 'b-1', profile: 'b' };
    const figures = summarize([half, whole]);
    expect(figures.map(({ profile, traces, ops: n }) => [profile, traces, n])).toEqual([
      ['a', 1, 3],
      ['b', 1, 3],
      ['all', 2, 6],
    ]);
    expect(figures[2]!.levels).toEqual([
      { traces: 2, before: 6, agree: 6 },
      { traces: 1, before: 3, agree: 3 },
      { traces: 1, before: 3, agree: 3 },
      { traces: 1, before: 3, agree: 3 },
    ]);
  });
});
