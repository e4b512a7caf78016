/** Running one case: its steps one after the other, each with an answer. */
import { InvariantError } from '@mmkit/base';
import { checkMachine } from '@mmkit/kernel';
import { byteStep, directStep, fillStep, pinStep, pipeStep, remoteStep, testPinStep } from './access.ts';
import { mmapStep, mremapStep, processStep, rangeStep } from './mapping.ts';
import type { Case, Kernel, Step } from './parse.ts';
import { countStep, pageStep, sameStep, snapStep, statusStep, vmasStep } from './query.ts';
import { BadStep, CaseWorld, NotBuilt } from './world.ts';

type Run = (world: CaseWorld, step: Step) => string;

/** What runs each word of the language. */
const VERBS: Readonly<Record<string, Run>> = {
  mmap: mmapStep,
  mremap: mremapStep,
  mprotect: rangeStep,
  munmap: rangeStep,
  madvise: rangeStep,
  mlock: rangeStep,
  mlock2: rangeStep,
  munlock: rangeStep,
  mseal: rangeStep,
  mlockall: processStep,
  munlockall: processStep,
  msync: processStep,
  'rlimit-memlock': processStep,
  'drop-caps': processStep,
  fork: processStep,
  exit: processStep,
  r: byteStep,
  rf: byteStep,
  w: byteStep,
  wf: byteStep,
  fill: fillStep,
  pin: pinStep,
  unpin: pinStep,
  'pin-read': pinStep,
  'pin-write': pinStep,
  gpin: testPinStep,
  'gpin-read': testPinStep,
  gunpin: testPinStep,
  vmsplice: pipeStep,
  'pipe-read': pipeStep,
  memr: remoteStep,
  memw: remoteStep,
  peek: remoteStep,
  poke: remoteStep,
  pvr: remoteStep,
  pvw: remoteStep,
  'dio-read': directStep,
  'dio-write': directStep,
  snap: snapStep,
  '?same': sameStep,
  '?pg': pageStep,
  '?pop': countStep,
  '?swapped': countStep,
  '?incore': countStep,
  '?vmas': vmasStep,
  '?lck': statusStep,
  '?pinned': statusStep,
};

/** Words of the language for what the model lacks. */
const MISSING: Readonly<Record<string, string>> = {
  uffd: 'userfaultfd',
  ureg: 'userfaultfd',
  uunreg: 'userfaultfd',
  uwp: 'userfaultfd',
  ucopy: 'userfaultfd',
  uzero: 'userfaultfd',
  ucont: 'userfaultfd',
  umove: 'userfaultfd',
  'wait-ksm': 'KSM',
};

/** How one case went. */
export interface CaseReport {
  readonly id: string;
  readonly area: string;
  /** What the model lacks, so that the case was not run; null: it was. */
  readonly notBuilt: string | null;
  /** What the actions answered. */
  readonly results: readonly string[];
  /** The first step that answered otherwise; null: none. */
  readonly difference: { readonly step: string; readonly expected: string; readonly got: string } | null;
}

/** Runs a case under the rules of `kernel`. BadStep with the step's text for one that is not of the language. */
export function runCase(one: Case, kernel: Kernel): CaseReport {
  const world = new CaseWorld(kernel);
  const { id, area } = one;
  const results: string[] = [];
  let difference: CaseReport['difference'] = null;
  try {
    for (const step of [...one.setup, ...one.action]) {
      const got = runStep(world, step);
      if (results.length > 0 || step === one.action[0]) results.push(got);
      if (got !== step.expected) difference ??= { step: step.text, expected: step.expected, got };
    }
  } catch (error) {
    if (!(error instanceof NotBuilt)) throw error;
    const text = `not built: ${error.message}`;
    return { id, area, notBuilt: error.message, results: one.action.map(() => text), difference: null };
  }
  checkMachine(world.machine);
  return { id, area, notBuilt: null, results, difference };
}

/** Runs a step: what it answers. A rule of the model's own that it broke is its answer. */
function runStep(world: CaseWorld, step: Step): string {
  const missing = MISSING[step.verb];
  if (missing !== undefined) throw new NotBuilt(missing);
  const run = Object.hasOwn(VERBS, step.verb) ? VERBS[step.verb]! : null;
  try {
    if (run === null) throw new BadStep(`expected a word of the language, got ${step.verb}`);
    return run(world, step);
  } catch (error) {
    if (error instanceof BadStep) throw new BadStep(`step "${step.text}": ${error.message}`);
    if (error instanceof InvariantError) return error.code;
    throw error;
  }
}
