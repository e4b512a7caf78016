/** `pinlab odirect`: run the plan, say what happened. */
import cliProgress from 'cli-progress';
import { EXIT_FAILED, EXIT_OK } from '../exit.ts';
import { describeLedger } from '../ledger.ts';
import { planOdirect, type OdirectOptions } from './options.ts';
import { runOdirect, type OdirectResult } from './run.ts';

export type { OdirectOptions } from './options.ts';

/** Below this a copy is too quick for a progress bar. */
const LONG_WORK = 32 << 20;

export function odirectCommand(file: string, options: OdirectOptions, print: (text: string) => void): number {
  const plan = planOdirect(file, options);
  const showBar = process.stderr.isTTY === true && plan.length >= LONG_WORK;
  const bar = showBar
    ? new cliProgress.SingleBar({ format: 'copying {bar} {percentage}%', clearOnComplete: true })
    : null;
  bar?.start(plan.bufferSize, 0);
  let result: OdirectResult;
  try {
    result = runOdirect(plan, (done) => bar?.update(done));
  } finally {
    bar?.stop();
  }
  print(options.json === true ? JSON.stringify(result.report, null, 2) : describe(file, plan.out, result));
  return result.report.ok ? EXIT_OK : EXIT_FAILED;
}

function describe(file: string, out: string | null, { report, expected, copied }: OdirectResult): string {
  const pages = report.fast + report.slow;
  const share = pages === 0 ? 0 : Math.round((100 * report.fast) / pages);
  const speed =
    report.transferSeconds > 0 ? `${Math.round((2 * report.bytes) / report.transferSeconds / 1e6)} MB/s` : '–';
  return [
    `${file}: ${report.bytes} bytes`,
    `  in memory   sha256 ${report.sha256}`,
    `  the file    ${report.sha256 === expected ? 'the same' : `DIFFERENT: ${expected}`}`,
    `  the copy    ${copied === expected ? 'the same' : `DIFFERENT: ${copied}`}${out === null ? '' : `, kept in ${out}`}`,
    `  pinned      ${report.pagesPinned} pages: ${report.fast} by the fast walk (${share} %), ${report.slow} by the slow one`,
    `  faults      ${report.faults}`,
    `  throughput  ${speed}: in and out in ${report.transferSeconds.toFixed(3)} s, simulation and host file together`,
    `  leaked      ${report.leakedPins} pins, ${report.leakedFrames} frames`,
    ...describeLedger(report.ledger, '', 'with the first block on its way out'),
    report.ok ? '  all is well' : '  SOMETHING IS WRONG',
  ].join('\n');
}
