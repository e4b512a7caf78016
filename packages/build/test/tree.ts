/** A small workspace in a temporary folder, removed after the test. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { onTestFinished } from 'vitest';

/** The workspace that the tests themselves lie in. */
export const ROOT: string = resolve(import.meta.dirname, '../../..');
/** A tool of packages/build. */
export const tool = (name: string): string => join(ROOT, 'packages/build', name);

export class Tree {
  readonly root: string = mkdtempSync(join(tmpdir(), 'mmkit-build-'));

  constructor(files: Record<string, string>) {
    onTestFinished(() => rmSync(this.root, { recursive: true, force: true }));
    this.write('pnpm-workspace.yaml', '');
    for (const [path, text] of Object.entries(files)) this.write(path, text);
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), 'utf8');
  }

  /** Makes the tools and libraries of the real workspace resolve here too. */
  linkModules(): void {
    symlinkSync(join(ROOT, 'node_modules'), join(this.root, 'node_modules'));
  }

  /** Runs a program of the real workspace in this one; `out` is stdout and stderr. */
  run(program: string, ...args: string[]): { status: number | null; out: string } {
    const done = spawnSync(process.execPath, [program, ...args], { cwd: this.root, encoding: 'utf8' });
    return { status: done.status, out: stripVTControlCharacters(done.stdout + done.stderr) };
  }
}
