#!/usr/bin/env node
/** conform: holds the model against recorded truth. The command line. */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Command, CommanderError } from 'commander';
import { casesCommand } from './cases/command.ts';
import type { CasesOptions } from './cases/command.ts';
import { recordCommand, replayCommand, runCommand } from './commands.ts';
import type { ReplayOptions, RunOptions } from './commands.ts';
import { dumpCommand } from './dump/command.ts';
import type { DumpOptions } from './dump/command.ts';
import { BadInput, EXIT_OK, EXIT_USAGE } from './exit.ts';
import { liveTraceCommand } from './live/command.ts';
import type { LiveTraceOptions } from './live/command.ts';
import { mmuCommand } from './mmu/command.ts';
import type { MmuOptions } from './mmu/command.ts';
import { liveCommand } from './mmu/live/command.ts';
import type { LiveOptions } from './mmu/live/command.ts';

const print = (text: string): void => {
  process.stdout.write(text);
};

const program = new Command('conform')
  .description('Runs recorded traces of operations on memory in the model, and says how far it agrees with Linux 6.18')
  .exitOverride();

program
  .command('run <trace>')
  .description("run a trace and print the model's output; of a file of recordings, write it with the model's outputs")
  .option('--out <file>', "where the recordings go, with `out` replaced by the model's")
  .action((path: string, options: RunOptions) => {
    runCommand(path, options, print, writeFileSync);
  });

program
  .command('record <trace>')
  .description('the same on the running kernel (Linux on x86-64, root, gcc)')
  .option('--out <file>', "where the recordings go, with `out` replaced by the kernel's")
  .action((path: string, options: RunOptions) => {
    recordCommand(path, options, print, writeFileSync);
  });

program
  .command('live')
  .description(
    'fresh traces on the running kernel and in the model: what differs, and the smallest trace that shows it',
  )
  .requiredOption('--profile <name>', 'which recorded traces they are like')
  .option('--seed <n>', 'which traces', '1')
  .option('--count <n>', 'how many operations at least', '1000')
  .option('--json', 'print one JSON document')
  .action((options: LiveTraceOptions) => {
    process.exitCode = liveTraceCommand(options, print);
  });

program
  .command('replay <files...>')
  .description('agreement by profile and level, and the first difference of each trace')
  .option('--until-pin', 'compare only the operations before the first one that pins')
  .option('--until-file', 'compare only the operations before the first one that names a file')
  .option('--jobs <n>', 'threads', String(availableParallelism()))
  .option('--json', 'print one JSON document')
  .action(async (files: string[], options: ReplayOptions) => {
    await replayCommand(files, options, print);
  });

program
  .command('cases <file>')
  .description('run cases in their language: agreement by area, what is not built, and the first difference of each')
  .option(
    '--kernel <version>',
    'answer, and be judged, as this kernel: 6.18 or 6.12 (default: the one each was observed on)',
  )
  .option('--out <file>', 'where our answers go: {"results":[{"id","results":[text of each action]}]}')
  .option('--json', 'print one JSON document')
  .action((path: string, options: CasesOptions) => {
    process.exitCode = casesCommand(path, options, print, writeFileSync);
  });

program
  .command('mmu [files...]')
  .description('walk probes of MMUs, recorded or live: agreement by architecture and mode, and each difference')
  .option('--json', 'print one JSON document')
  .option('--out <file>', 'where the cases go, with `results` replaced by ours; with --live, as QEMU gave them')
  .option('--live', 'random cases on QEMU instead of files')
  .option('--arch <name>', 'live: x86_64 or aarch64 (default: both)')
  .option('--seed <n>', 'live: which cases', '1')
  .option('--count <n>', 'live: how many cases of each architecture', '100')
  .action((files: string[], options: MmuOptions & LiveOptions) => {
    if (options.live !== true && files.length === 0) throw new BadInput('expected a FILE, or --live');
    if (options.live === true && files.length > 0) throw new BadInput(`${files[0]}: expected no FILE with --live`);
    process.exitCode =
      options.live === true
        ? liveCommand(options, print, writeFileSync)
        : mmuCommand(files, options, print, writeFileSync);
  });

program
  .command('dump <file>')
  .description("walk page tables of running kernels: agreement with QEMU's MMU and the kernel's own pagemap")
  .option('--json', 'print one JSON document')
  .option('--out <file>', 'where the walks go: physical address and frame of each address')
  .action(async (path: string, options: DumpOptions) => {
    process.exitCode = await dumpCommand(path, options, print, writeFileSync);
  });

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof BadInput) {
    process.stderr.write(`conform: ${error.message}\n`);
    process.exitCode = EXIT_USAGE;
  } else if (error instanceof CommanderError) {
    // commander has printed its line already; help and version are not errors.
    process.exitCode = error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  } else {
    throw error;
  }
}
