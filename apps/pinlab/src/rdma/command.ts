/** `pinlab rdma FILE`, `pinlab rdma --story` and the command of the second process: run it, say what happened. */
import cliProgress from 'cli-progress';
import { BadInput, EXIT_FAILED, EXIT_OK } from '../exit.ts';
import { describeLedger } from '../ledger.ts';
import { checkFile, type MachineOptions, planMachine, portNumber, type RdmaOptions } from './options.ts';
import { runResponder } from './responder.ts';
import { runRdma, type RdmaResult } from './run.ts';
import { storyCommand } from './story-command.ts';

export type { MachineOptions, RdmaOptions } from './options.ts';

/** Below this it is too quick for a progress bar. */
const LONG_WORK = 32 << 20;

export async function rdmaCommand(
  file: string | undefined,
  options: RdmaOptions,
  print: (text: string) => void,
): Promise<number> {
  if ((options.story === true) === (file !== undefined)) throw new BadInput('rdma: expected either a FILE or --story');
  if (file === undefined && options.ledger === true) throw new BadInput('rdma: --ledger goes with a FILE');
  if (file === undefined) return storyCommand(options, print);
  const bytes = checkFile(file);
  const plan = planMachine(options);
  portNumber('--port', options.port);
  const showBar = process.stderr.isTTY === true && bytes >= LONG_WORK;
  const bar = showBar ? new cliProgress.SingleBar({ format: '{bar} {percentage}%', clearOnComplete: true }) : null;
  bar?.start(bytes, 0);
  let result: RdmaResult;
  try {
    result = await runRdma(plan, options, file, bytes, (done) => bar?.update(done));
  } finally {
    bar?.stop();
  }
  print(options.json === true ? JSON.stringify(result.report, null, 2) : describe(file, result));
  return result.report.ok ? EXIT_OK : EXIT_FAILED;
}

/** The second process: one JSON document when it listens, one at its end. */
export async function rdmaResponderCommand(options: MachineOptions, print: (text: string) => void): Promise<void> {
  const plan = planMachine(options);
  const report = await runResponder(plan, portNumber('--port', options.port), (port) =>
    print(JSON.stringify({ port })),
  );
  print(JSON.stringify(report));
}

function describe(file: string, { report, expected, readBack, port }: RdmaResult): string {
  const { sha256, pagesPinned, fast, slow, faults, leakedPins, leakedFrames, transferSeconds, bytes } = report;
  const speed = transferSeconds > 0 ? `${Math.round((2 * bytes) / transferSeconds / 1e6)} MB/s` : '–';
  return [
    `${file}: ${bytes} bytes, to another machine and back over 127.0.0.1:${port}`,
    `  arrived     sha256 ${sha256} by RDMA Write`,
    `  the file    ${sha256 === expected ? 'the same' : `DIFFERENT: ${expected}`}`,
    `  read back   ${readBack === expected ? 'the same' : `DIFFERENT: ${readBack}`}, by RDMA Read`,
    `  registered  ${report.registered} bytes on both sides, pinned_vm at most ${report.pinnedVmPeak} pages`,
    `  pinned      ${pagesPinned} pages: ${fast} by the fast walk, ${slow} by the slow one`,
    `  faults      ${faults}`,
    `  throughput  ${speed}: there and back in ${transferSeconds.toFixed(3)} s, checksums and simulation of both sides`,
    `  leaked      ${leakedPins} pins, ${leakedFrames} frames`,
    ...describeLedger(report.ledger?.here, ' here', 'when the last byte had moved'),
    ...describeLedger(report.ledger?.there, ' on the other side', 'when the last byte had moved'),
    report.ok ? '  all is well' : '  SOMETHING IS WRONG',
  ].join('\n');
}
