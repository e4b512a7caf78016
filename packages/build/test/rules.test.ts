import { describe, expect, it } from 'vitest';
import { Tree, tool } from './tree.ts';

const SRC = 'packages/phys/src/a.ts';
const LINT = JSON.stringify({
  overrides: [
    {
      files: ['packages/phys/**'],
      rules: {
        'no-restricted-imports': [
          'error',
          { patterns: [{ message: 'floor 2', group: ['@mmkit/**', '!@mmkit/base'] }] },
        ],
      },
    },
  ],
});

function offences(files: Record<string, string>): string[] {
  const { status, out } = new Tree({ '.oxlintrc.json': LINT, ...files }).run(tool('rules.mjs'));
  expect(status).toBe(out === '' ? 0 : 1);
  return out.split('\n').filter(Boolean);
}

/** The offences of one source file, without its path: `line: text`. */
const inSource = (text: string): string[] => offences({ [SRC]: text }).map((line) => line.replace(`${SRC}:`, ''));

describe('module-level state in packages/*/src', () => {
  it('refuses let and var', () => {
    expect(inSource('\nexport let a = 1;\nvar b = 2;\n')).toEqual([
      "2: module-level 'let': module-level state",
      "3: module-level 'var': module-level state",
    ]);
  });

  it('refuses everything constructed', () => {
    const news = [
      'new Map()',
      'new Set([1])',
      'new Array(3)',
      'new Int32Array(4)',
      'Object.freeze(new Set())',
      'new A()',
    ];
    const source = news.map((value, i) => `export const c${i}: unknown = ${value};\n`).join('');
    expect(inSource(source)).toEqual(
      ['Map', 'Set', 'Array', 'Int32Array', 'Set', 'A'].map((name, i) => `${i + 1}: new ${name}: module-level state`),
    );
  });

  it('refuses literals that are not frozen, also inside others', () => {
    const text = 'changeable literal: use Object.freeze(…) or `as const`';
    const source = `export const a: number[] = [];
export const b: object = {};
export const c: readonly number[][] = Object.freeze([[1]]);
export const d: object = Object.freeze({ x: { y: 1 } });
export const e: object = a ?? {};
export const f: object = (x ? y : [1]) as object;
class A { static readonly g = []; }
`;
    expect(inSource(source)).toEqual([1, 2, 3, 4, 5, 6, 7].map((line) => `${line}: ${text}`));
  });

  it('refuses values that a call makes, unless they are primitive or frozen', () => {
    const text = 'made by a call: annotate it as a primitive, or wrap the call in Object.freeze(…)';
    const source = `export const a: object = f();
export const b: number = f();
export const c: object = Object.freeze(f());
export const d: readonly number[] = Array.from({ length: 3 });
`;
    expect(inSource(source)).toEqual([`1: ${text}`, `4: ${text}`]);
  });

  it('refuses static fields and blocks, statements, await, stateful regular expressions, export *', () => {
    const source = `export class A {
  static count = 0;
  static { f(); }
}
f();
A.count = 1;
if (a) b();
for (const x of y) z(x);
export const c: RegExp = /x/g;
export * from './b.ts';
`;
    expect(inSource(source)).toEqual([
      '2: static field that is not readonly: module-level state',
      '3: static block: module-level code',
      ...[5, 6, 7, 8].map((line) => `${line}: statement that runs at import`),
      '9: a regular expression with g or y keeps lastIndex',
      '10: export the names one by one',
    ]);
  });

  it('lets constants, frozen values, functions, classes and types through', () => {
    const source = `import { f } from './b.ts';
export { f };
export const A = 0x10;
export const B: number = A | 1;
export const C: readonly number[] = Object.freeze([1, 2]);
export const D = { x: [1] } as const;
export const E: readonly (readonly [number, string])[] = Object.freeze([[1, 'a']] as const);
export const F: Format = Object.freeze({ shifts: Object.freeze([12, 21]), decode(lo: number): number { return lo; } });
export const G = (x: number): number => x;
export const H: RegExp = /x/u;
export const I: symbol = Symbol('i');
export class J { static readonly K = 1; field = []; static make(): J { return new J(); } }
export interface L { x: number }
export type M = number;
export declare const N: number;
export function g(): number[] { const list = []; let n = 0; list.push(n++); return list; }
`;
    expect(inSource(source)).toEqual([]);
  });

  it('holds for coloured files, not for generated ones, tests and apps', () => {
    const text = 'export let a = 1;\n';
    expect(
      offences({
        'packages/phys/src/a.co.ts': text,
        'packages/phys/src/deep/b.sched.ts': text,
        'packages/phys/src/c.gen.ts': text,
        'packages/phys/test/d.ts': text,
        'apps/lab/src/e.ts': text,
      }).map((line) => line.split(':')[0]),
    ).toEqual(['packages/phys/src/a.co.ts', 'packages/phys/src/deep/b.sched.ts']);
  });
});

describe('other rules', () => {
  it('a relative import may not leave its package', () => {
    expect(
      offences({
        'packages/phys/src/a.ts':
          "import { b } from '../../vma/src/b.ts';\nimport { c } from './c.ts';\nexport { b, c };\n",
        'apps/lab/src/a.ts': "export { b } from '../../../packages/vma/src/b.ts';\n",
        'packages/phys/test/a.ts':
          "import { b } from '../src/b.ts';\nimport { c } from '../../vma/src/c.ts';\nexport { b, c };\n",
      }),
    ).toEqual([
      "apps/lab/src/a.ts:1: relative import '../../../packages/vma/src/b.ts' leaves the package: import it by name",
      "packages/phys/src/a.ts:1: relative import '../../vma/src/b.ts' leaves the package: import it by name",
      "packages/phys/test/a.ts:2: relative import '../../vma/src/c.ts' leaves the package: import it by name",
    ]);
  });

  it('no comment switches a lint rule off', () => {
    expect(inSource('\n// oxlint-disable-next-line\nexport const a = 1;\n')).toEqual([
      '2: a lint rule may not be switched off here',
    ]);
  });

  it('dependencies follow the floors, dev dependencies too, and every public package has a floor', () => {
    const manifest = (name: string, fields: object): string => JSON.stringify({ name, ...fields }, null, 2);
    expect(
      offences({
        'packages/phys/package.json': manifest('@mmkit/phys', {
          dependencies: { '@mmkit/base': '1', '@mmkit/gup': '1' },
          devDependencies: { '@mmkit/mm': '1', vitest: '1' },
        }),
        'packages/new/package.json': manifest('@mmkit/new', {}),
        'packages/tool/package.json': manifest('@mmkit/tool', { private: true, dependencies: { '@mmkit/gup': '1' } }),
      }),
    ).toEqual([
      '.oxlintrc.json:1: no floor for packages/new',
      'packages/phys/package.json:5: depends on @mmkit/gup: floor 2',
      'packages/phys/package.json:8: depends on @mmkit/mm: floor 2',
    ]);
  });
});
