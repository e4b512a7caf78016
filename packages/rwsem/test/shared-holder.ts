/** A thread that takes the semaphore for writing as slot 2, says so, and never gives it back. */
import { parentPort, workerData } from 'node:worker_threads';
import { attachRwsem, downWrite } from '@mmkit/rwsem/shared';

downWrite(attachRwsem(workerData as Int32Array, 2));
parentPort!.postMessage('holds it');
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
