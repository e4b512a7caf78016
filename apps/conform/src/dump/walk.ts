/** Our walk of a recorded process: what the hardware makes of each address, and what Linux reads in the entry. */
import { ACCESS_READ, createDecoded, createTranslation, ENTRY_LEAF, physicalAddress, translate } from '@mmkit/pgtable';
import type { Decoded, TableMemory, Translation } from '@mmkit/pgtable';
import { dumpMemory } from '@mmkit/pgtable/dump';
import type { Hex, Process, Recorded } from './format.ts';
import { rootOf } from './machine.ts';
import type { Root } from './machine.ts';

/** An address, its physical address or null, and the number of its frame or null. */
export type Walked = readonly [va: Hex, pa: Hex | null, frame: Hex | null];

interface Half extends Root {
  readonly memory: TableMemory;
}

/** Every address of `gva2gpa` in order, then those of `pagemap` that were not among them. */
export function walkProcess(recorded: Recorded, process: Process): Walked[] {
  const halves: Half[] = [];
  const path = createTranslation();
  const entry = createDecoded();
  const addresses = new Map([...process.gva2gpa, ...process.pagemap].map(([va]) => [BigInt(va), va]));
  return [...addresses].map(([address, va]) => {
    const upper = Number((address >> 55n) & 1n);
    halves[upper] ??= halfOf(recorded, process, upper === 1);
    const [pa, frame] = walk(halves[upper], address, path, entry);
    return [va, hexOrNull(pa), hexOrNull(frame)];
  });
}

function halfOf(recorded: Recorded, process: Process, upper: boolean): Half {
  const root = rootOf(process, upper);
  return { ...root, memory: dumpMemory(recorded.tables, root.format.pageShift) };
}

function walk(
  { format, root, memory }: Half,
  address: bigint,
  path: Translation,
  entry: Decoded,
): [pa: bigint | null, frame: bigint | null] {
  // Where no entry is read none decides.
  path.lo.fill(0);
  path.hi.fill(0);
  const fault = translate(format, memory, root, address, ACCESS_READ, path);
  const { level } = path;
  format.decode(path.lo[level]!, path.hi[level]!, level, entry);
  const inLeaf = BigInt.asUintN(format.shifts[level]!, address) >> BigInt(format.pageShift);
  const frame = entry.kind === ENTRY_LEAF ? BigInt(entry.pfn) + inLeaf : null;
  return [fault === 0 ? physicalAddress(format, path, address) : null, frame];
}

function hexOrNull(value: bigint | null): Hex | null {
  return value === null ? null : `0x${value.toString(16)}`;
}
