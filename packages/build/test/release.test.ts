/** The checks of releases: changesets before 1.0, and what a tarball holds. */
import { describe, expect, it } from 'vitest';
import { faults } from '../changes.mjs';
import { tarballFaults, twice } from '../pack-check.mjs';
import { Tree } from './tree.ts';

describe('changesets before 1.0', () => {
  const manifest = (name: string, ...needs: string[]): string =>
    JSON.stringify({
      name: `@mmkit/${name}`,
      version: '0.1.0',
      dependencies: Object.fromEntries(needs.map((n) => [`@mmkit/${n}`, 'workspace:^'])),
    });
  const files = {
    'packages/base/package.json': manifest('base'),
    'packages/phys/package.json': manifest('phys', 'base'),
    'packages/gup/package.json': manifest('gup', 'base', 'phys'),
    'packages/build/package.json': '{"name":"@mmkit/build","private":true}',
  };
  const changeset = (...bumps: string[]): string =>
    `---\n${bumps.map((bump) => `'@mmkit/${bump}\n`).join('')}---\n\nText.\n`;
  const check = (changesets: Record<string, string>): string[] => faults(new Tree({ ...files, ...changesets }).root);

  it('a minor of a package needs a minor of every dependent', () => {
    expect(check({ '.changeset/a.md': changeset("base': minor") })).toEqual([
      '.changeset/a.md: @mmkit/base is a minor, so @mmkit/gup that depends on it needs one too',
      '.changeset/a.md: @mmkit/base is a minor, so @mmkit/phys that depends on it needs one too',
    ]);
    expect(check({ '.changeset/a.md': changeset("base': minor", "phys': minor", "gup': patch") })).toEqual([
      '.changeset/a.md: @mmkit/base is a minor, so @mmkit/gup that depends on it needs one too',
      '.changeset/a.md: @mmkit/phys is a minor, so @mmkit/gup that depends on it needs one too',
    ]);
  });

  it('the minors may stand in several changesets; a patch asks for nothing', () => {
    const first = changeset("base': minor", "phys': minor");
    expect(check({ '.changeset/a.md': first, '.changeset/b.md': changeset("gup': minor") })).toEqual([]);
    expect(check({ '.changeset/a.md': changeset("base': patch"), '.changeset/README.md': 'x' })).toEqual([]);
  });

  it('no major before 1.0, no package that is unknown or private', () => {
    expect(check({ '.changeset/a.md': changeset("gup': major", "build': patch", "nothing': patch") })).toEqual([
      '.changeset/a.md: @mmkit/gup: no major before 1.0, write minor',
      '.changeset/a.md: @mmkit/build is not a public package of this workspace',
      '.changeset/a.md: @mmkit/nothing is not a public package of this workspace',
    ]);
  });
});

describe('tarballs', () => {
  const good = {
    name: '@mmkit/x',
    exports: { '.': { types: './dist/index.d.ts', import: './dist/index.js' }, './package.json': './package.json' },
    dependencies: { '@mmkit/base': '^0.1.0' },
  };
  const files = [
    'package.json',
    'README.md',
    'LICENSE',
    'dist/index.js',
    'dist/index.d.ts',
    'src/a.co.ts',
    'src/a.gen.ts',
  ];

  it('hold what the exports name, the sources with the plain builds, README and LICENSE', () => {
    expect(tarballFaults(good, files, ['src/a.co.ts', 'src/a.gen.ts'])).toEqual([]);
    for (const file of files.filter((name) => name !== 'src/a.co.ts')) {
      const rest = files.filter((name) => name !== file);
      expect(tarballFaults(good, rest, ['src/a.gen.ts'])).toEqual([`@mmkit/x: lacks ${file}`]);
    }
  });

  it('do not ship the source condition, workspace ranges or the build tool', () => {
    const exports = { '.': { '@mmkit/source': './src/a.co.ts', import: './dist/index.js' } };
    expect(tarballFaults({ ...good, exports }, files, [])).toEqual(['@mmkit/x: ships the source condition']);
    expect(tarballFaults({ ...good, dependencies: { '@mmkit/base': 'workspace:^' } }, files, [])).toEqual([
      "@mmkit/x: ships a 'workspace:' range",
    ]);
    expect(tarballFaults({ ...good, devDependencies: { '@mmkit/build': '0.0.0' } }, files, [])).toEqual([
      '@mmkit/x: depends on @mmkit/build',
    ]);
  });

  it('installed together lie in one place each', () => {
    const once = ['/b', '/b/node_modules/@mmkit/base', '/b/node_modules/@mmkit/gup'];
    expect(twice(once)).toEqual([]);
    expect(twice([...once, '/b/node_modules/@mmkit/gup/node_modules/@mmkit/base'])).toEqual(['@mmkit/base']);
  });
});
