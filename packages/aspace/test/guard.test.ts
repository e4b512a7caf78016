import { describe, expect, it } from 'vitest';
import { isGuardMarker, Mm, PTE_MARKER_GUARD, setGuardMarker, SWP_PTE_MARKER } from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import { ENOMEM } from '@mmkit/base';
import {
  createDecoded,
  createEntry,
  E_SPECIAL,
  E_USER,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
} from '@mmkit/pgtable';
import { allocPages, countFrames, GFP_KERNEL, pageRefCount } from '@mmkit/phys';
import { spawn, stepTask, TASK_DONE } from '@mmkit/task';
import { addVma, AT, builds, entryAt, formats, machine, mapAnon, PAGE, RW, setLeaf, space } from './builds.ts';

const TABLE_SPAN = 0x20_0000;

/** One letter a page: `g` guard, `x` mapped, `.` nothing. */
function map(mm: Mm, start: number, pages: number): string {
  return Array.from({ length: pages }, (_, i) => {
    const entry = entryAt(mm, start + i * PAGE);
    if (isGuardMarker(entry)) return 'g';
    return entry.kind === ENTRY_LEAF ? 'x' : '.';
  }).join('');
}

describe.each(formats)('%s: guard marker', (_name, format) => {
  it('E.2: a non-present entry of type 31 that decodes to itself, and is neither empty nor mapped', () => {
    const decoded = createDecoded();
    const entry = createEntry();
    setGuardMarker(decoded);
    format.encode(decoded, 0, entry);
    const again = createDecoded();
    format.decode(entry.lo, entry.hi, 0, again);
    expect(again).toMatchObject({ kind: ENTRY_NONPRESENT, type: SWP_PTE_MARKER, offset: PTE_MARKER_GUARD });
    expect(isGuardMarker(again)).toBe(true);
  });

  it('other markers, swap entries, pages and nothing are no guards', () => {
    const decoded = createDecoded();
    setGuardMarker(decoded);
    decoded.offset = 3;
    expect(isGuardMarker(decoded)).toBe(false);
    setGuardMarker(decoded);
    decoded.type = 3;
    expect(isGuardMarker(decoded)).toBe(false);
    setGuardMarker(decoded);
    decoded.kind = ENTRY_LEAF;
    expect(isGuardMarker(decoded)).toBe(false);
    decoded.kind = ENTRY_NONE;
    expect(isGuardMarker(decoded)).toBe(false);
  });
});

describe.each(builds)('%s: guardInstall, guardRemove', (_name, api) => {
  it('FACTS 8: what is mapped goes, the zero page too; neighbours stay', () => {
    const mm = space(machine());
    const vma = addVma(mm, AT, 6, RW);
    const pfns = [0, 1, 4].map((i) => mapAnon(mm, vma, AT + i * PAGE));
    setLeaf(mm, AT + 2 * PAGE, mm.memory.phys.zeroPfn, E_USER | E_SPECIAL);
    expect(api.guardInstall(mm, AT + PAGE, AT + 4 * PAGE)).toBe(0);
    expect(map(mm, AT, 6)).toBe('xgggx.');
    expect(pfns.map((pfn) => pageRefCount(mm.memory.phys, pfn))).toEqual([1, 0, 1]);
    expect(mm.anonPages).toBe(2);
  });

  it('over the edge of leaf tables, which are made; again over guards it changes nothing', () => {
    const mm = space(machine());
    const edge = TABLE_SPAN * 2;
    addVma(mm, edge - 2 * PAGE, 4, RW);
    expect(api.guardInstall(mm, edge - PAGE, edge + PAGE)).toBe(0);
    expect(map(mm, edge - 2 * PAGE, 4)).toBe('.gg.');
    expect(api.guardInstall(mm, edge - 2 * PAGE, edge + PAGE)).toBe(0);
    expect(map(mm, edge - 2 * PAGE, 4)).toBe('ggg.');
  });

  it('guardRemove takes guards only, where there are tables', () => {
    const mm = space(machine());
    const vma = addVma(mm, AT, 4, RW);
    api.guardInstall(mm, AT, AT + 2 * PAGE);
    const pfn = mapAnon(mm, vma, AT + 2 * PAGE);
    const used = countFrames(mm.memory.phys).used;
    api.guardRemove(mm, AT + PAGE, AT + 8 * TABLE_SPAN);
    expect(map(mm, AT, 4)).toBe('g.x.');
    expect([pageRefCount(mm.memory.phys, pfn), countFrames(mm.memory.phys).used]).toEqual([1, used]);
  });

  it('-ENOMEM when there is no page for a table', () => {
    const mm = space(machine({ frames: 16 }));
    while (allocPages(mm.memory.phys, GFP_KERNEL, 0) >= 0);
    expect(api.guardInstall(mm, AT, AT + PAGE)).toBe(-ENOMEM);
  });
});

it.each(formats)('sched %s: a page faulted in between clearing and marking goes too', () => {
  const memory = machine({ cpus: 2 });
  const mm = space(memory);
  const vma = addVma(mm, AT, 2, RW);
  mapAnon(mm, vma, AT + PAGE);
  const task = spawn(memory.sched, 'madvise', coloured.guardInstall(mm, AT, AT + 2 * PAGE), 0);
  let late = -1;
  while (task.state !== TASK_DONE) {
    stepTask(memory.sched, task);
    if (late < 0 && map(mm, AT, 2)[1] === '.') late = mapAnon(mm, vma, AT + PAGE);
  }
  expect([map(mm, AT, 2), pageRefCount(memory.phys, late), mm.anonPages]).toEqual(['gg', 0, 0]);
});
