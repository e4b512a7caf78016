/** Digests of frames, computed again only when the bytes have changed. */
import { readBytes } from '@mmkit/phys';
import type { Phys } from '@mmkit/phys';
import { digest } from '../digest.ts';

interface Known {
  readonly bytes: Buffer;
  digest: string;
}

export class Contents {
  readonly phys: Phys;
  /** What each frame held when it was last asked for. */
  readonly known: Map<number, Known>;
  readonly scratch: Buffer;

  constructor(phys: Phys) {
    this.phys = phys;
    this.known = new Map();
    this.scratch = Buffer.alloc(phys.pageSize);
  }
}

/** DIGEST of a whole frame. */
export function frameDigest(contents: Contents, pfn: number): string {
  const { phys, known, scratch } = contents;
  readBytes(phys, pfn, 0, scratch, 0, phys.pageSize);
  const old = known.get(pfn);
  if (old !== undefined && old.bytes.equals(scratch)) return old.digest;
  const now = digest(scratch);
  if (old === undefined) {
    known.set(pfn, { bytes: Buffer.from(scratch), digest: now });
  } else {
    old.bytes.set(scratch);
    old.digest = now;
  }
  return now;
}

/** DIGEST of `length` bytes of a frame from `offset` on. */
export function partDigest(contents: Contents, pfn: number, offset: number, length: number): string {
  if (length === contents.phys.pageSize) return frameDigest(contents, pfn);
  const bytes = new Uint8Array(length);
  readBytes(contents.phys, pfn, offset, bytes, 0, length);
  return digest(bytes);
}
