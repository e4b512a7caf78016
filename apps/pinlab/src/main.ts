#!/usr/bin/env node
/** pinlab, the example app of mmkit: the command line. */
import { Command, CommanderError, Option } from 'commander';
import { BadInput, EXIT_FAILED, EXIT_OK, EXIT_USAGE, Failed } from './exit.ts';
import { litmusCommand, type LitmusOptions } from './litmus/command.ts';
import { odirectCommand, type OdirectOptions } from './odirect/command.ts';
import { startCommand } from './start.ts';

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const program = new Command('pinlab')
  .description("Linux's user-page pinning path, run: O_DIRECT through pinned pages, and litmus tests of its races")
  .exitOverride();

program
  .command('start', { hidden: true })
  .description('the tour that `npm start` runs')
  .action(() => {
    process.exitCode = startCommand(print);
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
  .addOption(new Option('--arch <name>', 'architecture of the simulated machine').default('x86_64'))
  .option('--json', 'print one JSON document')
  .action((file: string, options: OdirectOptions) => {
    process.exitCode = odirectCommand(file, options, print);
  });

program
  .command('litmus [names...]')
  .description('explore every schedule of small races between pinning and the rest of the kernel')
  .option('--json', 'print one JSON document')
  .option('--schedule <s>', 'replay one schedule of one test as a timeline')
  .action((names: string[], options: LitmusOptions) => {
    process.exitCode = litmusCommand(names, options, print);
  });

try {
  program.parse();
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
