import { describe, expect, it } from 'vitest';
import { generate } from '../co.mjs';
import { Tree } from './tree.ts';

const FILE = 'packages/gup/src/fast.co.ts';

/** The refusals of a coloured file, beside others when given. */
function refused(source: string, others: Record<string, string> = {}): string[] {
  return generate(new Tree({ ...others, [FILE]: source }).root).errors;
}

const at = (line: number, text: string): string[] => [`${FILE}:${line}: ${text}`];
const LOCK = {
  'packages/task/src/lock.sched.ts': 'export function* lockFolio(l: L): Task<void> { while (l.held) yield BLOCKED; }\n',
  'packages/task/src/lock.plain.ts': 'export function lockFolio(l: L): void {}\n',
};

describe('refused: generators', () => {
  it('without the return type Task<…>', () => {
    const text = 'generator without the return type Task<…>';
    expect(refused('\nexport function* f() {}\n')).toEqual(at(2, text));
    expect(refused('function* f(): Generator<number> {}\n')).toEqual(at(1, text));
    expect(refused('class A { *f() {} }\n')).toEqual(at(1, text));
    expect(refused('const f = function* () {};\n')).toEqual(at(1, text));
  });

  it('async ones', () => {
    expect(refused('async function* f(): Task<void> {}\n')).toEqual(at(1, 'async generator'));
  });

  it('a generator method after a field without `;`: `get⏎*f() {}` would become a getter', () => {
    expect(refused('class A {\n  get\n  *f(): Task<void> {}\n}\n')).toEqual(
      at(3, "generator method after a field without ';'"),
    );
    expect(refused('class A {\n  get;\n  *f(): Task<void> {}\n}\n')).toEqual([]);
  });

  it('Task renamed, qualified or without its argument', () => {
    expect(refused("import { type Task as X } from '@mmkit/base';\n")).toEqual(at(1, 'Task may not be renamed'));
    expect(refused('type F = () => base.Task<void>;\n')).toEqual(at(1, 'write Task<…>, imported by that name'));
    expect(refused('type F = () => Task;\n')).toEqual(at(1, 'write Task<…>, imported by that name'));
  });

  it('an exported class without generator methods: it would exist twice', () => {
    const text = "class 'A' without generator methods: move it to a .ts file";
    expect(refused('export class A { f(): void {} }\n')).toEqual(at(1, text));
    expect(refused('class A {}\nexport { A };\n')).toEqual(at(1, text));
    expect(refused('export class A { *f(): Task<void> {} }\n')).toEqual([]);
    expect(refused('class A {}\n')).toEqual([]);
  });
});

describe('refused: yield', () => {
  const body = (text: string): string => `function* f(): Task<number> {\n  ${text}\n}\n`;

  it('a point that is not a name or a literal: `yield P⏎(0, g)()` is one call', () => {
    const text = 'yield takes one point: a name or a literal, in reads(…), writes(…) or noted(…), or alone';
    expect(refused(body('yield P\n  (0, g)();'))).toEqual(at(2, text));
    expect(refused(body('yield points.P;'))).toEqual(at(2, text));
    expect(refused(body('yield P + 1;'))).toEqual(at(2, text));
    expect(refused(body('yield;'))).toEqual(at(2, text));
    expect(refused(body('yield g(s, P, o);'))).toEqual(at(2, text));
    expect(refused(body('yield reads(s, P, o)();'))).toEqual(at(2, text));
    expect(refused(body('yield reads(s, P + 1, o);'))).toEqual(at(2, text));
    expect(refused(body('yield reads(s, P, o, i++);'))).toEqual(at(2, text));
    expect(refused(body('yield writes(s, reads(s, P, o, g()), q);'))).toEqual(at(2, text));
  });

  it('a value of yield that is used', () => {
    expect(refused(body('const a = yield P;'))).toEqual(at(2, 'the value of yield may not be used'));
    expect(refused(body('if (yield P) g();'))).toEqual(at(2, 'the value of yield may not be used'));
    expect(refused(body('(yield P);'))).toEqual(at(2, 'the value of yield may not be used'));
  });

  it('yield* of something that is not a call', () => {
    const text = 'yield* takes a call; write (yield* f()) as T';
    expect(refused(body('yield* [1, 2];'))).toEqual(at(2, text));
    expect(refused(body('return yield* g() as number;'))).toEqual(at(2, text));
    expect(refused(body('return yield* g;'))).toEqual(at(2, text));
    expect(refused(body('return (yield* g()) as number;'))).toEqual([]);
  });

  it('a line break after yield*: `return yield*⏎ g()` would become `return⏎ g()`', () => {
    const text = 'line break between yield* and its call';
    expect(refused(body('return yield*\n    g();'))).toEqual(at(2, text));
    expect(refused(body('return yield* /*\n*/ g();'))).toEqual(at(2, text));
  });

  it('a call that may glue to the line above', () => {
    const text = 'yield* takes a call that begins with a name: anything else may glue to the line above';
    expect(refused(body('a\n  yield* (g)(1)'))).toEqual(at(3, text));
    expect(refused(body('yield* [g][0](1)'))).toEqual(at(2, text));
    expect(refused(body('yield* `x`.g(1)'))).toEqual(at(2, text));
    expect(refused(body('yield* function* (): Task<void> {}()'))).toEqual(at(2, text));
  });
});

