#!/usr/bin/env node
/**
 * Applies each mutation of `mutations.mjs` to a copy of the packages and runs the tests it names: each must fail. One
 * line a mutation, and a sum; exit 1 when one survives, breaks its test file instead of failing its tests, or hangs.
 *
 *   mutants [--only ROW]     ROW as `A.16 #17`, or a whole table: `E.1`
 *
 * First the named tests run once without a mutation and must pass. The copy lies in the folder for temporary files and
 * is removed at the end; the workspace itself is only read.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import process from 'node:process';
import { elsewhere, mutations } from './mutations.mjs';
import { isMain, workspaceRoot } from './workspace.mjs';

/** Milliseconds a test file may take: a mutation that makes a loop endless proves nothing. */
const PATIENCE = 60_000;
/** What a copy needs besides the packages. */
const ROOT_FILES = ['package.json', 'pnpm-workspace.yaml', 'vitest.config.ts', 'tsconfig.base.json'];

/** Every row of the tables A.16, B.22 and E.1 of the reference. */
export function tableRows() {
  const numbered = (table, count) => Array.from({ length: count }, (_, i) => `${table} #${i + 1}`);
  return [
    ...numbered('A.16', 35),
    ...numbered('B.22', 30),
    'E.1 anon 4K mapped once',
    'E.1 anon 4K mapped by parent and child',
    'E.1 anon 4K in the swap cache',
    'E.1 anon 4K with one pin',
    'E.1 anon 4K with 3 pins and 2 references',
    'E.1 anon 4K pinned then unmapped',
    'E.1 page-cache 4K',
    'E.1 page-cache 4K mapped twice with private data',
    'E.1 page-cache 4K truncated while pinned',
    'E.1 anon THP mapped once',
    'E.1 anon THP pinned by one call',
    'E.1 anon THP pinned then split',
    'E.1 file THP',
    'E.1 hugetlb',
    'E.1 the zero page',
    'E.1 isolated for migration',
    'E.1 maybe_dma_pinned',
  ];
}

/** Where the list and the tree under `root` have drifted apart, one line each. */
export function drift(root, list = mutations, others = elsewhere, rows = tableRows()) {
  const found = [];
  const text = (path) => (existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : '');
  for (const { row, file, from, to, test, title } of list) {
    const times = text(file).split(from).length - 1;
    if (times !== 1) found.push(`${row}: ${file} has this ${times} times: ${from}`);
    if (from === to) found.push(`${row}: changes nothing`);
    if (!text(test).includes(title)) found.push(`${row}: ${test} has no test titled ${title}`);
    const name = row.startsWith('E.1 ') ? 'E.1' : row;
    if (!new RegExp(`${name}(?!\\d)`).test(title)) found.push(`${row}: not in the title ${title}`);
    if (!rows.includes(row)) found.push(`${row}: no such row`);
  }
  for (const row of rows) {
    const held = list.some((mutation) => mutation.row === row);
    if (held === row in others)
      found.push(`${row}: ${held ? 'both held and elsewhere' : 'neither a mutation nor elsewhere'}`);
  }
  return found;
}

/** A title as vitest's `-t` wants it; what stands for a value of the table (`%s`, `$name`) is any text. */
function pattern(title) {
  return title
    .split(/%[sdi]|\$\w+/)
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
}

/** The packages without what is built, and links to the installed tools. */
function copyOf(root) {
  const copy = mkdtempSync(join(tmpdir(), 'mmkit-mutants-'));
  const filter = (path) => basename(path) !== 'dist';
  cpSync(join(root, 'packages'), join(copy, 'packages'), { recursive: true, verbatimSymlinks: true, filter });
  for (const file of ROOT_FILES) cpSync(join(root, file), join(copy, file));
  // A folder of its own, as vitest keeps its results and caches in it.
  mkdirSync(join(copy, 'node_modules'));
  for (const name of readdirSync(join(root, 'node_modules'))) {
    const own = name === '.cache' || name.startsWith('.vite');
    if (!own) symlinkSync(join(root, 'node_modules', name), join(copy, 'node_modules', name));
  }
  return copy;
}

/** Runs tests by file and title: how many passed and failed, the names of those that ran; null: it took too long. */
async function runTests(copy, files, titles) {
  const results = join(copy, 'node_modules/.cache/vitest.json');
  rmSync(results, { force: true });
  const vitest = join(copy, 'node_modules/vitest/vitest.mjs');
  const child = spawn(process.execPath, [vitest, 'run', ...files, '-t', titles.map(pattern).join('|')], {
    cwd: copy,
    stdio: 'ignore',
    detached: true,
  });
  const ended = await new Promise((resolve) => {
    const timer = setTimeout(() => {
      // With the workers it started.
      process.kill(-child.pid, 'SIGKILL');
      resolve(false);
    }, PATIENCE);
    child.on('exit', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
  if (!ended) return null;
  if (!existsSync(results)) return { passed: 0, failed: 0, names: [] };
  const tests = JSON.parse(readFileSync(results, 'utf8')).testResults.flatMap((file) => file.assertionResults);
  const ran = tests.filter(({ status }) => status === 'passed' || status === 'failed');
  const passed = ran.filter(({ status }) => status === 'passed').length;
  return { passed, failed: ran.length - passed, names: ran.map(({ fullName }) => fullName) };
}

/** What a mutation came to: `caught`, or why it does not count as that. */
async function verdict(copy, { file, from, to, test, title }) {
  const path = join(copy, file);
  const whole = readFileSync(path, 'utf8');
  writeFileSync(
    path,
    whole.replace(from, () => to),
  );
  const run = await runTests(copy, [test], [title]);
  writeFileSync(path, whole);
  if (run === null) return 'HANGS';
  if (run.failed > 0) return `caught by ${run.failed} of ${run.failed + run.passed}`;
  return run.passed > 0 ? 'SURVIVES' : 'BREAKS THE FILE';
}

async function main(args) {
  const root = workspaceRoot();
  const faults = drift(root);
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) return false;
  const only = args[0] === '--only' ? args[1] : undefined;
  if (args.length > 0 && only === undefined) throw new Error('mutants [--only ROW]');
  const list = mutations.filter(({ row }) => only === undefined || row === only || row.startsWith(`${only} `));
  if (list.length === 0) throw new Error(`no mutation of row ${only}`);
  const copy = copyOf(root);
  try {
    const titles = [...new Set(list.map(({ title }) => title))];
    const sane = await runTests(copy, [...new Set(list.map(({ test }) => test))], titles);
    const absent = titles.filter((title) => !sane?.names.some((name) => new RegExp(pattern(title)).test(name)));
    for (const title of absent) console.error(`does not run: ${title}`);
    if (sane === null || sane.failed > 0 || absent.length > 0) {
      console.error(`without a mutation: ${sane === null ? 'no end' : `${sane.failed} failed`}`);
      return false;
    }
    console.log(`without a mutation: ${sane.passed} tests pass`);
    let caught = 0;
    for (const mutation of list) {
      const result = await verdict(copy, mutation);
      if (result.startsWith('caught')) caught++;
      console.log(`${mutation.row.padEnd(50)} ${mutation.file.padEnd(45)} ${result}`);
    }
    const rows = new Set(list.map(({ row }) => row)).size;
    console.log(`${caught} of ${list.length} mutations caught, ${rows} rows`);
    return caught === list.length;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

if (isMain(import.meta.url)) process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
