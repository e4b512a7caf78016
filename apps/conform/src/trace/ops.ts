/**
 * The operations of a trace: their keys, and which words a key may have (trace format, version 1 with the extension).
 * Keys are in bytes or pages as the format says; addresses are page offsets in the arena.
 */

/** What a key's value may be: an integer, one word of a list, or words of a list with commas between. */
export type KeyKind = 'integer' | { readonly one: readonly string[] } | { readonly some: readonly string[] };

/** One of the keys of an operation: required unless the name ends in `?`. */
export type OpSpec = readonly string[];

const PROT_LETTERS: readonly string[] = ['r', 'w', 'x', 'G'];
const MMAP_FLAGS: readonly string[] =
  'private shared shared_validate anon fixed noreplace populate locked noreserve growsdown stack nonblock hugetlb 32bit sync'.split(
    ' ',
  );
const ADVICES: readonly string[] = (
  'normal random sequential willneed dontneed free remove dontfork dofork mergeable unmergeable hugepage nohugepage ' +
  'dontdump dodump wipeonfork keeponfork cold pageout populate_read populate_write dontneed_locked collapse ' +
  'guard_install guard_remove'
).split(' ');
const SEALS: readonly string[] = ['seal', 'shrink', 'grow', 'write', 'future_write'];
const FEATURES: readonly string[] = (
  'exact_address wp_unpopulated wp_async pagefault_flag_wp event_fork event_remap event_remove event_unmap missing_shmem ' +
  'missing_hugetlbfs minor_shmem minor_hugetlbfs thread_id wp_hugetlbfs_shmem poison move sigbus'
).split(' ');

/** The values of the keys that are not integers, by operation and key. `flags` and `mode` mean something else in each. */
const WORDS: Readonly<Record<string, KeyKind>> = {
  'mmap flags': { some: MMAP_FLAGS },
  'mremap flags': { some: ['maymove', 'fixed', 'dontunmap', '0'] },
  'msync flags': { some: ['sync', 'async', 'invalidate', '0'] },
  'madvise adv': { one: ADVICES },
  'fseal seals': { some: SEALS },
  'uffd feat': { some: [...FEATURES, '0'] },
  'ureg mode': { some: ['missing', 'wp', 'minor'] },
  'ucopy mode': { some: ['wp', 'dontwake', '0'] },
  'uzero mode': { some: ['dontwake', '0'] },
  'ucont mode': { some: ['wp', 'dontwake', '0'] },
  'umove mode': { some: ['allow_src_holes', 'dontwake', '0'] },
  'upoison mode': { some: ['dontwake', '0'] },
  'uwp mode': { some: ['wp', 'dontwake', '0'] },
};

/** Every operation and its keys; all take `p` besides. */
export const OPS: Readonly<Record<string, OpSpec>> = {
  mmap: ['at?', 'n?', 'prot', 'flags', 'f?', 'off?'],
  munmap: ['at', 'n?'],
  mprotect: ['at', 'n?', 'prot'],
  mremap: ['at', 'old', 'new', 'flags', 'to?'],
  madvise: ['at', 'n?', 'adv'],
  mlock: ['at', 'n?'],
  munlock: ['at', 'n?'],
  mseal: ['at', 'n?'],
  mlock2: ['at', 'n?', 'onfault'],
  msync: ['at', 'n?', 'flags'],
  mincore: ['at', 'n?'],
  fork: ['c'],
  exit: [],
  load: ['at', 'n?', 'o?'],
  store: ['at', 'n?', 'o?', 'v'],
  fill: ['at', 'n?', 'v'],
  fread: ['f', 'off?', 'len'],
  fwrite: ['f', 'off?', 'len', 'v'],
  ftrunc: ['f', 'size'],
  fpunch: ['f', 'off?', 'len'],
  falloc: ['f', 'off?', 'len'],
  fsync: ['f'],
  fdrop: ['f', 'off?', 'len?'],
  fseal: ['f', 'seals'],
  dread: ['at', 'o?', 'len', 'f', 'off?'],
  dwrite: ['at', 'o?', 'len', 'f', 'off?'],
  bread: ['at', 'o?', 'len', 'f', 'off?'],
  bwrite: ['at', 'o?', 'len', 'f', 'off?'],
  pin: ['at', 'o?', 'len', 's'],
  unpin: ['s'],
  dmaw: ['s', 'off?', 'len', 'v'],
  dmar: ['s', 'off?', 'len'],
  vmsplice: ['at', 'o?', 'len', 's'],
  piperead: ['s', 'len'],
  pvr: ['at', 'o?', 'len'],
  pvw: ['at', 'o?', 'len', 'v'],
  memr: ['at', 'o?', 'len'],
  memw: ['at', 'o?', 'len', 'v'],
  observe: [],
  swapoff: [],
  swapon: [],
  ksm: [],
  uffd: ['s', 'feat'],
  uclose: ['s'],
  ureg: ['s', 'at', 'n?', 'mode'],
  uunreg: ['s', 'at', 'n?'],
  ucopy: ['s', 'at', 'n?', 'v?', 'mode'],
  uzero: ['s', 'at', 'n?', 'mode'],
  ucont: ['s', 'at', 'n?', 'mode'],
  umove: ['s', 'at', 'from', 'n?', 'mode'],
  upoison: ['s', 'at', 'n?', 'mode'],
  uwp: ['s', 'at', 'n?', 'mode'],
};

const PINNING: ReadonlySet<string> = new Set('pin vmsplice dread dwrite pvr pvw memr memw'.split(' '));

/** What `key` of operation `op` may be. */
export function keyKind(op: string, key: string): KeyKind {
  return WORDS[`${op} ${key}`] ?? 'integer';
}

/** True for a value of `prot`: `none`, or letters of r, w, x, G, each at most once. */
export function isProt(text: string): boolean {
  if (text === 'none') return true;
  const letters = [...text];
  return (
    letters.length > 0 && new Set(letters).size === letters.length && letters.every((l) => PROT_LETTERS.includes(l))
  );
}

/** One operation, with the format's defaults filled in. */
export interface Op {
  readonly name: string;
  /** Its line. */
  readonly text: string;
  /** Acting process. */
  readonly p: number;
  /** Page offset; null: none was given (mmap). */
  readonly at: number | null;
  /** The integer keys; 0 where the trace has none, but n is 1 and f is −1. */
  readonly n: number;
  readonly o: number;
  readonly len: number;
  readonly off: number;
  readonly size: number;
  readonly f: number;
  readonly s: number;
  readonly v: number;
  readonly c: number;
  readonly old: number;
  readonly new: number;
  readonly to: number;
  readonly from: number;
  readonly onfault: number;
  /** The words of `flags`, `adv`, `seals`, `feat` or `mode`; `prot` as it is written. */
  readonly words: readonly string[];
  readonly prot: string;
}

/** Does it pin pages or take references to them? `--until-pin` stops before the first that does. */
export function pins(op: Op): boolean {
  return PINNING.has(op.name);
}

/** Does it name a file: map it, read or write it, or change it? `--until-file` stops before the first that does. */
export function touchesFile(op: Op): boolean {
  return op.f >= 0;
}
