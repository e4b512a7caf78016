import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { generate } from '../co.mjs';
import { ROOT, Tree, tool } from './tree.ts';

const GOOD = 'export function* f(): Task<number> { yield 1; return 1; }\n';
const FILE = 'packages/gup/src/fast.co.ts';
const PLAIN = 'packages/gup/src/fast.gen.ts';

describe('co', () => {
  it('looks into src of packages and apps, at any depth, and nowhere else', () => {
    const tree = new Tree({
      [FILE]: GOOD,
      'packages/gup/src/a/b/c.co.ts': GOOD,
      'apps/lab/src/x.co.ts': GOOD,
      'packages/gup/test/y.co.ts': GOOD,
    });
    expect(tree.run(tool('co.mjs'))).toEqual({ status: 0, out: '' });
    expect(existsSync(join(tree.root, PLAIN))).toBe(true);
    expect(existsSync(join(tree.root, 'packages/gup/src/a/b/c.gen.ts'))).toBe(true);
    expect(existsSync(join(tree.root, 'apps/lab/src/x.gen.ts'))).toBe(true);
    expect(existsSync(join(tree.root, 'packages/gup/test/y.gen.ts'))).toBe(false);
  });

  it('finds the workspace from a folder inside it, and says when there is none', () => {
    const tree = new Tree({ [FILE]: GOOD });
    expect(tree.run(tool('co.mjs'), 'packages/gup/src').status).toBe(0);
    expect(existsSync(join(tree.root, PLAIN))).toBe(true);
    expect(tree.run(tool('co.mjs'), '/').out).toContain('no pnpm-workspace.yaml');
  });

  it('writes only what differs; an edited source and a hand-edited plain file are made anew', () => {
    const tree = new Tree({ [FILE]: GOOD });
    expect(generate(tree.root).changed).toBe(1);
    expect(generate(tree.root).changed).toBe(0);
    const made = tree.read(PLAIN);
    tree.write(PLAIN, made.replace('return 1', 'return 2'));
    expect(generate(tree.root).changed).toBe(1);
    expect(tree.read(PLAIN)).toBe(made);
    tree.write(FILE, GOOD.replace('return 1', 'return 3'));
    expect(generate(tree.root).changed).toBe(1);
    expect(tree.read(PLAIN)).toContain('return 3');
  });

  it('deletes a plain file whose source is gone', () => {
    const tree = new Tree({ [PLAIN]: 'export const old = 1;\n', 'packages/gup/src/lock.plain.ts': '' });
    generate(tree.root);
    expect(readdirSync(join(tree.root, 'packages/gup/src'))).toEqual(['lock.plain.ts']);
  });

  it('deletes the plain file of a source that it refuses, makes the others, prints file:line, and exits 1', () => {
    const tree = new Tree({ [FILE]: GOOD, 'packages/gup/src/slow.co.ts': GOOD });
    generate(tree.root);
    tree.write(FILE, `${GOOD}\nf();\n`);
    tree.write('packages/gup/src/slow.co.ts', GOOD.replace('1;', '2;'));
    expect(tree.run(tool('co.mjs'))).toEqual({ status: 1, out: `${FILE}:3: call of coloured 'f' without yield*\n` });
    expect(existsSync(join(tree.root, PLAIN))).toBe(false);
    expect(existsSync(join(tree.root, 'packages/gup/src/slow.gen.ts'))).toBe(true);
  });

  it('six at once are safe: every file is whole and nothing else is left', async () => {
    const files = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`packages/gup/src/f${i}.co.ts`, GOOD]));
    const tree = new Tree(files);
    const runs = Array.from({ length: 6 }, () =>
      spawn(process.execPath, [tool('co.mjs'), tree.root], { stdio: 'inherit' }),
    );
    const codes = await Promise.all(runs.map((run) => new Promise((done) => run.on('close', done))));
    expect(codes).toEqual([0, 0, 0, 0, 0, 0]);
    const names = readdirSync(join(tree.root, 'packages/gup/src'));
    expect(names.filter((name) => name.endsWith('.gen.ts')).length).toBe(40);
    expect(names.length).toBe(80);
    expect(generate(tree.root)).toEqual({ errors: [], changed: 0 });
  });

  it('--watch makes it again after an edit, and goes on after a refusal', async () => {
    const tree = new Tree({ [FILE]: GOOD });
    const child = spawn(process.execPath, [tool('co.mjs'), '--watch', tree.root], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
    try {
      await vi.waitFor(() => expect(log).toContain('co: watching'), 10_000);
      tree.write(FILE, 'export function* f() {}\n');
      await vi.waitFor(() => expect(log).toContain(`${FILE}:1: generator without`), 10_000);
      tree.write(FILE, GOOD.replace('return 1', 'return 4'));
      await vi.waitFor(() => expect(tree.read(PLAIN)).toContain('return 4'), 10_000);
    } finally {
      child.kill();
    }
  });
});

describe('the vitest plugin', () => {
  const files = {
    [FILE]: GOOD,
    'package.json': '{"type":"module"}',
    'vitest.config.ts': `import { co } from ${JSON.stringify(tool('co.mjs'))};
export default { plugins: [co(import.meta.dirname)], test: { include: ['packages/*/test/*.test.ts'] } };
`,
    'packages/gup/test/a.test.ts': `import { expect, it } from 'vitest';
import { f } from '../src/fast.gen.ts';
it('runs the plain build', () => expect(f()).toBe(1));
`,
    'packages/gup/test/b.test.ts': "import { it } from 'vitest';\nit('needs no coloured file', () => {});\n",
  };
  const VITEST = join(ROOT, 'node_modules/vitest/vitest.mjs');

  it('a missing, stale or hand-edited plain file is made before the tests run', () => {
    const tree = new Tree(files);
    tree.linkModules();
    tree.write(PLAIN, 'export function f(): number { return 2; }\n');
    const { status, out } = tree.run(VITEST, 'run');
    expect(out).toContain('2 passed');
    expect(status).toBe(0);
  });

  it('a test that needs a refused file fails with the refusal, the others run', () => {
    const tree = new Tree({ ...files, [FILE]: `${GOOD}f();\n` });
    tree.linkModules();
    const { status, out } = tree.run(VITEST, 'run');
    expect(out).toContain(`${FILE}:2: call of coloured 'f' without yield*`);
    expect(out).toMatch(/1 failed \| 1 passed/);
    expect(status).toBe(1);
  });

  it('a failure shows the line of the source', () => {
    const tree = new Tree({
      ...files,
      [FILE]: "export function* f(): Task<number> {\n  yield 1;\n  throw new Error('here');\n}\n",
    });
    tree.linkModules();
    expect(tree.run(VITEST, 'run').out).toMatch(/fast\.co\.ts:3:\d+/);
  });
});
