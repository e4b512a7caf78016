/** Where things lie in the workspace. */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** The folder of the workspace that `from` lies in. */
export function workspaceRoot(from = process.cwd()) {
  for (let dir = resolve(from); ; dir = dirname(dir)) {
    if (existsSync(join(dir, 'pnpm-workspace.yaml'))) return dir;
    if (dir === dirname(dir)) throw new Error(`${from}: no pnpm-workspace.yaml here or above`);
  }
}

/** The packages and apps that have a `src` folder, as `packages/NAME` and `apps/NAME`. */
export function homes(root) {
  return ['packages', 'apps']
    .filter((group) => existsSync(join(root, group)))
    .flatMap((group) => readdirSync(join(root, group)).map((name) => `${group}/${name}`))
    .filter((home) => existsSync(join(root, home, 'src')));
}

/** All files under the `src` of a home, with '/' in their paths, relative to the root. */
export function sourceFiles(root, home) {
  const files = readdirSync(join(root, home, 'src'), { recursive: true });
  return files.map((file) => `${home}/src/${file.replaceAll('\\', '/')}`).sort();
}

/** True when the module of that URL is the program that runs. */
export function isMain(url) {
  return process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(url);
}