describe('refused: a coloured call without yield*', () => {
  const call = (name: string): string => `call of coloured '${name}' without yield*`;

  it('of a function of the same file', () => {
    const source =
      'function* g(): Task<void> {}\nfunction* f(): Task<void> {\n  g();\n  if (g()) return;\n  yield* g();\n}\n';
    expect(refused(source)).toEqual([...at(3, call('g')), ...at(4, call('g'))]);
    expect(refused('function* g(): Task<void> {}\nfunction f(): Task<void> { return g(); }\n')).toEqual(
      at(2, call('g')),
    );
  });

  it('of an imported function, also renamed', () => {
    expect(refused("import { lockFolio } from '@mmkit/task/sched';\nlockFolio(l);\n", LOCK)).toEqual(
      at(2, call('lockFolio')),
    );
    expect(refused("import { lockFolio as lf } from '@mmkit/task/sched';\nlf(l);\n", LOCK)).toEqual(at(2, call('lf')));
    const own = { 'packages/gup/src/slow.co.ts': 'export function* slow(): Task<void> {}\n' };
    expect(refused("import { slow } from './slow.co.ts';\nslow();\n", own)).toEqual(at(2, call('slow')));
  });

  it('of a port, whose result both builds see as `T | Task<T>`: with a cast only in a file that is not stripped', () => {
    const port = { 'packages/fault/src/port.co.ts': 'export interface P { walk: () => number | Task<number>; }\n' };
    const source = 'export function* f(): Task<number> {\n  return yield* x.walk() as Task<number>;\n}\n';
    expect(refused(source, port)).toContain(`${FILE}:2: ${call('walk')}`);
    const plain = { ...port, 'packages/gup/src/port.plain.ts': 'export function f(): number { return 0; }\n' };
    expect(refused('', { ...plain, 'packages/gup/src/port.sched.ts': source })).toEqual([]);
    const bare = { ...plain, 'packages/gup/src/port.sched.ts': 'x.walk() as Task<number>;\n' };
    expect(refused('', bare)).toEqual([`packages/gup/src/port.sched.ts:1: ${call('walk')}`]);
  });

  it('of a method, an interface method or a field, declared in any file', () => {
    const others = {
      'packages/fault/src/a.co.ts': `
export class A { *walk(): Task<void> {} }
export interface I { open(): Task<void>; close: () => Task<void>; soft: (() => Task<void>) | null; }
`,
    };
    expect(refused('x.walk();\nx.open();\nx.close();\nx?.soft();\n', others)).toEqual([
      ...at(1, call('walk')),
      ...at(2, call('open')),
      ...at(3, call('close')),
      ...at(4, call('soft')),
    ]);
    expect(refused("x['walk']();\n(x.walk)();\nx.walk!();\n", others)).toEqual(
      [1, 2, 3].flatMap((n) => at(n, call('walk'))),
    );
    expect(refused('class A { *#f(): Task<void> { this.#f(); } }\n')).toEqual(at(1, call('#f')));
    expect(refused('const { walk, open: o } = x;\nwalk();\no();\n', others)).toEqual([
      ...at(2, call('walk')),
      ...at(3, call('o')),
    ]);
  });

  it('of a parameter, variable or field whose type is a coloured function or an alias of one', () => {
    const others = { 'packages/base/src/zz.co.ts': 'export type Handler = (a: number) => Task<number>;\n' };
    expect(refused('function f(h: () => Task<void>): void { h(); }\n')).toEqual(at(1, call('h')));
    expect(refused('function f(h: Handler): void { h(); }\n', others)).toEqual(at(1, call('h')));
    expect(refused('function f(h: Handler | null = null): void { h!(1); }\n', others)).toEqual(at(1, call('h')));
    expect(refused('type Again = Handler;\nconst h: Again = x;\nh();\n', others)).toEqual(at(3, call('h')));
    expect(refused('interface C { (): Task<void> }\nclass A { h: C; f(): void { this.h(); } }\n')).toEqual(
      at(2, call('h')),
    );
    expect(refused("import { Handler as H } from '@mmkit/base';\nlet h: H;\nh();\n", others)).toEqual(at(3, call('h')));
    expect(refused('const h = function* (): Task<void> {};\nh();\n')).toEqual(at(2, call('h')));
  });

  it('in a .sched.ts file too', () => {
    const others = {
      ...LOCK,
      'packages/task/src/b.plain.ts': '',
      'packages/task/src/b.sched.ts': "import { lockFolio } from './lock.sched.ts';\nlockFolio(l);\n",
    };
    expect(refused('', others)).toEqual([`packages/task/src/b.sched.ts:2: ${call('lockFolio')}`]);
  });
});

