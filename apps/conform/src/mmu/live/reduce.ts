/** The smallest image for which our answer to a probe is the same. */
import { answerCase } from '../answer.ts';
import type { Ram } from '../answer.ts';
import type { Arch, Case } from '../format.ts';

/** `one` has one probe; words without which our walker answers the same are left out. */
export function reduceCase(arch: Arch, one: Case, ram: Ram): Case {
  const { id, mode, root, probes } = one;
  const answer = (mem: Case['mem']): string => JSON.stringify(answerCase(arch, { id, mode, root, mem, probes }, ram));
  const wanted = answer(one.mem);
  let mem = one.mem;
  for (const address of Object.keys(mem)) {
    const rest = Object.fromEntries(Object.entries(mem).filter(([key]) => key !== address));
    if (answer(rest) === wanted) mem = rest;
  }
  return { id, mode, root, mem, probes };
}
