import { describe, expect, it } from 'vitest';
import {
  allocPagesNowait,
  copyFrame,
  createPhys,
  frameBytes,
  frameWordIndex,
  frameWords,
  getPage,
  GFP_KERNEL,
  HOT_REFCOUNT,
  HOT_WORDS,
  pageblockType,
  type Phys,
  putPage,
  readBytes,
  watchPhys,
  writeBytes,
  zeroFrame,
} from '@mmkit/phys';

/** What is told of, by names: 'hot 9 w', 'ram 5 r', 'lists w'. */
function watched(prepare: (phys: Phys) => void = () => {}): { phys: Phys; told: (act: () => void) => string[] } {
  const phys = createPhys({ frames: 64 });
  prepare(phys);
  const objects: object[] = [];
  const names = ['lists', 'hot', 'cold', 'pageblocks', 'ram'];
  let log: string[] = [];
  watchPhys(phys, (object, index, write) => {
    if (!objects.includes(object)) objects.push(object);
    const word = index < 0 ? '' : ` ${index}`;
    log.push(`${names[objects.indexOf(object)] ?? '?'}${word} ${write ? 'w' : 'r'}`);
  });
  const told = (act: () => void): string[] => {
    log = [];
    act();
    return [...new Set(log)].sort();
  };
  return { phys, told };
}

describe('watchPhys: every access is told of', () => {
  it('references: the words of the frame', () => {
    const { phys, told } = watched((p) => void allocPagesNowait(p, GFP_KERNEL, 0));
    const pfn = allocPagesNowait(phys, GFP_KERNEL, 0);
    const at = pfn * HOT_WORDS + HOT_REFCOUNT;
    expect(told(() => getPage(phys, pfn))).toContain(`hot ${at} w`);
    expect(told(() => getPage(phys, pfn))).not.toContain('lists w');
    expect(told(() => expect(phys.hot[at]).toBe(3))).toEqual([`hot ${at} r`]);
  });

  it('taking and freeing a frame: the lists, and the words of the frame', () => {
    const { phys, told } = watched();
    let pfn = 0;
    const taken = told(() => void (pfn = allocPagesNowait(phys, GFP_KERNEL, 0)));
    expect(taken).toContain('lists w');
    expect(taken).toContain(`hot ${pfn * HOT_WORDS + HOT_REFCOUNT} w`);
    expect(told(() => putPage(phys, pfn))).toContain('lists w');
    expect(told(() => void pageblockType(phys, pfn))).toContain('pageblocks 0 r');
  });

  it('contents, by frame: words, bytes, copies, zeroing, views; those made before and those made later', () => {
    const { phys, told } = watched((p) => writeBytes(p, 3, 0, Uint8Array.of(1), 0, 1));
    const bytes = new Uint8Array(4096).fill(5);
    for (const pfn of [3, 40]) {
      const short = (): void => writeBytes(phys, pfn, 4000, bytes, 0, 8);
      expect(told(short)).toEqual([`ram ${pfn} w`]);
      expect(told(() => readBytes(phys, pfn, 4000, bytes, 0, 8))).toEqual([`ram ${pfn} r`]);
      expect(told(() => writeBytes(phys, pfn, 0, bytes, 0, 4096))).toEqual([`ram ${pfn} w`]);
      expect(told(() => void frameWords(phys, pfn)[frameWordIndex(phys, pfn) + 1023])).toEqual([`ram ${pfn} r`]);
      expect(told(() => zeroFrame(phys, pfn))).toEqual([`ram ${pfn} w`]);
      expect(told(() => void frameBytes(phys, pfn, 1))).toEqual([`ram ${pfn} w`]);
      // Within a chunk, and to another, where the view of the source could be written to.
      expect(told(() => copyFrame(phys, pfn + 1, pfn))).toEqual([`ram ${pfn} r`, `ram ${pfn + 1} w`]);
      expect(told(() => copyFrame(phys, 60, pfn))).toEqual(expect.arrayContaining(['ram 60 w', `ram ${pfn} w`]));
      expect(bytes[0]).toBe(5);
    }
    // The first touch of a chunk too.
    expect(told(() => void (frameWords(phys, 20)[frameWordIndex(phys, 20)] = 7))).toEqual(['ram 20 w']);
    expect(frameWords(phys, 20)[frameWordIndex(phys, 20)]).toBe(7);
  });

  it('nothing else changes: the same calls give the same frames and bytes', () => {
    const run = (phys: Phys): unknown => {
      const pages = [0, 1, 2].map((order) => allocPagesNowait(phys, GFP_KERNEL, order));
      putPage(phys, pages[0]!);
      writeBytes(phys, pages[1]!, 0, new Uint8Array(200).fill(9), 0, 200);
      copyFrame(phys, pages[2]!, pages[1]!);
      const bytes = new Uint8Array(300);
      readBytes(phys, pages[2]!, 0, bytes, 0, 300);
      return [pages, phys.freeFrames, [...phys.hot], [...phys.cold], bytes];
    };
    expect(run(watched().phys)).toEqual(run(createPhys({ frames: 64 })));
  });

  it('memory that threads share is refused', () => {
    const phys = createPhys({ frames: 64, shared: true });
    const { hot } = phys;
    expect(() => watchPhys(phys, () => {})).toThrow(expect.objectContaining({ code: 'WATCH_SHARED' }) as Error);
    expect(phys.hot).toBe(hot);
  });
});
