/** What our walker does with the probes of a case. */
import { createTranslation, FAULT_BUS, physicalAddress, translate } from '@mmkit/pgtable';
import type { Translation } from '@mmkit/pgtable';
import { RAM_BASE } from './format.ts';
import type { Arch, Case, Probe, Result } from './format.ts';
import { hexText, Image } from './image.ts';
import type { PageSize } from './image.ts';
import { accessOf, machineOf, NO_LEVEL } from './machines.ts';
import type { Machine } from './machines.ts';

/** RAM by page size, for one case after the other. */
export type Ram = Map<PageSize, Image>;

/** One result for each probe of a checked case. */
export function answerCase(arch: Arch, one: Case, ram: Ram = new Map()): Result[] {
  const machine = machineOf(arch, one);
  const image = ram.get(machine.pageSize) ?? new Image(machine.pageSize);
  ram.set(machine.pageSize, image);
  image.load(RAM_BASE[arch], one.mem, machine.regions);
  const out = createTranslation();
  return one.probes.map((probe) => {
    const result = walkProbe(machine, image, probe, out);
    const chg = image.takeChanges(one.cumulative === true);
    return chg.length === 0 ? result : { ...result, chg };
  });
}

function walkProbe({ mmu, root, fault }: Machine, image: Image, probe: Probe, out: Translation): Result {
  const va = BigInt(probe[0]);
  const access = accessOf(probe);
  const kind = translate(mmu, image, root, va, access, out);
  if (kind !== 0) return fault(kind, access, out.level, probe[0]);
  if (!image.answers(out.pfn)) return fault(FAULT_BUS, access, NO_LEVEL, probe[0]);
  return { ok: true, pa: hexText(physicalAddress(mmu, out, va)) };
}
