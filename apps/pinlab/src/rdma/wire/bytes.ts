/** A queue of bytes that come in pieces of any size and are taken in pieces of other sizes. */
export class ByteQueue {
  /** Pieces not yet taken; of the first, what lies behind `start`. This file only. */
  readonly chunks: Uint8Array[];
  /** Bytes of the first piece already taken. This file only. */
  start: number;
  /** Bytes there are. This file only writes it. */
  length: number;

  constructor() {
    this.chunks = [];
    this.start = 0;
    this.length = 0;
  }
}

/** Appends a piece; it must not change afterwards. */
export function pushBytes(queue: ByteQueue, chunk: Uint8Array): void {
  if (chunk.length === 0) return;
  queue.chunks.push(chunk);
  queue.length += chunk.length;
}

/** The next `count` bytes, or null when there are not so many; they stay in the queue. */
export function peekQueue(queue: ByteQueue, count: number): Uint8Array | null {
  if (queue.length < count) return null;
  const first = queue.chunks[0];
  if (first === undefined) return new Uint8Array(0);
  if (first.length - queue.start >= count) return first.subarray(queue.start, queue.start + count);
  const bytes = new Uint8Array(count);
  let done = 0;
  let start = queue.start;
  for (const chunk of queue.chunks) {
    const part = chunk.subarray(start, start + count - done);
    bytes.set(part, done);
    done += part.length;
    start = 0;
    if (done === count) break;
  }
  return bytes;
}

/** The next `count` bytes, taken out, or null when there are not so many. */
export function takeBytes(queue: ByteQueue, count: number): Uint8Array | null {
  const bytes = peekQueue(queue, count);
  if (bytes === null) return null;
  queue.length -= count;
  queue.start += count;
  while (queue.chunks.length > 0 && queue.start >= queue.chunks[0]!.length) {
    queue.start -= queue.chunks.shift()!.length;
  }
  return bytes;
}
