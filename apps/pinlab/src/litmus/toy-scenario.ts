/** The question asked of the toy: can a pinned page end up shared with the child? */
import type { Scenario } from '@mmkit/explore';
import { createSched, spawn } from '@mmkit/task';
import { createToy, toyFork, toyPinFast, WRITABLE } from './toy.co.ts';

const PAGES = 2;

export function toyForkScenario(useSeq: boolean): Scenario {
  return () => {
    const sched = createSched({ cpus: 2 });
    const toy = createToy(sched, PAGES, useSeq);
    const pages = new Uint32Array(PAGES);
    const pin = spawn(sched, 'pin', toyPinFast(toy, PAGES, pages));
    spawn(sched, 'fork', toyFork(toy));
    return {
      sched,
      check() {
        for (let i = 0; i < (pin.result as number); i++) {
          if ((toy.parent[i]! & WRITABLE) === 0) return `page ${i} is pinned and shared with the child`;
        }
        return null;
      },
    };
  };
}
