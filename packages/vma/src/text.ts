/**
 * What /proc/PID/maps and the `VmFlags:` line of /proc/PID/smaps say of a VMA (Linux: show_map_vma,
 * show_smap_vma_flags), byte for byte as 6.18 writes them. Needs mmap_lock, for reading.
 */
import { VM_EXEC, VM_MAYSHARE, VM_READ, VM_WRITE } from './flags.ts';
import type { VmaTree } from './vma-tree.ts';
import { vmasIn } from './vma-tree.ts';
import type { Vma } from './vma.ts';

/** What a line of maps says besides the VMA: its file, or a name like `[heap]`. */
export interface MapsName {
  /** Major and minor number of the device, and the inode; 0 without a file. */
  readonly major?: number;
  readonly minor?: number;
  readonly inode?: number;
  /** Path or name; a newline in it is written `\\012`. */
  readonly name: string;
}

/** Whose letters: bits 24, 36 and 37 mean different things. */
export type FlagArch = 'x86-64' | 'arm64';

/** Column at which names begin. */
const NAME_COLUMN = 73;

/** Two letters by bit; `-`: not shown here, as protection keys have a line of their own. Other bits show as `??`. */
const LETTERS: readonly string[] = Object.freeze(
  (
    'rd wr ex sh mr mw me ms gd um pf gu uw lo io sr rr dc de lf ac nr ht sf ar wf dd sd mm hg nh mg ' +
    '- - - - ?? ss ui ?? dp'
  ).split(' '),
);
/** Bit of VM_SEALED. */
const SEALED_BIT = 63;
/** The permission column of /proc/PID/maps: `rw-p`; the last letter is `s` for VM_MAYSHARE, else `p`. */
export function formatVmaFlags(flags: number): string {
  const r = (flags & VM_READ) !== 0 ? 'r' : '-';
  const w = (flags & VM_WRITE) !== 0 ? 'w' : '-';
  const x = (flags & VM_EXEC) !== 0 ? 'x' : '-';
  return r + w + x + ((flags & VM_MAYSHARE) !== 0 ? 's' : 'p');
}

/** The two letters of each flag that is set, lowest bit first: `['rd', 'wr', 'mr', 'mw', 'me']`. */
export function vmFlagLetters(
  vma: { readonly flags: number; readonly flagsHigh: number },
  arch: FlagArch = 'x86-64',
): string[] {
  const words: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    const word = bit < 32 ? vma.flags : vma.flagsHigh;
    if (((word >>> (bit & 31)) & 1) !== 0) words.push(lettersOf(bit, arch));
  }
  return words.filter((letters) => letters !== '-');
}

function lettersOf(bit: number, arch: FlagArch): string {
  if (bit === SEALED_BIT) return 'sl';
  // VM_ARM64_BTI, VM_MTE, VM_MTE_ALLOWED.
  if (arch === 'arm64' && bit === 24) return 'bt';
  if (arch === 'arm64' && bit === 36) return 'mt';
  if (arch === 'arm64' && bit === 37) return '-';
  return LETTERS[bit] ?? '??';
}

/** The `VmFlags:` line of smaps, with its newline; Linux has a space after the last letters too. */
export function vmFlagsLine(
  vma: { readonly flags: number; readonly flagsHigh: number },
  arch: FlagArch = 'x86-64',
): string {
  return `VmFlags: ${vmFlagLetters(vma, arch)
    .map((letters) => `${letters} `)
    .join('')}\n`;
}

/**
 * The line of /proc/PID/maps for a VMA of pages of `pageSize` bytes, with its newline; `name` null: no file and no name.
 * The offset is 0 without a file.
 */
export function mapsLine(vma: Vma, pageSize: number, name: MapsName | null): string {
  const { major = 0, minor = 0, inode = 0 } = name ?? {};
  const offset = vma.file === null ? 0 : vma.pgoff * pageSize;
  const range = `${hex(vma.start, 8)}-${hex(vma.end, 8)}`;
  const head = `${range} ${formatVmaFlags(vma.flags)} ${hex(offset, 8)} ${hex(major, 2)}:${hex(minor, 2)} ${inode} `;
  if (name === null || name.name === '') return `${head}\n`;
  // A line too long to be padded still gets one more space.
  const padded = head.length < NAME_COLUMN ? head.padEnd(NAME_COLUMN) : `${head} `;
  return `${padded}${name.name.replaceAll('\n', '\\012')}\n`;
}

/** The text of /proc/PID/maps; `nameOf` says what the tree does not know of a VMA, null: nothing. */
export function mapsText(tree: VmaTree, nameOf: (vma: Vma) => MapsName | null): string {
  return vmasIn(tree, 0, tree.taskSize)
    .map((vma) => mapsLine(vma, tree.pageSize, nameOf(vma)))
    .join('');
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
