import { describe, expect, it } from 'vitest';
import {
  allocPages,
  COLD_WORDS,
  createPhys,
  folioAddMmMapcount,
  folioAddRmapPmd,
  folioAddRmapPtes,
  folioMaybeMappedShared,
  folioRemoveRmapPmd,
  folioRemoveRmapPtes,
  folioSubMmMapcount,
  freePages,
  getPage,
  GFP_COMP,
  GFP_USER,
  HOT_FLAGS,
  HOT_OWNER,
  HOT_WORDS,
  OWNER_ANON,
  Phys,
  PG_LOCKED,
  putPage,
  setFlag,
  splitFolio,
} from '@mmkit/phys';

/** A machine with a large folio of 16 pages. */
function large(): [Phys, number] {
  const machine = createPhys({ frames: 64 });
  return [machine, allocPages(machine, GFP_USER | GFP_COMP, 4)];
}

/** Address space `mm` maps `entries` pages of the folio more. */
function map(machine: Phys, folio: number, mm: number, entries: number): void {
  for (let i = 0; i < entries; i++) folioAddRmapPtes(machine, folio + i);
  folioAddMmMapcount(machine, folio + 1, mm, entries);
}

function unmap(machine: Phys, folio: number, mm: number, entries: number): void {
  for (let i = 0; i < entries; i++) folioRemoveRmapPtes(machine, folio + i);
  folioSubMmMapcount(machine, folio + 1, mm, entries);
}

describe('folio_maybe_mapped_shared (N.4, OBSERVED 5)', () => {
  it('nobody, then one address space, by a large entry or by single ones: not shared', () => {
    const [machine, folio] = large();
    expect(folioMaybeMappedShared(machine, folio)).toBe(false);
    folioAddRmapPmd(machine, folio);
    folioAddMmMapcount(machine, folio, 7, 1);
    expect(folioMaybeMappedShared(machine, folio)).toBe(false);
    map(machine, folio, 7, 5);
    expect(folioMaybeMappedShared(machine, folio + 2)).toBe(false);
  });

  it('two pages have no second tail: the frame behind them stays as it is, and a page mapped twice is called shared', () => {
    const machine = createPhys({ frames: 64 });
    const folio = allocPages(machine, GFP_USER | GFP_COMP, 1);
    const behind = machine.cold.slice((folio + 2) * COLD_WORDS, (folio + 3) * COLD_WORDS);
    map(machine, folio, 7, 1);
    expect(folioMaybeMappedShared(machine, folio + 1)).toBe(false);
    folioAddRmapPtes(machine, folio + 1);
    folioAddMmMapcount(machine, folio + 1, 7, 1);
    expect(folioMaybeMappedShared(machine, folio)).toBe(false);
    folioAddRmapPtes(machine, folio + 1);
    folioAddMmMapcount(machine, folio + 1, 8, 1);
    expect(folioMaybeMappedShared(machine, folio)).toBe(true);
    folioRemoveRmapPtes(machine, folio + 1);
    folioSubMmMapcount(machine, folio, 8, 1);
    expect(machine.cold.slice((folio + 2) * COLD_WORDS, (folio + 3) * COLD_WORDS)).toEqual(behind);
    unmap(machine, folio, 7, 2);
    expect(machine.cold.slice((folio + 2) * COLD_WORDS, (folio + 3) * COLD_WORDS)).toEqual(behind);
    freePages(machine, folio, 1);
  });

  it('two: shared until one has gone', () => {
    const [machine, folio] = large();
    map(machine, folio, 7, 5);
    map(machine, folio, 8, 1);
    expect(folioMaybeMappedShared(machine, folio)).toBe(true);
    unmap(machine, folio, 7, 5);
    expect(folioMaybeMappedShared(machine, folio)).toBe(false);
    map(machine, folio, 9, 2);
    unmap(machine, folio, 8, 1);
    expect(folioMaybeMappedShared(machine, folio)).toBe(false);
  });

  it('a third has no slot: it may seem shared when it is alone, never alone when it is shared', () => {
    const [machine, folio] = large();
    for (const mm of [1, 2, 3]) map(machine, folio, mm, 2);
    unmap(machine, folio, 1, 2);
    unmap(machine, folio, 2, 2);
    expect(folioMaybeMappedShared(machine, folio)).toBe(true);
    map(machine, folio, 3, 1);
    expect(folioMaybeMappedShared(machine, folio)).toBe(true);
    unmap(machine, folio, 3, 2);
    unmap(machine, folio, 3, 1);
    expect(folioMaybeMappedShared(machine, folio)).toBe(false);
    map(machine, folio, 4, 1);
    expect(folioMaybeMappedShared(machine, folio)).toBe(false);
  });

  it('a small folio: by its map count', () => {
    const machine = createPhys({ frames: 64 });
    const page = allocPages(machine, GFP_USER, 0);
    folioAddRmapPtes(machine, page);
    expect(folioMaybeMappedShared(machine, page)).toBe(false);
    folioAddRmapPtes(machine, page);
    expect(folioMaybeMappedShared(machine, page)).toBe(true);
  });

  it('bad arguments name themselves and change nothing', () => {
    const [machine, folio] = large();
    map(machine, folio, 7, 2);
    const before = machine.cold.slice();
    expect(() => folioAddMmMapcount(machine, folio, 0, 1)).toThrow(/mmId/u);
    expect(() => folioSubMmMapcount(machine, folio, 7, 0)).toThrow(/entries/u);
    expect(machine.cold).toEqual(before);
  });

  it('the words are zero again after a split, and after the folio is free', () => {
    const [machine, folio] = large();
    machine.hot[folio * HOT_WORDS + HOT_OWNER] = OWNER_ANON | (5 << 2);
    map(machine, folio, 7, 16);
    getPage(machine, folio, 16);
    setFlag(machine, folio, PG_LOCKED);
    expect(splitFolio(machine, folio, 0)).toBe(0);
    const slots = (pfn: number): number[] => [...machine.cold.subarray(pfn * COLD_WORDS + 1, (pfn + 1) * COLD_WORDS)];
    expect(slots(folio + 2)).toEqual([0, 0, 0]);
    expect(machine.hot[(folio + 2) * HOT_WORDS + HOT_FLAGS]! & PG_LOCKED).toBe(0);
    const [other, second] = large();
    folioAddRmapPmd(other, second);
    folioAddMmMapcount(other, second, 9, 1);
    folioRemoveRmapPmd(other, second);
    freePages(other, second, 4);
    expect([...other.cold.subarray((second + 2) * COLD_WORDS, (second + 3) * COLD_WORDS)]).toEqual([0, 0, 0, 0]);
    putPage(machine, folio);
  });
});
