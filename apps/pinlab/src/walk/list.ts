/** A list like /proc/PID/maps: mappings that follow each other with the same rights and page size are one line. */
import { E_DIRTY, E_YOUNG, ENTRY_LEAF, ENTRY_NONPRESENT, ENTRY_RESERVED } from '@mmkit/pgtable';
import { holdsPhysical, listMappings, type Mapping, MAPPING_LOOP, MAPPING_UNKNOWN } from '@mmkit/pgtable/dump';
import type { WalkArch } from './arch.ts';
import type { WalkPlan } from './options.ts';
import { flagsText, hex, rightsText, sizeText, swapText } from './text.ts';

/** What stands above the lines. */
export const LIST_HEAD = `${'addresses'.padEnd(33)}  rights  page   pages  first frame`;

/** Mappings that are one line. */
interface Run {
  readonly first: Mapping;
  /** Whether the dump holds any of the memory. */
  readonly known: boolean;
  /** Where the next one would begin. */
  end: bigint;
  count: number;
  /** Whether frames, or swap offsets, follow each other too. */
  inOrder: boolean;
}

/** What changes from page to page, and would make each one a line. */
const PASSING = E_YOUNG | E_DIRTY;

/** The lines, as they are found. */
export function* listLines({ arch, dump, memory, root }: WalkPlan): Generator<string, void> {
  const pageSize = 2 ** arch.format.pageShift;
  let run: Run | null = null;
  for (const mapping of listMappings(arch.format, memory, root)) {
    const { start, size, pfn } = mapping;
    const known = holdsPhysical(dump, pfn * pageSize, size);
    if (run !== null && run.end === start && run.known === known && isSame(run.first, mapping)) {
      run.inOrder &&= isNext(run, mapping, size / pageSize);
      run.end += BigInt(size);
      run.count++;
    } else {
      if (run !== null) yield line(arch, run);
      run = { first: mapping, known, end: start + BigInt(size), count: 1, inOrder: true };
    }
  }
  if (run !== null) yield line(arch, run);
}

function isSame(a: Mapping, b: Mapping): boolean {
  return a.kind === b.kind && a.level === b.level && a.type === b.type && ((a.flags ^ b.flags) & ~PASSING) === 0;
}

/** Whether a mapping has the next frame (`step`: frames of one), or swap offset, of a run. */
function isNext({ first, count }: Run, { kind, pfn, offset }: Mapping, step: number): boolean {
  if (kind === ENTRY_RESERVED) return true;
  // Markers say the same again and again.
  if (kind === ENTRY_NONPRESENT) return offset === first.offset || offset === first.offset + count;
  return pfn === first.pfn + count * step;
}

function line(arch: WalkArch, { first, known, end, count, inOrder }: Run): string {
  const { start, size, kind, flags } = first;
  const range = [start, end].map((at) => at.toString(16).padStart(16, '0')).join('-');
  const rights = kind === ENTRY_LEAF ? rightsText(arch, flags) : '----';
  const where = `${whereText(arch, first)}${inOrder ? '' : ' …'}${noteText(first, known)}`;
  return `${range}  ${rights}   ${sizeText(size).padStart(4)} ${String(count).padStart(7)}  ${where}`;
}

function whereText({ format }: WalkArch, { kind, pfn, type, offset }: Mapping): string {
  if (kind === ENTRY_NONPRESENT) return swapText(type, offset);
  return kind === ENTRY_RESERVED ? 'reserved bits are set' : hex(pfn * 2 ** format.pageShift);
}

function noteText({ kind, flags }: Mapping, known: boolean): string {
  if (kind === MAPPING_LOOP) return ', a table that is above this entry';
  if (kind === MAPPING_UNKNOWN) return ', a table that is not in the dump';
  if (kind !== ENTRY_LEAF) return '';
  const text = flagsText(flags & ~PASSING);
  return `${text === '' ? '' : `, ${text}`}${known ? '' : ', not in the dump'}`;
}
