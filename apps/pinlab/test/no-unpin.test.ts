import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { odirectCommand } from '../src/odirect/command.ts';

vi.mock('@mmkit/gup', async (original) => ({ ...(await original<object>()), unpinUserPages: () => {} }));

it('a build whose unpin is a no-op fails, and says how many pins and frames it leaked', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pinlab-test-'));
  try {
    const file = join(folder, 'in');
    writeFileSync(file, randomBytes(40 * 4096));
    const lines: string[] = [];
    const options = { bs: '16384', qd: '2', offset: '0', arch: 'x86_64', json: true, out: join(folder, 'out') };
    expect(odirectCommand(file, options, (line) => lines.push(line))).toBe(1);
    // 40 pages pinned for the read, the same 40 for the write; the frames are orphans once the process is gone.
    const report = JSON.parse(lines.join('\n')) as object;
    expect(report).toMatchObject({ ok: false, pagesPinned: 80, leakedPins: 80, leakedFrames: 40 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
