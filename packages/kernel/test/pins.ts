/** What tests of fork and pins do all the time. */
import { expect } from 'vitest';
import { FOLL_WRITE } from '@mmkit/base';
import type { Machine, Process } from '@mmkit/kernel';
import { pageMapCount, pageRefCount } from '@mmkit/phys';
import type { Api } from './builds.ts';

export interface Pins {
  /** The child; fork must work. */
  readonly fork: (machine: Machine, parent: Process) => Process;
  /** One pinned page (FOLL_WRITE unless said otherwise); every rule is checked after. */
  readonly pin: (machine: Machine, process: Process, address: number, flags?: number) => Uint32Array;
  /** Reference count and map count. */
  readonly state: (machine: Machine, pfn: number) => number[];
}

export function pinsOf(api: Api): Pins {
  function fork(machine: Machine, parent: Process): Process {
    const { error, process } = api.forkProcess(machine, parent);
    expect(error).toBe(0);
    return process!;
  }

  function pin(machine: Machine, process: Process, address: number, flags = FOLL_WRITE): Uint32Array {
    const pages = new Uint32Array(1);
    expect(api.pinUserPagesFast(process.mm, address, 1, flags, pages)).toBe(1);
    api.checkMachine(machine);
    return pages;
  }

  function state(machine: Machine, pfn: number): number[] {
    const { phys } = machine.memory;
    return [pageRefCount(phys, pfn), pageMapCount(phys, pfn)];
  }
  return { fork, pin, state };
}
