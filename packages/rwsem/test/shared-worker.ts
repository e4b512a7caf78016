/**
 * One thread of the stress test. It loads the package with some of its text replaced, so that the same threads run on the
 * package as it is and on one with a rule broken. The pair of numbers is changed and read by plain accesses, under the
 * semaphore only: a reader beside a writer sees two different ones, and two writers lose a change.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { workerData } from 'node:worker_threads';
import { DONE, FIRST, READY, type Replacement, SECOND, type Side, WRONG } from './shared-worker-words.ts';

async function load(replacements: readonly Replacement[]): Promise<typeof import('@mmkit/rwsem/shared')> {
  const missing = new Set(replacements);
  registerHooks({
    load(url, context, next) {
      const here = replacements.filter(({ file }) => url.endsWith(file));
      if (here.length === 0) return next(url, context);
      let source = readFileSync(new URL(url), 'utf8');
      for (const replacement of here) {
        if (source.split(replacement.line).length !== 2) throw new Error(`${url}: not once: ${replacement.line}`);
        source = source.replace(replacement.line, () => replacement.text);
        missing.delete(replacement);
      }
      return { format: 'module-typescript', source, shortCircuit: true };
    },
  });
  const shared = await import('@mmkit/rwsem/shared');
  if (missing.size > 0) throw new Error('a replacement was not made');
  return shared;
}

async function main({ words, control, index, threads, operations, replacements }: Side): Promise<void> {
  const shared = await load(replacements);
  const { attachRwsem, downRead, downWrite, downgradeWrite, upRead, upWrite } = shared;
  const { downReadTimeout, downReadTrylock, downWriteTimeout, downWriteTrylock } = shared;
  const sem = attachRwsem(words, index);
  const mine = DONE + 16 * index;
  let random = index + 1;
  const wrong = (): void => void Atomics.store(control, WRONG, 1);
  const read = (): void => {
    const first = control[FIRST];
    for (let i = random & 15; i > 0; i--) Atomics.load(control, READY);
    if (first !== control[SECOND]) wrong();
  };
  const write = (): void => {
    const value = control[FIRST]!;
    if (value !== control[SECOND]) wrong();
    control[FIRST] = value + 1;
    for (let i = random & 15; i > 0; i--) Atomics.load(control, READY);
    control[SECOND] = value + 1;
    control[mine + 1] = control[mine + 1]! + 1;
  };
  Atomics.add(control, READY, 1);
  while (Atomics.load(control, READY) < threads) Atomics.wait(control, READY, Atomics.load(control, READY), 1);
  for (let i = 0; i < operations && Atomics.load(control, WRONG) === 0; i++) {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    const kind = (random >>> 16) & 31;
    if (kind < 18) {
      downRead(sem);
      read();
      upRead(sem);
    } else if (kind < 26) {
      downWrite(sem);
      write();
      upWrite(sem);
    } else if (kind === 26) {
      downWrite(sem);
      write();
      downgradeWrite(sem);
      read();
      upRead(sem);
    } else if (kind === 27 ? downReadTrylock(sem) : kind === 28 && downReadTimeout(sem, 1) === 0) {
      read();
      upRead(sem);
    } else if (kind === 29 ? downWriteTrylock(sem) : kind === 30 && downWriteTimeout(sem, 1) === 0) {
      write();
      upWrite(sem);
    }
    control[mine] = i + 1;
  }
}

await main(workerData as Side);
