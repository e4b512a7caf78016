/** How entries and rights are written. */
import {
  E_DIRTY,
  E_GLOBAL,
  E_INVALID,
  E_PROTNONE,
  E_SPECIAL,
  E_UFFD_WP,
  E_USER,
  E_WRITE,
  E_YOUNG,
} from '@mmkit/pgtable';
import { E_EXEC } from '@mmkit/pgtable';
import type { WalkArch } from './arch.ts';

export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** Bytes, a power of two. */
export function sizeText(bytes: number): string {
  const units = ['', 'K', 'M', 'G', 'T', 'P'];
  const unit = Math.floor(Math.log2(bytes) / 10);
  return `${bytes / 2 ** (unit * 10)}${units[unit]}`;
}

/** As in /proc/PID/maps, then whose page it is: `rw-u`, `r-xk`. `---` with the page's owner: PROT_NONE. */
export function rightsText({ readRight, kernelExec }: WalkArch, flags: number): string {
  const user = (flags & E_USER) !== 0;
  if ((flags & (E_PROTNONE | E_INVALID)) !== 0) return '---u';
  const read = (flags & readRight) === readRight ? 'r' : '-';
  const write = (flags & E_WRITE) !== 0 ? 'w' : '-';
  const exec = (flags & (user ? E_EXEC : kernelExec)) !== 0 ? 'x' : '-';
  return read + write + exec + (user ? 'u' : 'k');
}

const FLAGS: readonly (readonly [number, string])[] = [
  [E_YOUNG, 'young'],
  [E_DIRTY, 'dirty'],
  [E_GLOBAL, 'global'],
  [E_SPECIAL, 'special'],
  [E_UFFD_WP, 'uffd-wp'],
  [E_PROTNONE, 'PROT_NONE'],
  [E_INVALID, 'being split'],
] as const;

/** The flags that are no rights. */
export function flagsText(flags: number): string {
  return FLAGS.filter(([flag]) => (flags & flag) !== 0)
    .map(([, name]) => name)
    .join(' ');
}

/** What Linux keeps in an entry that is not present. The types: of a kernel with all features; see reference N.19. */
export function swapText(type: number, offset: number): string {
  if (type === 23) return `hardware poison, frame ${hex(offset)}`;
  if (type >= 24 && type <= 26) return `migration, frame ${hex(offset)}`;
  if (type >= 27 && type <= 30) return `device memory, frame ${hex(offset)}`;
  if (type === 31) return `marker ${hex(offset)}`;
  return `swap ${type}, offset ${hex(offset)}`;
}
