import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generate } from '../co.mjs';
import { Tree } from './tree.ts';

const FILE = 'packages/gup/src/fast.co.ts';
const PLAIN = 'packages/gup/src/fast.gen.ts';

/** The plain build of one file, without its map. */
function stripped(source: string): string {
  const tree = new Tree({ [FILE]: source });
  expect(generate(tree.root).errors).toEqual([]);
  const text = tree.read(PLAIN);
  expect(text).toContain('//# sourceMappingURL=data:application/json');
  return text.slice(0, text.indexOf('//# sourceMappingURL='));
}

describe('what is stripped', () => {
  it('the star of functions, declared and as expressions', () => {
    expect(stripped('export function* f(): Task<void> {}\n')).toBe('export function f(): void {}\n');
    expect(stripped('function*f(): Task<void> {}\n')).toBe('function f(): void {}\n');
    expect(stripped('function *f(): Task<void> {}\n')).toBe('function f(): void {}\n');
    expect(stripped('const f = function*(): Task<void> {};\n')).toBe('const f = function(): void {};\n');
    expect(stripped('const f = function* g(): Task<void> {};\n')).toBe('const f = function g(): void {};\n');
  });

  it('the star of methods: static, computed, string-named, private, of objects', () => {
    expect(stripped('class A { *f(): Task<void> {} }\n')).toBe('class A { f(): void {} }\n');
    expect(stripped('class A { static *f(): Task<void> {} }\n')).toBe('class A { static f(): void {} }\n');
    expect(stripped('class A { static*f(): Task<void> {} }\n')).toBe('class A { static f(): void {} }\n');
    expect(stripped('class A { *static(): Task<void> {} }\n')).toBe('class A { static(): void {} }\n');
    expect(stripped('class A { *[k](): Task<void> {} }\n')).toBe('class A { [k](): void {} }\n');
    expect(stripped("class A { *'a b'(): Task<void> {} }\n")).toBe("class A { 'a b'(): void {} }\n");
    expect(stripped('class A { *#f(): Task<void> {} }\n')).toBe('class A { #f(): void {} }\n');
    expect(stripped('const o = { *f(): Task<void> {} };\n')).toBe('const o = { f(): void {} };\n');
    expect(stripped('const o = { f: function*(): Task<void> {} };\n')).toBe('const o = { f: function(): void {} };\n');
    expect(stripped('class A { f = function* (): Task<void> {}; }\n')).toBe('class A { f = function (): void {}; }\n');
  });

  it('the star behind comments that hold stars', () => {
    const source = 'export function /* a * b */ * /* * */ f(): Task<void> {}\n';
    expect(stripped(source)).toBe('export function /* a * b */  /* * */ f(): void {}\n');
    expect(stripped('class A { static // *\n *f(): Task<void> {} }\n')).toBe(
      'class A { static // *\n f(): void {} }\n',
    );
  });

  it('Task<X> becomes X wherever it stands, with parentheses where the meaning needs them', () => {
    expect(stripped('export type F = (a: number) => Task<0 | 1>;\n')).toBe('export type F = (a: number) => 0 | 1;\n');
    expect(stripped('export interface I { f(): Task<number>; }\n')).toBe('export interface I { f(): number; }\n');
    expect(stripped('export type L = Task<1 | 2>[];\n')).toBe('export type L = (1 | 2)[];\n');
    expect(stripped('export type M = Task<Task<number>>;\n')).toBe('export type M = number;\n');
  });

  it('Task leaves the imports, the other names stay', () => {
    expect(stripped("import type { Task } from '@mmkit/base';\nf();\n")).toBe('\nf();\n');
    expect(stripped("import { type Task, A } from '@mmkit/base';\n")).toBe("import { A } from '@mmkit/base';\n");
    expect(stripped("import { A, type Task } from '@mmkit/base';\n")).toBe("import { A } from '@mmkit/base';\n");
    expect(stripped("import { A, type Task, B } from '@mmkit/base';\n")).toBe("import { A, B } from '@mmkit/base';\n");
  });

  it('yield* before a call, its value used or not', () => {
    const source =
      'function* f(): Task<number> {\n  yield* g();\n  const a = 1 + (yield* a.b(2));\n  return yield* this.m();\n}\n';
    expect(stripped(source)).toBe('function f(): number {\n  g();\n  const a = 1 + (a.b(2));\n  return this.m();\n}\n');
    expect(stripped('function* f(): Task<void> { if (x) yield* g(); else yield*h(); }\n')).toBe(
      'function f(): void { if (x) g(); else h(); }\n',
    );
  });

  it('a point becomes `;` in a block', () => {
    expect(stripped('function* f(): Task<void> { yield P_GUP_READ; g(); }\n')).toBe('function f(): void { ; g(); }\n');
    expect(stripped('function* f(): Task<void> { switch (x) { case 1: yield 7; } }\n')).toBe(
      'function f(): void { switch (x) { case 1: ; } }\n',
    );
  });

  it('a point with what the next step touches goes away whole', () => {
    const source = 'function* f(): Task<void> { yield reads(s,\n writes(s, P, this.a!, i + 1), o.b[0]); g(); }\n';
    expect(stripped(source)).toBe('function f(): void { ;\n g(); }\n');
    expect(stripped('function* f(): Task<void> { yield noted(m.s, P); g(); }\n')).toBe(
      'function f(): void { ; g(); }\n',
    );
    expect(stripped('function* f(): Task<void> {\n  if (x) yield reads(s, P, o);\n  g();\n}\n')).toBe(
      'function f(): void {\n  if (x) {}\n  g();\n}\n',
    );
  });

  it('a point becomes `{}` elsewhere: the next line must not become conditional', () => {
    expect(stripped('function* f(): Task<void> {\n  if (x) yield P;\n  g();\n}\n')).toBe(
      'function f(): void {\n  if (x) {}\n  g();\n}\n',
    );
    expect(stripped('function* f(): Task<void> { while (l.held) yield BLOCKED; }\n')).toBe(
      'function f(): void { while (l.held) {} }\n',
    );
    expect(stripped('function* f(): Task<void> { do yield P; while (x); }\n')).toBe(
      'function f(): void { do {} while (x); }\n',
    );
  });

  it('offsets are right behind characters outside the basic plane', () => {
    expect(stripped("// 😀😀 é\nfunction* f(): Task<void> { yield* g('😀'); }\n")).toBe(
      "// 😀😀 é\nfunction f(): void { g('😀'); }\n",
    );
  });

  it('specifiers: .co.ts, .sched.ts, /sched of every package and of every sub-entry', () => {
    const specifiers = [
      './a.co.ts',
      '../b.sched.ts',
      '@mmkit/task/sched',
      '@mmkit/gup/classic/sched',
      '@mmkit/base',
      './c.ts',
    ];
    const plain = ['./a.gen.ts', '../b.plain.ts', '@mmkit/task', '@mmkit/gup/classic', '@mmkit/base', './c.ts'];
    const imports = (list: string[]): string =>
      list.map((s) => `import { A } from '${s}';\nexport { B } from '${s}';\n`).join('');
    expect(stripped(imports(specifiers))).toBe(imports(plain));
    expect(stripped("export * from './a.co.ts';\n")).toBe("export * from './a.gen.ts';\n");
  });

  it('every line keeps its number', () => {
    const source = `import {
  type Task,
  A,
} from '@mmkit/base';
import type {
  Task,
} from '@mmkit/base';

export function*
  f(): Task<
    number
  > {
  yield P
  ;
  if (A) yield 1
  else yield* g(
    1,
  );
  return yield* g(2); // last
}
`;
    const before = source.split('\n');
    const after = stripped(source).split('\n');
    expect(after.length).toBe(before.length);
    for (const word of ['A,', 'f()', 'number', 'if (A)', 'g(', '1,', '// last']) {
      expect(
        after.findIndex((l) => l.includes(word)),
        word,
      ).toBe(before.findIndex((l) => l.includes(word)));
    }
  });

  it('a file without a newline at its end keeps its last line apart from the map', () => {
    expect(stripped('function* f(): Task<void> {}')).toBe('function f(): void {}\n');
  });
});

