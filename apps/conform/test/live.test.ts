/** Fresh traces: the generator and the shrinker without a kernel, the whole with a kernel that is the model. */
import { describe, expect, it } from 'vitest';
import { BadInput, EXIT_OK } from '../src/exit.ts';
import { liveTraceCommand, runLive } from '../src/live/command.ts';
import type { Kernel } from '../src/live/command.ts';
import { generateTrace, poolOf } from '../src/live/generate.ts';
import { shrink } from '../src/live/shrink.ts';
import { Random } from '../src/mmu/live/random.ts';
import { parseTrace } from '../src/trace/parse.ts';
import type { Trace } from '../src/trace/parse.ts';
import { runModel } from '../src/world/model.ts';
import { recordings } from './data.ts';
import { onKernel } from './kernel.ts';

const POOL = poolOf(recordings('anon'));

function traces(count: number): Trace[] {
  return Array.from({ length: count }, (_, i) => parseTrace(generateTrace(POOL, i, new Random(5, i))));
}

/** Operations of each kind in 1000. */
function shares(ops: readonly { readonly name: string }[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { name } of ops) counts.set(name, (counts.get(name) ?? 0) + 1000 / ops.length);
  return counts;
}

describe('generated traces', () => {
  const list = traces(120);

  it('follow from the seed and the number alone', () => {
    expect(generateTrace(POOL, 3, new Random(5, 3))).toBe(generateTrace(POOL, 3, new Random(5, 3)));
    expect(generateTrace(POOL, 3, new Random(6, 3))).not.toBe(generateTrace(POOL, 3, new Random(5, 3)));
  });

  it('have the files and lengths of the recorded ones', () => {
    for (const { files, ops, profile } of list) {
      expect(profile).toBe('anon');
      expect(files).toHaveLength(5);
      expect(POOL.lengths).toContain(ops.length);
    }
  });

  it('have their kinds of operations, about as often', () => {
    const recorded = shares(POOL.ops);
    const drawn = shares(list.flatMap(({ ops }) => ops));
    expect([...drawn.keys()].every((name) => recorded.has(name))).toBe(true);
    for (const [name, share] of recorded) {
      // Some find no place: a fifth process, the exit of the first.
      expect(Math.abs((drawn.get(name) ?? 0) - share), name).toBeLessThan(25);
    }
  });

  it('have operations only of living processes, which fork and exit in turn', () => {
    for (const { ops } of list) {
      const alive = new Set([0]);
      for (const { name, p, c } of ops) {
        if (name === 'fork') {
          expect(alive.has(p) && !alive.has(c)).toBe(true);
          alive.add(c);
        } else if (name === 'exit') {
          expect(p).not.toBe(0);
          expect(alive.delete(p)).toBe(true);
        } else if (!['unpin', 'dmaw', 'dmar', 'piperead'].includes(name)) {
          expect(alive.has(p), name).toBe(true);
        }
      }
    }
  });

  it('stay in the arena, and mostly where something is mapped', () => {
    let stores = 0;
    let stopped = 0;
    for (const trace of list.slice(0, 20)) {
      for (const line of runModel(trace)) {
        expect(line).not.toContain('"RANGE"');
        if (!line.includes('"op":"store"')) continue;
        stores++;
        if (line.includes('"ret":0,"sig"')) stopped++;
      }
    }
    expect(stores).toBeGreaterThan(100);
    expect(stopped).toBeLessThan(stores / 2);
  });
});

describe('the smallest trace', () => {
  const lines = ['trace', 'a n=8', 'b n=5 len=4096', 'c', 'd at=64 n=3 v=200', 'e'];

  it('has no line and no number that could be less; the first line, addresses and slots stay', () => {
    // What differs: b with at least 9 bytes, and after it d.
    const differs = (some: readonly string[]): boolean => {
      const b = some.findIndex((line) => line.startsWith('b ') && Number(/len=(\d+)/.exec(line)![1]) >= 9);
      return b > 0 && some.slice(b).some((line) => line.startsWith('d '));
    };
    const found = shrink(lines, (candidates) => candidates.map(differs));
    // Halving ends between 9 and 17.
    expect(found).toEqual(['trace', 'b n=1 len=16', 'd at=64 n=1 v=1']);
  });

  it('two changes that only go alone are not made together', () => {
    const one = (some: readonly string[]): boolean => some.includes('c') || some.includes('e');
    const found = shrink(lines, (candidates) => candidates.map(one));
    expect(found).toHaveLength(2);
    expect(one(found)).toBe(true);
  });

  it('a difference that needs everything keeps everything', () => {
    expect(shrink(lines, (candidates) => candidates.map(() => false))).toBe(lines);
  });
});

