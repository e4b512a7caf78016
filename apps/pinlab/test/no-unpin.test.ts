import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { odirectCommand } from '../src/odirect/command.ts';

vi.mock('@mmkit/gup', async (original) => ({ ...(await original<object>()), unpinUserPages: () => {} }));

it('a build whose unpin is a no-op fails, says how many pins and frames it leaked, and whose they were', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pinlab-test-'));
  try {
    const file = join(folder, 'in');
    writeFileSync(file, randomBytes(40 * 4096));
    const lines: string[] = [];
    const options = { bs: '16384', qd: '2', offset: '0', arch: 'x86_64', ledger: true };
    const json = { ...options, json: true, out: join(folder, 'out') };
    expect(odirectCommand(file, json, (line) => lines.push(line))).toBe(1);
    // 40 pages pinned for the read, the same 40 for the write; the frames are orphans once the process is gone.
    const report = JSON.parse(lines.join('\n')) as object;
    expect(report).toMatchObject({ ok: false, pagesPinned: 80, leakedPins: 80, leakedFrames: 40 });
    // Ten requests each way, of four pages.
    const row = { scopes: 10, pages: 40, pins: 40 };
    const left = [
      { ...row, name: 'direct read, process 1', since: 0 },
      { ...row, name: 'direct write, process 1' },
    ];
    expect(report).toMatchObject({ ledger: { left } });
    lines.length = 0;
    expect(odirectCommand(file, options, (line) => lines.push(line))).toBe(1);
    const last = lines.join('\n').split('pins at the end:\n')[1]!;
    expect(last.split('\n').map((line) => line.trim().split(/  +/).slice(0, 4))).toEqual([
      ['scopes', 'pages', 'pins', 'oldest'],
      ['direct read, process 1', '10', '40', '40'],
      ['direct write, process 1', '10', '40', '40'],
      ['SOMETHING IS WRONG'],
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
