import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { attachRwsem, createSharedRwsem, downWrite, downWriteAsync, reportDead, upWrite } from '@mmkit/rwsem/shared';

const THREADS = 3;
const { words, total, slot } = isMainThread
  ? { words: createSharedRwsem(THREADS + 1), total: new Int32Array(new SharedArrayBuffer(4)), slot: THREADS }
  : (workerData as { words: Int32Array; total: Int32Array; slot: number });
const sem = attachRwsem(words, slot);

if (isMainThread) {
  const ends = Array.from({ length: THREADS }, async (_, i) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { words, total, slot: i } });
    await new Promise((resolve) => worker.once('exit', resolve));
    if (reportDead(sem, i).writeHold) throw new Error('a worker has ended with the semaphore'); // else its slot is free
  });
  await Promise.all(ends);
  await downWriteAsync(sem); // without blocking this thread
  if (total[0] !== THREADS * 1000) throw new Error('a change was lost');
  upWrite(sem);
} else {
  for (let i = 0; i < 1000; i++) {
    downWrite(sem);
    total[0] = total[0]! + 1; // plain: the semaphore makes it safe
    upWrite(sem);
  }
}