describe('live', () => {
  /** The model in the kernel's place; `bend` changes its lines. */
  function model(bend: (line: string, run: number) => string): { kernel: Kernel; runs: () => number } {
    let runs = 0;
    const kernel: Kernel = (texts) => {
      runs++;
      return texts.map((text) => {
        const lines = runModel(parseTrace(text)).map((line) => bend(line, runs));
        return lines.map((line) => `${line}\n`).join('');
      });
    };
    return { kernel, runs: () => runs };
  }

  it('agreement: the kernel is asked once for each batch', () => {
    const { kernel, runs } = model((line) => line);
    const report = runLive(POOL, 7, 200, kernel);
    expect(report).toMatchObject({ unsteady: 0, differences: [], smallest: null });
    expect(report.operations).toBeGreaterThanOrEqual(200);
    expect(runs()).toBe(1);
  });

  it('a difference is shown, and the smallest trace with it', () => {
    const { kernel } = model((line) => line.replace(/("op":"mlock","p":\d),"ret":0/, '$1,"err":"EPERM"'));
    const { differences, smallest } = runLive(POOL, 7, 300, kernel);
    expect(differences.length).toBeGreaterThan(0);
    expect(differences[0]).toMatchObject({ level: 1 });
    expect(differences[0]!.text).toMatch(/^mlock /);
    const { files, ops } = parseTrace(smallest!.trace);
    expect(files).toEqual([]);
    expect(ops.map(({ name }) => name)).toEqual(expect.arrayContaining(['mlock']));
    expect(ops.length).toBeLessThanOrEqual(2);
    expect(smallest!.expected).toContain('"err":"EPERM"');
  });

  it('a difference that the kernel does not show again is counted apart', () => {
    const { kernel } = model((line, run) => (run === 1 ? line.replace('"ret":0', '"ret":9') : line));
    const report = runLive(POOL, 7, 100, kernel);
    expect(report).toMatchObject({ differences: [], smallest: null });
    expect(report.unsteady).toBeGreaterThan(0);
  });

  it('a trace that the kernel does not finish is a difference', () => {
    const { differences } = runLive(poolOf(recordings('anon').slice(0, 1)), 7, 1, (texts) => texts.map(() => null));
    expect(differences).toHaveLength(1);
    expect(differences[0]).toMatchObject({ text: 'the end', expected: 'the kernel did not finish the trace' });
  });

  it.each([
    [{ profile: 'swap' }, /^--profile: expected anon .*, got swap$/],
    [{ count: '0' }, /^--count: expected an integer from 1, got 0$/],
    [{ seed: 'x' }, /^--seed: expected an integer from 0, got x$/],
  ])('%o is refused', (options, message) => {
    const never = (): never => {
      throw new Error('nothing is printed');
    };
    const call = (): unknown => liveTraceCommand({ profile: 'anon', seed: '1', count: '1', ...options }, never);
    expect(call).toThrow(BadInput);
    expect(call).toThrow(message);
  });

  it.each(['anon', 'anonvma', 'cow'])('%s: model and running kernel agree on fresh operations', (profile) => {
    onKernel((recorder) => {
      const report = runLive(poolOf(recordings(profile)), 11, 150, (texts) => recorder.outputs(texts));
      expect(report.differences).toEqual([]);
    });
  });

  it('prints operations, traces and differences', () => {
    onKernel(() => {
      const printed: string[] = [];
      const code = liveTraceCommand({ profile: 'cow', seed: '3', count: '20' }, (text) => printed.push(text));
      expect(code).toBe(EXIT_OK);
      expect(printed.join('')).toMatch(/^\d+ operations in \d+ traces: 0 traces differ\n$/);
    });
  });
});
