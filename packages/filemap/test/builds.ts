/** The package in both builds: the plain one as it is, the sched one with every coloured call run to its end. */
import * as plain from '@mmkit/filemap';
import type { Rmap } from '@mmkit/filemap';
import * as coloured from '@mmkit/filemap/sched';
import { runTask } from '@mmkit/task';
import type { Sched, Task } from '@mmkit/task';

/** Where a first argument keeps its scheduler. */
interface Owner {
  readonly sched?: Sched;
  readonly files?: { readonly sched: Sched };
  readonly inode?: { readonly files: { readonly sched: Sched } };
}

/** Every coloured function run as a task of the machine its first argument belongs to. */
function drive(module: object): typeof plain {
  const driven: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(module)) {
    if (typeof value !== 'function' || value.constructor.name !== 'GeneratorFunction') driven[name] = value;
    else {
      driven[name] = (first: Owner, ...rest: unknown[]) => {
        const sched = first.sched ?? (first.files ?? first.inode!.files).sched;
        return runTask(sched, value(first, ...rest) as Task<unknown>);
      };
    }
  }
  return driven as unknown as typeof plain;
}

const sched = drive(coloured);

export const builds: readonly (readonly [string, typeof plain])[] = [
  ['plain', plain],
  ['sched', sched],
];

/** The port to page tables for a build: in the sched one its functions are tasks. */
export function rmapFor(
  api: typeof plain,
  unmapRange: (first: number, end: number, evenCows: boolean) => void,
  clean: (pfn: number, index: number) => boolean,
): Rmap {
  if (api === plain) {
    return {
      unmapRange: (_inode, first, end, evenCows) => unmapRange(first, end, evenCows),
      clean: (_inode, pfn, index) => clean(pfn, index),
    };
  }
  return {
    unmapRange: function* (_inode, first, end, evenCows): Task<void> {
      unmapRange(first, end, evenCows);
    },
    clean: function* (_inode, pfn, index): Task<boolean> {
      return clean(pfn, index);
    },
  };
}

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
