#!/usr/bin/env node
/** pinlab, the example app of mmkit: the command line. */
import { Command, CommanderError, Option } from 'commander';
import { ARCH_HELP, DEFAULT_ARCH } from './arch.ts';
import { BadInput, EXIT_FAILED, EXIT_OK, EXIT_USAGE, Failed } from './exit.ts';
import { litmusCommand, type LitmusOptions } from './litmus/command.ts';
import { STRATEGY_HELP } from './litmus/strategy.ts';
import { odirectCommand, type OdirectOptions } from './odirect/command.ts';
import { type MachineOptions, rdmaCommand, type RdmaOptions, rdmaResponderCommand } from './rdma/command.ts';
import { RESPONDER_COMMAND } from './rdma/run.ts';
import { startCommand } from './start.ts';
import { WALK_ARCH_HELP } from './walk/arch.ts';
import { walkCommand, type WalkOptions } from './walk/command.ts';

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const program = new Command('pinlab')
  .description(
    "Linux's user-page pinning path, run: O_DIRECT and RDMA through pinned pages, and litmus tests of their races",
  )
  .exitOverride();

program
  .command('start', { hidden: true })
  .description('the tour that `npm start` runs')
  .action(async () => {
    process.exitCode = await startCommand(print);
  });

program
  .command('odirect <file>')
  .description('read FILE by emulated O_DIRECT into a simulated process, write it out again, verify both')
  .option('--bs <bytes>', 'bytes of one request, a multiple of 512', '131072')
  .option('--qd <n>', 'requests in flight', '8')
  .option('--offset <bytes>', 'where to start in FILE, a multiple of 512', '0')
  .option('--length <bytes>', 'how much of it (default: to the end)')
  .option('--ram <MiB>', 'RAM of the simulated machine (default: what the buffer needs)')
  .option('--out <file>', 'keep the copy there (default: a temporary file, removed)')
  .option('--arch <name>', `architecture of the simulated machine: ${ARCH_HELP}`, DEFAULT_ARCH)
  .option('--ledger', 'say who holds pins: requests in flight, and at the end whoever forgot an unpin')
  .option('--json', 'print one JSON document')
  .action((file: string, options: OdirectOptions) => {
    process.exitCode = odirectCommand(file, options, print);
  });

program
  .command('litmus [tests...]')
  .description(
    'explore small races between pinning and the rest of the kernel: tests by name, or files that export some',
  )
  .option('--strategy <s>', `how to go through the schedules: ${STRATEGY_HELP}`, 'reduced')
  .option('--jobs <n>', 'threads', '1')
  .option('--json', 'print one JSON document')
  .option('--schedule <s>', 'replay one schedule of one test as a timeline')
  .option('--checkpoint <file>', 'one test: keep there how far it is, go on from there if the file exists')
  .option(
    '--shrink <n>',
    'schedules tried to show one with the fewest preemptions (default: as many as the search took)',
  )
  .option('--table', 'instead: schedules and time, plain and reduced, as a Markdown table')
  .option('--arch <name>', `architecture of the simulated machines: ${ARCH_HELP}`, DEFAULT_ARCH)
  .action(async (names: string[], options: LitmusOptions) => {
    process.exitCode = await litmusCommand(names, options, print);
  });

/** What both sides of `rdma` are told. */
function withMachineOptions(command: Command): Command {
  return command
    .option('--port <n>', 'TCP port on 127.0.0.1 (0: any that is free)', '0')
    .option('--ram <MiB>', 'RAM of each simulated machine', '16')
    .option('--arch <name>', `architecture of the simulated machines: ${ARCH_HELP}`, DEFAULT_ARCH)
    .option('--ledger', 'say who holds pins on both sides: at work, and at the end whoever forgot an unpin')
    .addOption(new Option('--timeout <ms>', 'how long the other side may be silent').default('30000').hideHelp());
}

withMachineOptions(program.command('rdma [file]'))
  .description('send FILE to a second simulated machine by RDMA Write, read it back by RDMA Read, verify both')
  .option('--story', 'instead: who sees which bytes of a registered page after fork, munmap, truncate, exit')
  .option('--json', 'print one JSON document')
  .action(async (file: string | undefined, options: RdmaOptions) => {
    process.exitCode = await rdmaCommand(file, options, print);
  });

withMachineOptions(program.command(RESPONDER_COMMAND, { hidden: true }))
  .description('the second process of rdma')
  .action((options: MachineOptions) => rdmaResponderCommand(options, print));

program
  .command('walk <dump>')
  .description('walk page tables in a memory dump: one address level by level, or every mapping of a root')
  .requiredOption('--arch <name>', WALK_ARCH_HELP)
  .requiredOption('--root <addr>', 'the root table: its physical address, CR3 or TTBRn_EL1')
  .option('--va <addr>', 'the address to walk')
  .option('--list', 'instead: what is mapped, like /proc/PID/maps')
  .option('--upper', 'arm64: the root is that of TTBR1_EL1 (with --va told from the address)')
  .option('--format <name>', 'raw, elf or lime (default: told from the first bytes)')
  .option('--base <addr>', 'raw: physical address of the first byte (default: 0)')
  .action(async (dump: string, options: WalkOptions) => {
    process.exitCode = await walkCommand(dump, options, print);
  });

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof BadInput || error instanceof Failed) {
    process.stderr.write(`pinlab: ${error.message}\n`);
    process.exitCode = error instanceof BadInput ? EXIT_USAGE : EXIT_FAILED;
  } else if (error instanceof CommanderError) {
    // commander has printed its line already; help and version are not errors.
    process.exitCode = error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  } else {
    throw error;
  }
}
