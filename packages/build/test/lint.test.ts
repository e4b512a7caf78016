/** The rules that oxlint enforces, by the real configuration on small trees: the offending line is shown. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT, Tree } from './tree.ts';

const CONFIG = readFileSync(join(ROOT, '.oxlintrc.json'), 'utf8');

/** What oxlint says about files. */
function lint(files: Record<string, string>, ...options: string[]): string {
  const tree = new Tree({ ...files, '.oxlintrc.json': CONFIG, 'apps/harmless.ts': 'export const a = 1;\n' });
  tree.linkModules();
  return tree.run(join(ROOT, 'node_modules/oxlint/bin/oxlint'), ...options, 'packages', 'apps').out;
}

/** One statement per line in one source file; the lines that are refused. */
function refusedLines(path: string, source: string): number[] {
  const out = lint({ [path]: source }, '-f', 'unix').split('\n');
  const lines = out.filter((line) => line.startsWith(`${path}:`)).map((line) => Number(line.split(':')[1]));
  return [...new Set(lines)].sort((a, b) => a - b);
}

const SRC = 'packages/phys/src/a.ts';

describe('the floor rule', () => {
  const imports = (from: string): string => `import { A } from '${from}';\nexport { A };\n`;

  it('shows the offending line', () => {
    const out = lint({ [SRC]: `\n${imports('@mmkit/gup')}` });
    expect(out).toContain(`${SRC}:2:1`);
    expect(out).toContain("import { A } from '@mmkit/gup';");
    expect(out).toContain('phys is on floor 2 and imports only from floors below');
  });

  it('holds for sources, tests, examples and benches, for sub-entries, and for the same floor', () => {
    for (const folder of ['src', 'test', 'examples', 'bench']) {
      expect(refusedLines(`packages/phys/${folder}/a.ts`, imports('@mmkit/gup')), folder).toEqual([1]);
    }
    for (const from of ['@mmkit/gup/sched', '@mmkit/gup/classic/sched', '@mmkit/task', '@mmkit/vma', '@mmkit/build']) {
      expect(refusedLines(SRC, imports(from)), from).toEqual([1]);
    }
  });

  it('holds for type imports, re-exports and dynamic imports', () => {
    const source = `import type { A } from '@mmkit/gup';
export { B } from '@mmkit/gup';
export * from '@mmkit/gup';
export const c: unknown = import('@mmkit/gup');
export type { A };
`;
    expect(refusedLines(SRC, source)).toEqual([1, 2, 3, 4]);
  });

  it('lets lower floors, their sub-entries and the package itself through; explore has only task', () => {
    expect(refusedLines(SRC, imports('@mmkit/base'))).toEqual([]);
    expect(refusedLines('packages/phys/test/a.ts', imports('@mmkit/phys'))).toEqual([]);
    expect(refusedLines('packages/gup/src/a.ts', imports('@mmkit/task/sched'))).toEqual([]);
    expect(refusedLines('packages/explore/src/a.ts', imports('@mmkit/task/sched'))).toEqual([]);
    expect(refusedLines('packages/explore/src/a.ts', imports('@mmkit/base'))).toEqual([1]);
    expect(refusedLines('apps/pinlab/src/a.ts', imports('@mmkit/kernel'))).toEqual([]);
  });

  it('has an entry for every floor of the house', () => {
    const floors = 'base task phys vma rwsem pgtable explore filemap aspace fault gup mm kernel'.split(' ');
    for (const name of floors) expect(CONFIG).toContain(`["packages/${name}/**"]`);
  });
});

describe('determinism', () => {
  const LINES = `export const a1: unknown = Date.now();
export const a2: unknown = new Date();
export const a3: unknown = performance.now();
export const a4: unknown = Math.random();
export const { random } = Math;
export const a6: unknown = setTimeout(f, 1);
export const a7: unknown = setInterval(f, 1);
export const a8: unknown = setImmediate(f);
export const a9: unknown = Promise.resolve();
export const b1: unknown = queueMicrotask(f);
export const b2: unknown = new WeakRef(f);
export const b3: unknown = new FinalizationRegistry(f);
export const b4: unknown = crypto.randomUUID();
export const b5: unknown = new Intl.Collator();
export const b6: unknown = process.env;
export const b7: unknown = globalThis;
export async function f(): Promise<void> {}
export const b9 = async (): Promise<void> => {};
export async function* c1(): AsyncGenerator<number> {}
export type C2 = () => Promise<void>;
export { readFileSync } from 'node:fs';
export { join } from 'path';
export const c5: unknown = import('node:os');
export const c6: unknown = Atomics.waitAsync;
export const c7: unknown = 'a'.localeCompare('b');
export function c8(): void { console.log(1); }
`;
  const ALL = LINES.trim()
    .split('\n')
    .map((_, i) => i + 1);

  it('refuses clock, random, timers, promises, async, weak references, crypto, Intl, process and node:*', () => {
    expect(refusedLines(SRC, LINES)).toEqual(ALL);
    expect(refusedLines('packages/gup/src/deep/er/a.co.ts', LINES)).toEqual(ALL);
    expect(refusedLines('packages/task/src/wait.sched.ts', LINES)).toEqual(ALL);
  });

  it('exempts exactly the async driver, the shared wait and the host file', () => {
    for (const path of ['task/src/drivers/async.ts', 'rwsem/src/shared-wait.ts', 'filemap/src/node.ts']) {
      expect(refusedLines(`packages/${path}`, LINES), path).toEqual([ALL.length]); // console stays refused
    }
    expect(refusedLines('packages/task/src/drivers/sync.ts', LINES)).toEqual(ALL);
    expect(refusedLines('packages/phys/src/node.ts', LINES)).toEqual(ALL);
  });

  it('does not hold for tests, benches and apps', () => {
    expect(refusedLines('packages/phys/test/a.ts', LINES)).toEqual([]);
    expect(refusedLines('apps/pinlab/src/a.ts', LINES)).toEqual([]);
  });
});

describe('everywhere', () => {
  it('no unused names, any, ts-ignore, var, ==, focused or skipped tests', () => {
    const source = `import { it } from 'vitest';
const unused = 1;
export const a: any = 2;
// @ts-ignore
export var b = 3;
export const c = b == 3;
it.only('x', () => {});
it.skip('x', () => {});
export function f(arg: number): void {}
`;
    expect(refusedLines('packages/phys/test/a.test.ts', source)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('no default export from a package; generated files are not looked at', () => {
    expect(refusedLines(SRC, 'export default 1;\n')).toEqual([1]);
    expect(refusedLines('packages/phys/src/a.gen.ts', 'export default 1;\n')).toEqual([]);
  });
});
