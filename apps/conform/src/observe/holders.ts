/** The lists of the `pins`, `pipes` and `files` lines. */
import { isZeroPage } from '@mmkit/aspace';
import { cacheStat } from '@mmkit/filemap';
import type { Pipe, RegisteredBuffer } from '@mmkit/kernel';
import { PAGE } from '../world/world.ts';
import { partDigest } from './contents.ts';
import type { Observer } from './observer.ts';
import { frameLetters, mappings, placeText, runsText } from './page.ts';
import type { PageView, Place } from './page.ts';
import { seeFrame } from './pages.ts';

/** Pages that only a pin, or only a pipe, holds are named by 100 + slot, 200 + pipe. */
const PIN_PLACES = 100;
const PIPE_PLACES = 200;

/** Every pinned buffer: its pages, and what the device reads through the pin. */
export function pinsText(observer: Observer, first: Map<number, Place>): string {
  const pins: string[] = [];
  observer.world.rings.forEach((ring, slot) => {
    if (ring.buffers !== null) pins.push(`[${slot},${pinText(observer, slot, ring.buffers[0]!, first)}]`);
  });
  return `[${pins.join(',')}]`;
}

function pinText(observer: Observer, slot: number, buffer: RegisteredBuffer, first: Map<number, Place>): string {
  const { memory } = observer.world.machine;
  const pages: [number, PageView][] = [];
  let offset = buffer.offsetInPage;
  let left = buffer.length;
  buffer.pfns.forEach((pfn, index) => {
    const length = Math.min(PAGE - offset, left);
    const view = {
      letters: frameLetters(memory, pfn),
      mapcount: mappings(memory, pfn),
      digest: partDigest(observer.contents, pfn, offset, length),
      ref: seeFrame(first, pfn, { q: PIN_PLACES + slot, b: index }),
    };
    pages.push([index, view]);
    offset = 0;
    left -= length;
  });
  return runsText(pages);
}

/** Every pipe that has something to read. */
export function pipesText(observer: Observer, first: Map<number, Place>): string {
  const pipes: string[] = [];
  observer.world.pipes.forEach((pipe, slot) => {
    if (pipe.buffers.length > 0) pipes.push(`[${slot},[${pipeEntries(observer, slot, pipe, first).join(',')}]]`);
  });
  return `[${pipes.join(',')}]`;
}

function pipeEntries(observer: Observer, slot: number, pipe: Pipe, first: Map<number, Place>): string[] {
  const { memory } = observer.world.machine;
  return pipe.buffers.map(({ pfn, offset, length }, index) => {
    const entry = `[${offset},${length},"${frameLetters(memory, pfn)}",${mappings(memory, pfn)}`;
    if (isZeroPage(memory, pfn)) return `${entry}]`;
    const ref = seeFrame(first, pfn, { q: PIPE_PLACES + slot, b: index });
    return ref === null ? `${entry}]` : `${entry},${placeText(ref)}]`;
  });
}

/** Size and page cache of every file. */
export function filesText(observer: Observer): string {
  const files: string[] = [];
  observer.world.files.forEach((file, id) => {
    if (file === undefined) return;
    const { cached, dirty } = cacheStat(file.inode, 0, Infinity);
    const evicted = observer.world.trace.swap === 'none' ? '' : ',0';
    files.push(`[${id},${file.inode.size},${cached},${dirty}${evicted}]`);
  });
  return `[${files.join(',')}]`;
}
