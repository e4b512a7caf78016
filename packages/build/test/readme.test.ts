/**
 * The examples of the READMEs are the files beside them, byte for byte, and they run: on the sources, without a build.
 */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { ROOT } from './tree.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const examplesIn = (readme: string): string[] =>
  [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]!);
const packages = readdirSync(join(ROOT, 'packages')).filter(
  (name) =>
    existsSync(join(ROOT, `packages/${name}/package.json`)) &&
    !read(`packages/${name}/package.json`).includes('"private": true'),
);

/** An example throws when a result is wrong; what it prints is not wanted here. */
async function run(path: string): Promise<void> {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    await import(/* @vite-ignore */ join(ROOT, path));
  } finally {
    log.mockRestore();
  }
}

describe.each(packages)('README of %s', (name) => {
  const folder = `packages/${name}/examples`;
  const first = `${name}.ts`;
  const others = readdirSync(join(ROOT, folder)).filter((file) => file !== first);
  const examples = [first, ...others.toSorted()].map((file) => `${folder}/${file}`);

  it('has as ts examples the files in examples/, byte for byte, the one of its name first', () => {
    expect(examplesIn(read(`packages/${name}/README.md`))).toEqual(examples.map(read));
  });

  it.each(examples)('has an example that runs: %s', async (example) => {
    await expect(run(example)).resolves.toBeUndefined();
  });
});

describe('the root README', () => {
  it('has only ts examples that are files in examples/ of an app or package, and they run', async () => {
    const files = globSync('{apps,packages}/*/examples/*.ts', { cwd: ROOT });
    const readme = existsSync(join(ROOT, 'README.md')) ? read('README.md') : '';
    for (const example of examplesIn(readme)) {
      const file = files.find((path) => read(path) === example);
      expect(file, `no file in an examples folder is equal to\n${example}`).toBeDefined();
      await run(file!);
    }
  });
});
