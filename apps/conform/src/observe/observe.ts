/** One observation: the lines of what changed (trace format, section 5). It changes nothing of the machine. */
import type { Process } from '@mmkit/kernel';
import { filesText, pinsText, pipesText } from './holders.ts';
import type { Observer } from './observer.ts';
import { runsText, sameView } from './page.ts';
import type { PageView, Place } from './page.ts';
import { scanPages } from './pages.ts';
import { arenaVmas, vmasText } from './vmas.ts';

/** Adds the lines after operation `i` to `lines`. */
export function observe(observer: Observer, i: number, lines: string[]): void {
  const first = new Map<number, Place>();
  observer.world.processes.forEach((process, q) => {
    if (process !== null) observeProcess(observer, i, q, process, first, lines);
  });
  const pins = pinsText(observer, first);
  if (pins !== observer.pins) lines.push(`{"i":${i},"pins":${pins}}`);
  observer.pins = pins;
  const pipes = pipesText(observer, first);
  if (pipes !== observer.pipes) lines.push(`{"i":${i},"pipes":${pipes}}`);
  observer.pipes = pipes;
  const files = filesText(observer);
  if (files !== observer.files) lines.push(`{"i":${i},"files":${files}}`);
  observer.files = files;
}

function observeProcess(
  observer: Observer,
  i: number,
  q: number,
  process: Process,
  first: Map<number, Place>,
  lines: string[],
): void {
  const seen = observer.seen[q]!;
  const list = arenaVmas(observer.world, process);
  const vmas = vmasText(observer.world, list);
  if (vmas !== seen.vmas) lines.push(`{"i":${i},"proc":${q},"vmas":${vmas}}`);
  seen.vmas = vmas;
  const { pages, cnt } = scanPages(observer, q, process, list, first);
  const changed = changedPages(seen.pages, pages);
  if (changed.length > 0) lines.push(`{"i":${i},"proc":${q},"pages":${runsText(changed)}}`);
  seen.pages = pages;
  if (cnt !== seen.cnt) lines.push(`{"i":${i},"proc":${q},"cnt":${cnt}}`);
  seen.cnt = cnt;
}

/** The pages that differ, ascending; undefined: nothing is there any more. */
function changedPages(
  before: ReadonlyMap<number, PageView>,
  now: ReadonlyMap<number, PageView>,
): [number, PageView | undefined][] {
  const changed: [number, PageView | undefined][] = [];
  for (const [at, view] of now) if (!sameView(before.get(at), view)) changed.push([at, view]);
  for (const at of before.keys()) if (!now.has(at)) changed.push([at, undefined]);
  return changed.sort(([a], [b]) => a - b);
}
