/**
 * Stand-ins that tell of every access to a machine's memory, for an explorer that must know what a step touches. Frame
 * table: by word. Contents, page tables among them: by frame. Per-CPU lists, zones, buddy and LRU lists: all of it one
 * thing that is written, as the order of two allocations decides who gets which frame.
 *
 * Not told: what nobody decides by (statistics, `untouched`).
 */
import { InvariantError } from '@mmkit/base';
import type { Phys } from './frame.ts';

/** Told of an access: to word `index` of `object` (−1: the whole of it), and whether it writes. */
export type Note = (object: object, index: number, write: boolean) => void;

/** Told of elements [first, end) of an array. */
type NoteRange = (first: number, end: number, write: boolean) => void;
type Words = Int32Array | Uint8Array | Float64Array;

/** What allocating, freeing and the LRU lists begin with. */
const LISTS = ['cpu', 'cpus', 'zones', 'nodes', 'failures'] as const;

/**
 * From now on `note` is told of every access to the memory of `phys` that is made through it; who kept one of its arrays
 * from before is not seen. Everything becomes many times slower. InvariantError 'WATCH_SHARED' where threads share it.
 */
export function watchPhys(phys: Phys, note: Note): void {
  if (phys.shared) throw new InvariantError('WATCH_SHARED', 'memory that threads share cannot be watched');
  const lists = {};
  note(lists, -1, false);
  for (const name of LISTS) watchField(phys, name, () => note(lists, -1, true));
  Object.assign(phys, {
    hot: watchTable(phys.hot, note),
    cold: watchTable(phys.cold, note),
    pageblocks: watchTable(phys.pageblocks, note),
  });
  const contents = {};
  note(contents, -1, false);
  Object.assign(phys, {
    chunks: watchChunks(phys, phys.chunks, contents, note),
    chunkBytes: watchChunks(phys, phys.chunkBytes, contents, note),
    chunkDoubles: watchChunks(phys, phys.chunkDoubles, contents, note),
  });
}

/** `told` is called at every use of the field. */
function watchField(phys: Phys, name: (typeof LISTS)[number], told: () => void): void {
  let value: unknown = phys[name];
  Object.defineProperty(phys, name, {
    get() {
      told();
      return value;
    },
    set(next: unknown) {
      told();
      value = next;
    },
  });
}

/** A table whose words are told of one by one, under the stand-in's name, which locks in it are declared by too. */
function watchTable<T extends Words>(words: T, note: Note): T {
  const watched: T = watchWords(words, (first, end, write) => {
    for (let i = first; i < end; i++) note(watched, i, write);
  });
  note(watched, -1, false);
  return watched;
}

/** Chunks of RAM, also those made later; told of by frame, whichever view is used. */
function watchChunks<T extends Words>(
  phys: Phys,
  chunks: (T | undefined)[],
  contents: object,
  note: Note,
): (T | undefined)[] {
  const watched = new Map<T, T>();
  return new Proxy(chunks, {
    get(target, key) {
      const index = indexOf(key);
      if (index < 0) return bound(target, key);
      const words = target[index];
      if (words === undefined) return words;
      let stand = watched.get(words);
      if (stand === undefined) {
        const shift = phys.pageShift - (31 - Math.clz32(words.BYTES_PER_ELEMENT));
        const frame = index << phys.chunkShift;
        stand = watchWords(words, (first, end, write) => {
          const last = frame + ((end - 1) >> shift);
          for (let pfn = frame + (first >> shift); pfn <= last; pfn++) note(contents, pfn, write);
        });
        watched.set(words, stand);
      }
      return stand;
    },
  });
}

function watchWords<T extends Words>(words: T, note: NoteRange): T {
  return new Proxy(words, {
    get(target, key) {
      const index = indexOf(key);
      if (index < 0) return method(target, key, note);
      note(index, index + 1, false);
      return target[index];
    },
    set(target, key, value: number) {
      const index = indexOf(key);
      if (index < 0) return false;
      note(index, index + 1, true);
      target[index] = value;
      return true;
    },
  });
}

/** What moves many elements at once; a view that is handed out may be written to. */
function method<T extends Words>(words: T, key: string | symbol, note: NoteRange): unknown {
  switch (key) {
    case 'fill':
      return (value: number, start: number = 0, end: number = words.length) => {
        note(start, end, true);
        return words.fill(value, start, end);
      };
    case 'set':
      return (from: ArrayLike<number>, at: number = 0) => {
        if (from.length > 0) note(at, at + from.length, true);
        words.set(from, at);
      };
    case 'copyWithin':
      return (to: number, start: number, end: number) => {
        note(start, end, false);
        note(to, to + end - start, true);
        return words.copyWithin(to, start, end);
      };
    case 'subarray':
      return (start: number, end: number) => {
        note(start, end, true);
        return words.subarray(start, end);
      };
    default:
      return bound(words, key);
  }
}

function bound(target: object, key: string | symbol): unknown {
  const value: unknown = Reflect.get(target, key, target);
  return typeof value === 'function' ? (value.bind(target) as unknown) : value;
}

/** The index that a property key is, −1: none. */
function indexOf(key: string | symbol): number {
  const index = typeof key === 'string' ? Number(key) : -1;
  return index >= 0 ? index : -1;
}
