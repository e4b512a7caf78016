/**
 * Order-0 allocation and free against what one would write first: a Set of free frames. Two machines, so that V8 cannot
 * fold one machine's arrays into the code. Run by the test runner, which puts a getter call before each use of an
 * imported name (20 times slower): so the package is loaded past it, by Node itself.
 */
import { createRequire } from 'node:module';
import { test } from 'vitest';

const load = createRequire(import.meta.url);
const { allocPages, createPhys, freePages } = load('../src/index.ts') as typeof import('../src/index.ts');

const FRAMES = 1 << 14;
const ROUNDS = 1000;

const machines = [createPhys({ frames: FRAMES }), createPhys({ frames: FRAMES + 100 })] as const;
const sets = [new Set(Array(FRAMES).keys()), new Set(Array(FRAMES + 100).keys())] as const;

function setAlloc(free: Set<number>): number {
  for (const pfn of free) {
    free.delete(pfn);
    return pfn;
  }
  return -1;
}

test('1000 × order-0 allocation and free', async ({ bench }) => {
  await bench.compare(
    bench('buddy', () => {
      for (let i = 0; i < ROUNDS; i++) {
        const phys = machines[i & 1]!;
        freePages(phys, allocPages(phys, 0, 0), 0);
      }
    }),
    bench('Set', () => {
      for (let i = 0; i < ROUNDS; i++) {
        const free = sets[i & 1]!;
        free.add(setAlloc(free));
      }
    }),
  );
});
