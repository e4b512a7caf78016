/** Steps that look: ?pg, ?pop, ?vmas and so on. */
import { folioTestAnon, isGuardMarker, isZeroPage } from '@mmkit/aspace';
import { mincore } from '@mmkit/mm';
import { E_UFFD_WP, ENTRY_NONE } from '@mmkit/pgtable';
import { compoundHead, folioTestLarge, pageMapCount, PG_MLOCKED, testFlag } from '@mmkit/phys';
import * as vm from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { frameAt } from './frames.ts';
import type { Step } from './parse.ts';
import { actorOf, addressAt, CaseWorld, integerAt, okText, PAGE, regionAt } from './world.ts';

/** The flags `?vmas` names, in its order. */
const LETTERS: readonly string[] = Object.freeze([
  'lo',
  'lf',
  'hg',
  'mg',
  'dc',
  'wf',
  'um',
  'uw',
  'dd',
  'sl',
  'ht',
  'gd',
]);

/** ?pg R off */
export function pageStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const { memory } = world.machine;
  const { phys } = memory;
  const { pfn, huge, entry } = frameAt(actor, addressAt(actor, step, 0));
  if (pfn < 0) {
    if (entry.kind === ENTRY_NONE) return 'none';
    return isGuardMarker(entry) ? 'swap-or-marker guard' : 'swap-or-marker';
  }
  if (isZeroPage(memory, pfn)) return huge >= 0 ? 'present zero huge' : 'present zero';
  const mapcount = pageMapCount(phys, pfn);
  const words = ['present', folioTestAnon(phys, pfn) ? 'anon' : 'file'];
  if (folioTestLarge(phys, pfn)) words.push('thp');
  // Of a huge page pagemap looks at the first page only.
  if ((huge >= 0 ? pageMapCount(phys, huge) : mapcount) === 1) words.push('excl');
  if ((entry.flags & E_UFFD_WP) !== 0) words.push('uffd-wp');
  if (testFlag(phys, compoundHead(phys, pfn), PG_MLOCKED)) words.push('mlocked');
  return `${words.join(' ')} mapcount=${mapcount}`;
}

/** ?pop R, ?swapped R, ?incore R */
export function countStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const { start, pages } = regionAt(actor, step, 0);
  let count = 0;
  if (step.verb === '?incore') {
    const vec = new Uint8Array(pages);
    const error = mincore(actor.process.mm, start, pages * PAGE, vec);
    if (error !== 0) return okText(error);
    count = vec.reduce((sum, byte) => sum + byte, 0);
  }
  for (let page = 0; step.verb === '?pop' && page < pages; page++) {
    if (frameAt(actor, start + page * PAGE).pfn >= 0) count++;
  }
  return `${count}/${pages}`;
}

/** ?vmas R [n]: clipped to the region. */
export function vmasStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const region = regionAt(actor, step, 0);
  const pages = step.args.length > 1 ? integerAt(step, 1) : region.pages;
  const end = region.start + pages * PAGE;
  const vmas = vm.vmasIn(actor.process.mm.vmas, region.start, end);
  return vmas.map((vma) => vmaText(vma, region.start, end)).join('');
}

function vmaText(vma: Vma, start: number, end: number): string {
  const shown = vm.vmFlagLetters(vma);
  const words = LETTERS.filter((letters) => shown.includes(letters));
  const from = (Math.max(vma.start, start) - start) / PAGE;
  const to = (Math.min(vma.end, end) - start) / PAGE;
  return `[${[`${from}-${to}`, vm.formatVmaFlags(vma.flags), ...words].join(' ')}]`;
}

/** ?lck, ?pinned: VmLck and VmPin of /proc/PID/status. */
export function statusStep(world: CaseWorld, step: Step): string {
  const { mm } = actorOf(world, step).process;
  return `${((step.verb === '?lck' ? mm.lockedVm : mm.pinnedVm) * PAGE) / 1024}kB`;
}

/** snap NAME R off */
export function snapStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const { pfn } = frameAt(actor, addressAt(actor, step, 1));
  if (pfn < 0) return 'not-present';
  world.snaps.set(step.args[0]!, pfn);
  return 'ok';
}

/** ?same NAME R off */
export function sameStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const { pfn } = frameAt(actor, addressAt(actor, step, 1));
  if (pfn < 0) return 'not-present';
  return pfn === world.snaps.get(step.args[0]!) ? 'same-frame' : 'other-frame';
}
