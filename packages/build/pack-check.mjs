#!/usr/bin/env node
/**
 * Packs every public package and uses the tarballs as a stranger would: installed together into a bare project, without
 * a registry; imported, and one scenario traced, on the caller's Node and on Node 26; type-checked; looked at by publint and attw.
 * Needs the packages built. Prints each step's time; exit 1 with everything that is wrong.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { isMain, workspaceRoot } from './workspace.mjs';

/** Runs a program; gives its output, or throws with it. */
function run(program, args, cwd, env = process.env) {
  return new Promise((done, fail) => {
    execFile(program, args, { cwd, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error) fail(new Error(`${program} ${args.join(' ')}\n${stdout}${stderr}`));
      else done(stdout);
    });
  });
}

/** What a tarball's list of files and its package.json get wrong. */
export function tarballFaults(manifest, files, sources) {
  const text = JSON.stringify(manifest);
  const faults = [];
  if (text.includes('@mmkit/source')) faults.push('ships the source condition');
  if (text.includes('workspace:')) faults.push("ships a 'workspace:' range");
  if (text.includes('@mmkit/build')) faults.push('depends on @mmkit/build');
  const targets = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === 'string' ? [entry] : Object.values(entry),
  );
  const needed = ['README.md', 'LICENSE', ...sources, ...targets.map((target) => target.replace(/^\.\//, ''))];
  for (const file of needed) if (!files.includes(file)) faults.push(`lacks ${file}`);
  return faults.map((fault) => `${manifest.name}: ${fault}`);
}

/** Packages that lie in two places, by the paths that `npm ls --all --parseable` prints. */
export function twice(paths) {
  const names = paths.flatMap((path) => path.split('node_modules/').slice(1).slice(-1));
  return [...new Set(names.filter((name, i) => names.indexOf(name) !== i))];
}

/** Two at a time: the machine may have two cores only. */
async function each(items, work) {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all([worker(), worker()]);
}

async function main() {
  const root = workspaceRoot();
  const bin = join(root, 'node_modules/.bin');
  const work = mkdtempSync(join(tmpdir(), 'mmkit-pack-'));
  const bare = join(work, 'bare');
  const errors = [];
  const step = async (name, action) => {
    const start = performance.now();
    await action().catch((error) => errors.push(`${name}: ${error.message}`));
    console.log(`pack check: ${name} ${((performance.now() - start) / 1000).toFixed(1)} s`);
  };
  const packages = readdirSync(join(root, 'packages'))
    .filter((dir) => existsSync(join(root, 'packages', dir, 'package.json')))
    .map((dir) => ({ dir, manifest: JSON.parse(readFileSync(join(root, 'packages', dir, 'package.json'), 'utf8')) }))
    .filter(({ manifest }) => !manifest.private);
  const tarball = ({ dir, manifest }) => join(work, `mmkit-${dir}-${manifest.version}.tgz`);
  /** Specifiers of all entries, as a stranger writes them. */
  const entries = packages.flatMap(({ manifest }) =>
    Object.keys(manifest.exports)
      .filter((e) => e !== './package.json')
      .map((e) => manifest.name + e.slice(1)),
  );
  const outside = process.env.PATH.split(delimiter)
    .filter((dir) => !dir.includes('node_modules'))
    .join(delimiter);
  const caller = (await run('node', ['-p', 'process.execPath'], root, { ...process.env, PATH: outside })).trim();
  const nodes = [caller, join(bin, 'node')];
  try {
    await step('pack', () =>
      each(packages, async (p) => {
        const home = join(root, 'packages', p.dir);
        await run('pnpm', ['pack', '--pack-destination', work], home);
        const files = (await run('tar', ['-tzf', tarball(p)]))
          .split('\n')
          .map((file) => file.replace(/^package\//, ''));
        const manifest = JSON.parse(await run('tar', ['-xzOf', tarball(p), 'package/package.json']));
        const sources = readdirSync(join(home, 'src'), { recursive: true }).filter((f) => f.endsWith('.ts'));
        errors.push(
          ...tarballFaults(
            manifest,
            files,
            sources.map((file) => `src/${file}`),
          ),
        );
      }),
    );
    await step('install', async () => {
      mkdirSync(bare);
      writeFileSync(join(bare, 'package.json'), '{"name":"bare","private":true,"type":"module"}\n');
      const quiet = ['--offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
      await run('npm', ['install', ...quiet, ...packages.map(tarball)], bare);
      const doubled = twice((await run('npm', ['ls', '--all', '--parseable'], bare)).trim().split('\n'));
      if (doubled.length > 0) throw new Error(`installed twice: ${doubled.join(', ')}`);
    });
    await step('import', async () => {
      const program = entries.map(
        (e) => `
  if (!import.meta.resolve('${e}').includes('/dist/')) throw new Error('${e} is not taken from dist');
  if (Object.keys(await import('${e}')).length === 0) throw new Error('${e} exports nothing');`,
      );
      writeFileSync(join(bare, 'use.js'), `${program.join('')}\nconsole.log(process.version);\n`);
      for (const node of nodes) {
        const version = await run(node, ['use.js'], bare);
        await run(node, ['--conditions=@mmkit/source', 'use.js'], bare);
        console.log(`pack check: ${entries.length} entries import on ${version.trim()}`);
      }
    });
    await step('determinism', async () => {
      copyFileSync(join(import.meta.dirname, 'scenario.mjs'), join(bare, 'scenario.mjs'));
      const hashes = [];
      for (const node of nodes) hashes.push((await run(node, ['scenario.mjs'], bare)).trim());
      if (new Set(hashes).size !== 1) throw new Error(`one scenario, different traces: ${hashes.join(', ')}`);
      console.log(`pack check: one scenario, trace hash ${hashes[0]} on ${nodes.length} Nodes`);
    });
    await step('types', async () => {
      const uses = entries.map(
        (e, i) => `import * as e${i} from '${e}';\nexport const use${i} = Object.keys(e${i});\n`,
      );
      writeFileSync(join(bare, 'use.ts'), uses.join(''));
      for (const [module, resolution] of [
        ['nodenext', 'nodenext'],
        ['esnext', 'bundler'],
      ]) {
        const options = ['--target', 'es2023', '--lib', 'es2023', '--strict', '--noEmit', '--skipLibCheck', 'false'];
        const how = ['--module', module, '--moduleResolution', resolution, '--types', ''];
        await run(join(bin, 'tsc'), [...options, ...how, '--ignoreConfig', 'use.ts'], bare);
      }
    });
    await step('publint', () =>
      each(packages, (p) => run(join(bin, 'publint'), ['run', '--strict', tarball(p)], work)),
    );
    await step('attw', () =>
      each(packages, (p) => run(join(bin, 'attw'), ['--profile', 'esm-only', tarball(p)], work)),
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  for (const error of errors) console.error(error);
  if (errors.length > 0) process.exit(1);
}

if (isMain(import.meta.url)) await main();
