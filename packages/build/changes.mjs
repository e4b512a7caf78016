#!/usr/bin/env node
/**
 * Checks the changesets before 1.0: a breaking change is a `minor` of its package, and every package that depends on
 * that one needs a `minor` of its own. changesets alone would give the dependents a patch, and a consumer with
 * `^0.1.0` of both would get the changed package twice. Each fault is `file: text`; exit 1.
 *
 *   changes [ROOT]
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { isMain, workspaceRoot } from './workspace.mjs';

/** What the changesets of a workspace get wrong. */
export function faults(root) {
  const found = [];
  const manifests = new Map();
  for (const dir of readdirSync(join(root, 'packages'))) {
    const file = join(root, 'packages', dir, 'package.json');
    const manifest = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { private: true };
    if (!manifest.private) manifests.set(manifest.name, manifest);
  }
  /** Package → the changeset that makes it a minor. */
  const breaking = new Map();
  for (const name of readdirSync(join(root, '.changeset')).sort()) {
    if (!name.endsWith('.md') || name === 'README.md') continue;
    const file = `.changeset/${name}`;
    const head = /^---\n(.*?)^---$/ms.exec(readFileSync(join(root, file), 'utf8'))?.[1] ?? '';
    for (const [, pkg, bump] of head.matchAll(/^["']?([^"'\n]+?)["']?: *["']?(\w+)/gm)) {
      const version = manifests.get(pkg)?.version;
      if (version === undefined) found.push(`${file}: ${pkg} is not a public package of this workspace`);
      else if (bump === 'major' && version.startsWith('0.'))
        found.push(`${file}: ${pkg}: no major before 1.0, write minor`);
      else if (bump === 'minor' && version.startsWith('0.')) breaking.set(pkg, file);
    }
  }
  for (const [name, manifest] of manifests) {
    if (breaking.has(name)) continue;
    const needs = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }).filter((dep) =>
      breaking.has(dep),
    );
    for (const dep of needs)
      found.push(`${breaking.get(dep)}: ${dep} is a minor, so ${name} that depends on it needs one too`);
  }
  return found;
}

if (isMain(import.meta.url)) {
  const found = faults(workspaceRoot(process.argv[2]));
  for (const fault of found) console.error(fault);
  if (found.length > 0) process.exit(1);
}
