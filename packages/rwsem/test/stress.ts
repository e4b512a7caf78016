/**
 * Threads that use one semaphore at once; the short form is a test (shared.test.ts). By hand, the whole:
 * `node --conditions=@mmkit/source packages/rwsem/test/stress.ts [THREADS] [OPERATIONS]`; 10^7 operations by default.
 */
import { Worker } from 'node:worker_threads';
import { COUNT, createSharedRwsem } from '../src/shared.ts';
import { DONE, FIRST, type Replacement, SECOND, type Side, WRONG } from './shared-worker-words.ts';

/** What a run found: '' when nothing is wrong. */
export async function stress(
  threads: number,
  operations: number,
  replacements: readonly Replacement[] = [],
  stalledMs: number = 20_000,
): Promise<string> {
  const words = createSharedRwsem(threads);
  const control = new Int32Array(new SharedArrayBuffer((DONE + 16 * threads) * 4));
  let failed = '';
  const workers = Array.from({ length: threads }, (_, index) => {
    const worker = new Worker(new URL('shared-worker.ts', import.meta.url), {
      workerData: {
        words,
        control,
        index,
        threads,
        operations: Math.ceil(operations / threads),
        replacements,
      } satisfies Side,
      execArgv: ['--conditions=@mmkit/source'],
    });
    worker.on('error', (error) => {
      failed ||= String(error);
    });
    return worker;
  });
  let running = threads;
  const ends = workers.map(async (worker) => {
    await new Promise((resolve) => {
      worker.on('exit', resolve);
    });
    running--;
  });
  const done = (offset: number): number =>
    Array.from({ length: threads }, (_, i) => control[DONE + 16 * i + offset]!).reduce((a, b) => a + b, 0);
  let last = Date.now();
  for (let seen = -1; running > 0 && failed === ''; ) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
    if (done(0) !== seen) last = Date.now();
    seen = done(0);
    if (Date.now() - last > stalledMs) failed = 'a lost wake-up: nobody gets on';
  }
  if (failed !== '') await Promise.all(workers.map((worker) => worker.terminate()));
  await Promise.all(ends);
  if (failed !== '') return failed;
  if (control[WRONG] !== 0) return 'a reader or writer beside a writer';
  if (control[FIRST] !== done(1) || control[SECOND] !== done(1)) return 'a lost change';
  if (words[COUNT] !== 0) return `count ${words[COUNT]!.toString(16)} at the end`;
  return '';
}

if (import.meta.main) {
  const threads = Number(process.argv[2] ?? 8);
  const operations = Number(process.argv[3] ?? 1e7);
  const start = Date.now();
  const found = await stress(threads, operations);
  const seconds = ((Date.now() - start) / 1000).toFixed(1);
  console.log(`${threads} threads, ${operations} operations, ${seconds} s: ${found === '' ? 'nothing wrong' : found}`);
  process.exitCode = found === '' ? 0 : 1;
}
