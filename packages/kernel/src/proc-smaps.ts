/**
 * /proc/PID/smaps (Linux: show_smap, smaps_account): each line of maps, and what its memory is. In one step and without a
 * lock, as procMaps. Shared by both builds.
 *
 * A page counts as shared when it is mapped more than once, as dirty when an entry or the page itself is, as referenced
 * likewise. Pss divides each page by its mappings, in 1/4096 of a byte. There is no swap, KSM or hugetlb: those lines are 0.
 */
import { folioTestAnon, hugeFaultAllowed, hugePageSize, MM_ROOT, vmNormalPage } from '@mmkit/aspace';
import type { Mm } from '@mmkit/aspace';
import { alignUp } from '@mmkit/base';
import {
  createCursor,
  createDecoded,
  createEntry,
  E_DIRTY,
  E_YOUNG,
  ENTRY_LEAF,
  nextRun,
  readEntry,
} from '@mmkit/pgtable';
import type { Decoded } from '@mmkit/pgtable';
import { compoundHead, pageMapCount, PG_DIRTY, PG_REFERENCED, PG_SWAPBACKED, testFlag } from '@mmkit/phys';
import { mapsLine, VM_LOCKED, vmasIn, vmFlagsLine } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { mapsName } from './proc-maps.ts';
import { checkAlive, Process } from './process.ts';

/** Parts of a byte that Pss is summed in. */
const PSS_UNIT = 4096;
/** Width of a name, and of a figure. */
const NAME_WIDTH = 16;
const FIGURE_WIDTH = 8;

/** Sums of one VMA in bytes, pss ones in bytes × PSS_UNIT (struct mem_size_stats). */
class Sums {
  rss = 0;
  pss = 0;
  pssDirty = 0;
  sharedClean = 0;
  sharedDirty = 0;
  privateClean = 0;
  privateDirty = 0;
  referenced = 0;
  anonymous = 0;
  lazyfree = 0;
  anonHuge = 0;
}

/** The text of /proc/PID/smaps, the lines of each VMA; '' for a process that maps nothing. */
export function procSmaps(process: Process): string {
  checkAlive(process);
  const { mm } = process;
  return vmasIn(mm.vmas, 0, mm.vmas.taskSize)
    .map((vma) => vmaText(mm, vma))
    .join('');
}

function vmaText(mm: Mm, vma: Vma): string {
  const { memory, vmas } = mm;
  const sums = sumVma(mm, vma);
  const pss = sums.pss / PSS_UNIT;
  const { pageSize } = vmas;
  const rows: readonly (readonly [string, number])[] = [
    ['Size', vma.end - vma.start],
    ['KernelPageSize', pageSize],
    ['MMUPageSize', pageSize],
    ['Rss', sums.rss],
    ['Pss', pss],
    ['Pss_Dirty', sums.pssDirty / PSS_UNIT],
    ['Shared_Clean', sums.sharedClean],
    ['Shared_Dirty', sums.sharedDirty],
    ['Private_Clean', sums.privateClean],
    ['Private_Dirty', sums.privateDirty],
    ['Referenced', sums.referenced],
    ['Anonymous', sums.anonymous],
    ['KSM', 0],
    ['LazyFree', sums.lazyfree],
    ['AnonHugePages', sums.anonHuge],
    ['ShmemPmdMapped', 0],
    ['FilePmdMapped', 0],
    ['Shared_Hugetlb', 0],
    ['Private_Hugetlb', 0],
    ['Swap', 0],
    ['SwapPss', 0],
    ['Locked', (vma.flags & VM_LOCKED) !== 0 ? pss : 0],
  ];
  const sizes = rows.map(([name, bytes]) => `${figure(name, Math.floor(bytes / 1024))} kB\n`).join('');
  const eligible = `${figure('THPeligible', thpEligible(mm, vma))}\n`;
  const arch = memory.format.name.startsWith('arm64') ? 'arm64' : 'x86-64';
  return mapsLine(vma, pageSize, mapsName(mm, vma)) + sizes + eligible + vmFlagsLine(vma, arch);
}

function figure(name: string, value: number): string {
  return `${name}:`.padEnd(NAME_WIDTH) + String(value).padStart(FIGURE_WIDTH);
}

/** 1 when a fault in the VMA may map a huge page. */
function thpEligible(mm: Mm, vma: Vma): number {
  const first = alignUp(vma.start, hugePageSize(mm.memory));
  return hugeFaultAllowed(mm, vma, first) ? 1 : 0;
}

function sumVma(mm: Mm, vma: Vma): Sums {
  const { tables, format } = mm.memory;
  const sums = new Sums();
  const entry = createEntry();
  const decoded = createDecoded();
  const cursor = createCursor(vma.start, vma.end);
  while (nextRun(tables, mm.words[MM_ROOT]!, cursor)) {
    for (let i = 0; i < cursor.count; i++) {
      readEntry(tables, cursor.table, cursor.index + i, entry);
      format.decode(entry.lo, entry.hi, cursor.level, decoded);
      if (decoded.kind === ENTRY_LEAF) account(mm, sums, decoded, format.spans[cursor.level]!);
    }
  }
  return sums;
}

/** Adds what an entry maps, `bytes` of a folio (smaps_account). */
function account(mm: Mm, sums: Sums, entry: Decoded, bytes: number): void {
  const { phys } = mm.memory;
  const first = vmNormalPage(entry);
  if (first < 0) return;
  const folio = compoundHead(phys, first);
  const { pageSize } = phys;
  const dirty = (entry.flags & E_DIRTY) !== 0 || testFlag(phys, folio, PG_DIRTY);
  sums.rss += bytes;
  if ((entry.flags & E_YOUNG) !== 0 || testFlag(phys, folio, PG_REFERENCED)) sums.referenced += bytes;
  if (folioTestAnon(phys, first)) {
    sums.anonymous += bytes;
    if (bytes > pageSize) sums.anonHuge += bytes;
    if (!dirty && !testFlag(phys, folio, PG_SWAPBACKED)) sums.lazyfree += bytes;
  }
  for (let pfn = first; pfn < first + bytes / pageSize; pfn++) {
    const mappings = pageMapCount(phys, pfn);
    const pss = Math.floor((pageSize * PSS_UNIT) / mappings);
    sums.pss += pss;
    if (dirty) sums.pssDirty += pss;
    if (mappings > 1 && dirty) sums.sharedDirty += pageSize;
    else if (mappings > 1) sums.sharedClean += pageSize;
    else if (dirty) sums.privateDirty += pageSize;
    else sums.privateClean += pageSize;
  }
}
