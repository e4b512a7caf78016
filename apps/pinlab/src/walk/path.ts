/** The walk of one address, level by level, with the bits of each entry named. */
import { wordsToBigint } from '@mmkit/base';
import {
  ACCESS_READ,
  createDecoded,
  createTranslation,
  type Decoded,
  E_INVALID,
  E_PROTNONE,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
  ENTRY_TABLE,
  FAULT_BUS,
  FAULT_RESERVED,
  physicalAddress,
  translate,
  type Translation,
} from '@mmkit/pgtable';
import {
  FIELD_BLOCK,
  FIELD_HIDDEN,
  FIELD_PAGE,
  FIELD_SWAP,
  FIELD_TABLE,
  fieldNames,
  holdsPhysical,
} from '@mmkit/pgtable/dump';
import { BadInput } from '../exit.ts';
import type { WalkPlan } from './options.ts';
import { flagsText, hex, rightsText, sizeText, swapText } from './text.ts';

/** Linux's names of the tables below the root, which is the PGD. */
const TABLE_NAMES: readonly string[] = ['PTE', 'PMD', 'PUD', 'P4D'];
/** `Translation.tables` where no entry was read. */
const NOT_READ = -1;
/** Not for the hardware, though Linux maps a page. */
const HIDDEN = E_PROTNONE | E_INVALID;

/** The lines of a walk. BadInput for an address that the MMU does not translate. */
export function walkLines(plan: WalkPlan, va: bigint): string[] {
  const { format } = plan.arch;
  const path = createTranslation();
  path.tables.fill(NOT_READ);
  const fault = translate(format, plan.memory, plan.root, va, ACCESS_READ, path);
  const top = format.levels - 1;
  if (path.tables[top] === NOT_READ) throw new BadInput(`--va: ${format.name} does not translate ${hex(va)}`);
  const entry = createDecoded();
  const lines = [`${hex(va)} under the root at ${hex(plan.root)}, ${format.name}`];
  for (let level = top; level >= 0 && path.tables[level] !== NOT_READ; level--) {
    format.decode(path.lo[level]!, path.hi[level]!, level, entry);
    lines.push(levelLine(plan, path, level, entry));
  }
  lines.push(resultLine(plan, path, va, fault, entry));
  return lines;
}

function levelLine(plan: WalkPlan, path: Translation, level: number, entry: Decoded): string {
  const { format, fields } = plan.arch;
  const raw = wordsToBigint(path.lo[level]!, path.hi[level]!);
  const name = level === format.levels - 1 ? 'PGD' : TABLE_NAMES[level]!;
  const at = hex(path.tables[level]! * 2 ** format.pageShift + path.at[level]! * 4);
  const names = fieldNames(fields, raw, placeOf(entry, level)).join(' ');
  const bits = names === '' ? '' : `  ${names}`;
  return `  ${name} at ${at.padEnd(12)} 0x${raw.toString(16).padStart(16, '0')}  ${leadsTo(plan, entry, level)}${bits}`;
}

/** FIELD_* of an entry. */
function placeOf({ kind, flags }: Decoded, level: number): number {
  if (kind === ENTRY_TABLE) return FIELD_TABLE;
  if (kind !== ENTRY_LEAF) return FIELD_SWAP;
  if ((flags & HIDDEN) !== 0) return FIELD_HIDDEN;
  return level === 0 ? FIELD_PAGE : FIELD_BLOCK;
}

function leadsTo({ arch }: WalkPlan, { kind, pfn, type, offset }: Decoded, level: number): string {
  const { pageShift, spans } = arch.format;
  if (kind === ENTRY_NONE) return 'none';
  if (kind === ENTRY_NONPRESENT) return swapText(type, offset);
  const address = hex(pfn * 2 ** pageShift);
  return kind === ENTRY_TABLE ? `table ${address}` : `${sizeText(spans[level]!)} page ${address}`;
}

/** `entry`: the last one that was read. */
function resultLine(plan: WalkPlan, path: Translation, va: bigint, fault: number, entry: Decoded): string {
  const { arch, dump } = plan;
  const { format } = arch;
  const { level } = path;
  if (fault === 0) {
    const pa = physicalAddress(format, path, va);
    const marks = flagsText(entry.flags);
    const known = holdsPhysical(dump, Number(pa), 1) ? '' : ', not in the dump';
    const rights = rightsText(arch, path.flags);
    return `${hex(va)} is at ${hex(pa)}: page of ${sizeText(format.spans[level]!)}, ${rights}${marks === '' ? '' : `, ${marks}`}${known}`;
  }
  if (fault === FAULT_BUS)
    return `${hex(va)}: the next table, at ${hex(entry.pfn * 2 ** format.pageShift)}, is not in the dump`;
  if (fault === FAULT_RESERVED) return `${hex(va)}: the entry sets bits that are reserved`;
  if (entry.kind === ENTRY_LEAF) {
    const inLeaf = Number(BigInt.asUintN(format.shifts[level]!, va));
    const pa = entry.pfn * 2 ** format.pageShift + inLeaf;
    return `${hex(va)}: not present; Linux keeps the page at ${hex(pa)}: ${flagsText(entry.flags)}`;
  }
  return `${hex(va)}: not present${entry.kind === ENTRY_NONPRESENT ? `; Linux keeps ${swapText(entry.type, entry.offset)}` : ''}`;
}