describe('refused: imports', () => {
  it('import(…) as expression and as type: the specifier is not rewritten', () => {
    const text = 'import(…): its specifier is not rewritten, use a static import';
    expect(refused("const a = import('./x.co.ts');\n")).toEqual(at(1, text));
    expect(refused("type A = import('./x.co.ts').A;\n")).toEqual(at(1, text));
  });

  it('a coloured function from the plain build, which would not wait', () => {
    expect(refused("import { lockFolio } from '@mmkit/task';\n", LOCK)).toEqual(
      at(1, "'lockFolio' is coloured: import it from the .co.ts, .sched.ts or /sched file"),
    );
  });

  it('generated and hand-written plain files, and the coloured entry of the own package', () => {
    for (const source of ['./a.gen.ts', '../b.plain.ts', './sched.ts', './classic-sched.ts']) {
      expect(refused(`import { A } from '${source}';\n`)).toEqual(
        at(1, `import of '${source}': name the .co.ts or .sched.ts file`),
      );
    }
  });

  it('a whole coloured module at once, and a coloured function exported under another name', () => {
    const text = "import the names of '@mmkit/task/sched' one by one";
    expect(refused("import * as task from '@mmkit/task/sched';\n", LOCK)).toEqual(at(1, text));
    expect(refused("export { lockFolio as l } from '@mmkit/task/sched';\n", LOCK)).toEqual(
      at(1, "coloured 'lockFolio' exported as 'l'"),
    );
  });
});

describe('refused: files', () => {
  it('a .sched.ts without its .plain.ts', () => {
    const errors = refused('', { 'packages/task/src/lock.sched.ts': '' });
    expect(errors).toEqual(['packages/task/src/lock.sched.ts:1: no lock.plain.ts beside it']);
  });

  it('one that does not parse', () => {
    expect(refused('\nfunction* f( {\n')[0]).toMatch(/^packages\/gup\/src\/fast\.co\.ts:\d: /);
  });

  it('all refusals are given at once, of all files', () => {
    const other = { 'apps/pinlab/src/a.co.ts': 'function* f() {}\n' };
    expect(refused('function* f() {}\n\nfunction* g() {}\n', other).map((e) => e.split(': ')[0])).toEqual([
      `${FILE}:1`,
      `${FILE}:3`,
      'apps/pinlab/src/a.co.ts:1',
    ]);
  });
});
