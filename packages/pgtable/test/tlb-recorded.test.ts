/**
 * The scripts of apps/conform/native/tlb-scripts.h, which explains them, on our TLB. Where the architecture binds an
 * access, ours must see what every recorded processor saw; where it does not, the first choice of the script is the
 * translation from before the change, which ours keeps and the processors may.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { arm64, x86_64 } from '@mmkit/pgtable';
import { Processor } from './tlb-processor.ts';

interface Row {
  script: string;
  seen: Record<string, number[] | null>;
}

function rowsOf(name: string): Row[] {
  const text = readFileSync(new URL(`data/${name}.json`, import.meta.url), 'utf8');
  return (JSON.parse(text) as { rows: Row[] }).rows;
}

/** By access of a script: what it may see, the kept translation's first. */
function choices(script: string): number[][] {
  return [...script.matchAll(/[:!?](\S+)/g)].map(([, numbers]) => numbers!.split('/').map(Number));
}

/** In how many accesses that are free to, of scripts with or without global entries, `who` saw the kept translation. */
function kept(rows: readonly Row[], who: string, global: boolean): number {
  const scripts = rows.filter(({ script }) => script.includes('g ') === global);
  return scripts.flatMap(({ script, seen }) =>
    choices(script).filter((numbers, at) => numbers.length === 2 && seen[who]?.[at] === numbers[0]),
  ).length;
}

const x86 = rowsOf('tlb-x86_64');
const arm = rowsOf('tlb-aarch64');

describe.each([
  ['x86-64', x86_64, x86],
  ['arm64', arm64, arm],
])('%s TLB: what recorded processors keep and drop', (_name, format, rows) => {
  it.each(rows)('$script', ({ script, seen }) => {
    const processor = new Processor(format, !script.startsWith('nopcid '));
    for (const step of script.replace('nopcid ', '').split(' ')) processor.step(step);
    const allowed = choices(script);
    expect(processor.seen).toEqual(allowed.map(([first]) => first));
    for (const theirs of Object.values(seen)) {
      allowed.forEach((numbers, at) => {
        if (numbers.length === 1 && theirs !== null) expect(theirs[at]).toBe(numbers[0]);
      });
    }
    // Debug mode speaks up exactly where what was kept is not what the tables say.
    expect(processor.reports.length > 0).toBe(allowed.some((numbers) => numbers.length === 2));
  });
});

describe('recorded TLBs', () => {
  it('kept translations too where they may: Bochs, which has PCID, also global ones', () => {
    expect([kept(x86, 'bochs', false), kept(x86, 'bochs', true)]).toEqual([8, 11]);
    expect([kept(x86, 'qemu', false), kept(x86, 'qemu', true)]).toEqual([8, 2]);
    expect([kept(arm, 'qemu', false), kept(arm, 'qemu', true)]).toEqual([7, 2]);
  });
});
