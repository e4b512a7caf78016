import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planOdirect } from '../src/odirect/options.ts';
import { runOdirect } from '../src/odirect/run.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinlab-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIZES = [0, 1, 511, 512, 513, 4095, 4096, 4097, 65_536, 131_073, (1 << 20) + 1];
const BLOCKS = ['512', '4096', '65536', '1536'];

describe.each(['x86_64', 'arm64'])('%s: a file goes through pinned pages and comes out the same', (arch) => {
  for (const bs of BLOCKS) {
    it.each(SIZES)(`--bs ${bs}, %i bytes: a tail is read short, written whole, and truncated`, (size) => {
      const file = join(folder, 'in');
      const out = join(folder, 'out');
      writeFileSync(file, randomBytes(size));
      const plan = planOdirect(file, { bs, qd: '4', offset: '0', arch, out });
      const { report, expected, copied } = runOdirect(plan, () => {});
      expect(report).toMatchObject({ ok: true, bytes: size, leakedPins: 0, leakedFrames: 0 });
      expect(report.sha256).toBe(expected);
      expect(copied).toBe(expected);
      expect(readFileSync(out)).toEqual(readFileSync(file));
    });
  }

  it('--ledger: requests in flight are who holds pins, and nobody does at the end', () => {
    const file = join(folder, 'in');
    writeFileSync(file, randomBytes(40 * 4096));
    const plan = planOdirect(file, { bs: '16384', qd: '4', offset: '0', arch, ledger: true });
    const { report } = runOdirect(plan, () => {});
    expect(report).toMatchObject({
      ok: true,
      ledger: {
        held: [
          { name: 'direct read, process 1', scopes: 3, pages: 12, pins: 12, since: 0 },
          { name: 'direct write, process 1', scopes: 1, pages: 4, pins: 4 },
        ],
        left: [],
      },
    });
    expect(runOdirect({ ...plan, ledger: false }, () => {}).report.ledger).toBe(undefined);
    const empty = planOdirect(file, { bs: '16384', qd: '4', offset: '0', length: '0', arch, ledger: true });
    expect(runOdirect(empty, () => {}).report.ledger).toEqual({ held: [], left: [] });
  });

  it('progress ends at the size of the buffer', () => {
    const file = join(folder, 'in');
    writeFileSync(file, randomBytes(20 << 20));
    const plan = planOdirect(file, { bs: '131072', qd: '8', offset: '0', arch });
    const seen: number[] = [];
    runOdirect(plan, (done) => seen.push(done));
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(plan.bufferSize);
  });

  it('the smallest RAM that is accepted is enough', () => {
    const file = join(folder, 'in');
    writeFileSync(file, randomBytes(3 << 20));
    for (let ram = 1; ; ram++) {
      let plan;
      try {
        plan = planOdirect(file, { bs: '4096', qd: '8', offset: '0', arch, ram: String(ram) });
      } catch {
        continue;
      }
      expect(runOdirect(plan, () => {}).report.ok).toBe(true);
      break;
    }
  });
});
