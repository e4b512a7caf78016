#!/usr/bin/env node
/** bench: every row in a process of its own, one after the other. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { measure } from './measure.ts';
import { buildNative } from './native.ts';
import type { Measured } from './row.ts';
import { rows } from './rows.ts';
import { formatReport, makeReport, makeResult, type RowResult } from './table.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

function run(names: string[], options: { json?: boolean }): void {
  const unknown = names.find((name) => !rows.some((row) => row.name.includes(name)));
  if (unknown !== undefined) {
    process.stderr.write(`bench: no row is named ${unknown}; there are ${rows.map((row) => row.name).join(', ')}\n`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const chosen = names.length === 0 ? rows : rows.filter((row) => names.some((name) => row.name.includes(name)));
  const built = buildNative();
  const left = built.program === null ? [{ name: 'the running kernel', why: built.why }] : [];
  const results: RowResult[] = [];
  for (const row of chosen) {
    process.stderr.write(`${row.name} …\n`);
    const args = [...process.execArgv, fileURLToPath(import.meta.url), '--row', row.name];
    if (built.program !== null) args.push('--native', built.program);
    const child = spawnSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
    if (child.status !== 0) {
      process.stderr.write(`bench: ${row.name} failed\n`);
      process.exitCode = EXIT_FAILED;
      return;
    }
    results.push(makeResult(row, JSON.parse(child.stdout) as Measured));
  }
  const report = makeReport(results, left);
  process.stdout.write(`${options.json === true ? JSON.stringify(report, null, 2) : formatReport(report)}\n`);
}

interface Options {
  json?: boolean;
  row?: string;
  native?: string;
}

const program = new Command('bench')
  .description('measure the public functions, beside the running kernel where gcc can build the program')
  .argument('[names...]', 'rows whose names contain one of these (default: all)')
  .option('--json', 'print one JSON document')
  .option('--row <name>', 'measure one row in this process')
  .option('--native <program>', 'the native program, with --row')
  .exitOverride()
  .action(async (names: string[], options: Options) => {
    if (options.row === undefined) return run(names, options);
    const row = rows.find(({ name }) => name === options.row);
    if (row === undefined) throw new Error(`no row ${options.row}`);
    process.stdout.write(JSON.stringify('run' in row ? await row.run() : await measure(row, options.native ?? null)));
  });

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
}
