/** The package in both builds: the plain one as it is, the sched one with every coloured call run to its end. */
import * as plain from '@mmkit/filemap';
import type { Bio, BlockDevice } from '@mmkit/filemap';
import * as coloured from '@mmkit/filemap/sched';
import { runTask } from '@mmkit/task';

const driven: typeof plain = {
  ...coloured,
  waitBio: (dev: BlockDevice, bio: Bio): number => runTask(dev.sched, coloured.waitBio(dev, bio)),
  waitIdle: (dev: BlockDevice): void => runTask(dev.sched, coloured.waitIdle(dev)),
};

export const builds: readonly (readonly [string, typeof plain])[] = [
  ['plain', plain],
  ['sched', driven],
];

/** `length` bytes, each different from its neighbours and from those of another `seed`. */
export function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13 + seed) & 0xff);
}

/** The code of what `call` throws: an InvariantError's or host error's `code`, else the class. */
export function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof Error) return 'code' in error ? String(error.code) : error.name;
    return String(error);
  }
  return 'nothing';
}
