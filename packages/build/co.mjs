#!/usr/bin/env node
/**
 * The strip step: makes `NAME.gen.ts` (plain functions) from every coloured `NAME.co.ts` (generators), line for line.
 *
 *   co [ROOT]          all packages and apps of the workspace; exit 1 when a file is refused
 *   co --watch [ROOT]  the same, and again after every edit
 *
 * There are no timestamps and no cache: everything is made anew in memory and only what differs is written, under a name
 * of its own and then renamed, so any number may run at once. A `.gen.ts` whose source is gone or refused is deleted:
 * nothing old can be run.
 */
import { existsSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import process from 'node:process';
import { collectNames, parseUnit } from './names.mjs';
import { refusals } from './refusals.mjs';
import { strip } from './strip.mjs';
import { homes, isMain, sourceFiles, workspaceRoot } from './workspace.mjs';

/** Makes all plain builds; returns the refusals as `file:line: text`, and how many files were written or deleted. */
export function generate(root) {
  const units = [];
  const stale = new Set();
  const errors = [];
  for (const home of homes(root)) {
    const files = sourceFiles(root, home);
    for (const path of files) {
      if (path.endsWith('.gen.ts')) stale.add(path);
      if (!/\.(co|sched)\.ts$/.test(path)) continue;
      units.push(parseUnit(path, basename(path), home, readFileSync(join(root, path), 'utf8')));
      if (path.endsWith('.sched.ts') && !files.includes(path.replace(/sched\.ts$/, 'plain.ts'))) {
        errors.push(`${path}:1: no ${basename(path).replace(/sched\.ts$/, 'plain.ts')} beside it`);
      }
    }
  }
  const names = collectNames(units);
  let changed = 0;
  for (const unit of units) {
    const refused = refusals(unit, names);
    errors.push(...refused);
    if (refused.length > 0 || !unit.path.endsWith('.co.ts')) continue;
    const target = unit.path.replace(/\.co\.ts$/, '.gen.ts');
    stale.delete(target);
    if (writeIfChanged(join(root, target), strip(unit))) changed++;
  }
  for (const path of stale) rmSync(join(root, path), { force: true });
  return { errors, changed: changed + stale.size };
}

/** Writes a file whole or not at all, and only when its text is another. */
function writeIfChanged(path, text) {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return false;
  const own = `${path}.${process.pid}.tmp`;
  writeFileSync(own, text);
  renameSync(own, path);
  return true;
}

/**
 * vitest and vite: generate before the first file is loaded, and again when a source changes. A module that needs a
 * refused file fails with the refusals; the others run.
 */
export function co(root = workspaceRoot()) {
  let errors = [];
  const run = () => {
    errors = generate(root).errors;
    for (const error of errors) console.error(error);
  };
  return {
    name: 'co',
    enforce: 'pre',
    buildStart: run,
    resolveId(source, importer) {
      if (!importer || !/^\..*\.(gen|plain|co|sched)\.ts$/.test(source)) return;
      const path = relative(root, resolve(dirname(importer), source)).replaceAll('\\', '/');
      const origin = path.replace(/\.gen\.ts$/, '.co.ts').replace(/\.plain\.ts$/, '.sched.ts');
      const own = errors.filter((error) => error.startsWith(`${origin}:`));
      if (own.length > 0) throw new Error(`co refuses:\n${own.join('\n')}`);
    },
    configureServer(server) {
      server.watcher.on('all', (_event, file) => {
        if (/\.(co|sched)\.ts$/.test(file)) run();
      });
    },
  };
}

function main(args) {
  const root = workspaceRoot(args.find((arg) => arg !== '--watch'));
  const run = () => {
    const { errors } = generate(root);
    for (const error of errors) console.error(error);
    return errors.length;
  };
  if (run() > 0 && !args.includes('--watch')) process.exit(1);
  if (!args.includes('--watch')) return;
  let timer;
  for (const home of homes(root)) {
    watch(join(root, home, 'src'), { recursive: true }, (_event, file) => {
      if (!/\.(co|sched)\.ts$/.test(file ?? '')) return;
      clearTimeout(timer);
      timer = setTimeout(run, 50);
    });
  }
  console.error(`co: watching ${relative(process.cwd(), root) || '.'}`);
}

if (isMain(import.meta.url)) main(process.argv.slice(2));
