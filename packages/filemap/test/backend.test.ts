import { describe, expect, it } from 'vitest';
import { EIO } from '@mmkit/base';
import { createMemoryBackend } from '@mmkit/filemap';
import { pattern } from './builds.ts';

describe('memory backend', () => {
  it('reads in place, short at the end and nothing past it', () => {
    const backend = createMemoryBackend(pattern(1000, 1));
    const into = new Uint8Array(600).fill(0xee);
    expect(backend.read(300, into)).toBe(600);
    expect(into).toEqual(pattern(1000, 1).slice(300, 900));
    into.fill(0xee);
    expect(backend.read(900, into)).toBe(100);
    expect(into.slice(0, 100)).toEqual(pattern(1000, 1).slice(900));
    expect(into.slice(100)).toEqual(new Uint8Array(500).fill(0xee));
    expect(backend.read(1000, into)).toBe(0);
    expect(backend.read(5000, into)).toBe(0);
  });

  it('writes in place, and refuses a write that does not fit whole', () => {
    const bytes = pattern(1000, 1);
    const backend = createMemoryBackend(bytes);
    expect(backend.size).toBe(1000);
    expect(backend.write(600, pattern(400, 2))).toBe(400);
    expect(bytes.slice(600)).toEqual(pattern(400, 2));
    const before = bytes.slice();
    expect(backend.write(601, pattern(400, 3))).toBe(-EIO);
    expect(backend.write(9000, pattern(1, 3))).toBe(-EIO);
    expect(bytes).toEqual(before);
  });
});