describe('the map and stack traces', () => {
  const source = `export function* inner(): Task<void> {
  yield 1;
  throw new Error('x'); }
export function* outer(): Task<void> {
  if (true) yield 2;
  yield* inner();
}
`;
  const files = {
    'packages/gup/package.json': '{"type":"module"}',
    [FILE]: source,
    'packages/gup/src/main.ts': "import { outer } from './fast.gen.ts';\nouter();\n",
  };

  it('a stack names the line of the source, with and without source maps', () => {
    const tree = new Tree(files);
    generate(tree.root);
    const mapped = tree.run('--enable-source-maps', 'packages/gup/src/main.ts').out;
    expect(mapped).toMatch(/at inner .*fast\.co\.ts:3:\d+/);
    expect(mapped).toMatch(/at outer .*fast\.co\.ts:6:\d+/);
    const bare = tree.run('packages/gup/src/main.ts').out;
    expect(bare).toMatch(/at inner .*fast\.gen\.ts:3:\d+/);
    expect(bare).toMatch(/at outer .*fast\.gen\.ts:6:\d+/);
  });

  it('the map names the source only, and has columns', () => {
    const tree = new Tree(files);
    generate(tree.root);
    const encoded = /base64,(\S+)/.exec(tree.read(PLAIN))?.[1] ?? '';
    const map = JSON.parse(Buffer.from(encoded, 'base64').toString()) as { sources: string[]; mappings: string };
    expect(map.sources).toEqual(['fast.co.ts']);
    expect(map.mappings.split(';')[5]).toContain(',');
    expect(existsSync(join(tree.root, PLAIN))).toBe(true);
  });
});
