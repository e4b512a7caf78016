/**
 * The bits of an entry by name, for people: the manuals' names in capitals, Linux's own bits in lower case. The frame, and
 * of swap entries type and offset, are not among them: `decode` has those.
 */

/** In a table entry. */
export const FIELD_TABLE = 1;
/** In a leaf of level 0. */
export const FIELD_PAGE = 2;
/** In a leaf above. */
export const FIELD_BLOCK = 4;
/** In a leaf that the hardware does not see: PROT_NONE, or being split. */
export const FIELD_HIDDEN = 8;
/** In a swap entry, a migration entry or a marker. */
export const FIELD_SWAP = 16;

const LEAF = 6;
const ANY_LEAF = 14;
const MAPPED = 15;

/** Lowest bit, number of bits, name, and where it means that: FIELD_* bits. */
export type EntryField = readonly [low: number, width: number, name: string, where: number];

export const X86_FIELDS: readonly EntryField[] = [
  [0, 1, 'P', MAPPED],
  [1, 1, 'RW', MAPPED],
  [2, 1, 'US', MAPPED],
  [3, 1, 'PWT', MAPPED],
  [4, 1, 'PCD', MAPPED],
  [5, 1, 'A', MAPPED],
  [6, 1, 'D', ANY_LEAF],
  [7, 1, 'PAT', FIELD_PAGE],
  [7, 1, 'PS', FIELD_TABLE | FIELD_BLOCK],
  [8, 1, 'G', LEAF],
  [8, 1, 'protnone', FIELD_HIDDEN],
  [9, 1, 'special', ANY_LEAF],
  [10, 1, 'uffd-wp', ANY_LEAF],
  [11, 1, 'soft-dirty', ANY_LEAF],
  [12, 1, 'PAT', FIELD_BLOCK],
  [58, 1, 'saved-dirty', ANY_LEAF],
  [59, 4, 'PK', LEAF],
  [63, 1, 'XD', MAPPED],
  [1, 1, 'soft-dirty', FIELD_SWAP],
  [2, 1, 'uffd-wp', FIELD_SWAP],
  [3, 1, 'exclusive', FIELD_SWAP],
] as const;

export const ARM64_FIELDS: readonly EntryField[] = [
  [0, 1, 'VALID', MAPPED],
  [1, 1, 'TABLE', FIELD_TABLE],
  [1, 1, 'PAGE', FIELD_PAGE],
  [2, 3, 'AttrIndx', ANY_LEAF],
  [5, 1, 'NS', LEAF],
  [6, 1, 'AP[1]:EL0', ANY_LEAF],
  [7, 1, 'AP[2]:RO', ANY_LEAF],
  [8, 2, 'SH', ANY_LEAF],
  [10, 1, 'AF', ANY_LEAF],
  [11, 1, 'nG', LEAF],
  [11, 1, 'present-invalid', FIELD_HIDDEN],
  [50, 1, 'GP', ANY_LEAF],
  [51, 1, 'DBM', ANY_LEAF],
  [52, 1, 'Contiguous', ANY_LEAF],
  [53, 1, 'PXN', ANY_LEAF],
  [54, 1, 'UXN', ANY_LEAF],
  [55, 1, 'dirty', ANY_LEAF],
  [56, 1, 'special', ANY_LEAF],
  [58, 1, 'uffd-wp', ANY_LEAF],
  [60, 3, 'POIndex', ANY_LEAF],
  [59, 1, 'PXNTable', FIELD_TABLE],
  [60, 1, 'UXNTable', FIELD_TABLE],
  [61, 1, 'APTable[0]:no-EL0', FIELD_TABLE],
  [62, 1, 'APTable[1]:RO', FIELD_TABLE],
  [63, 1, 'NSTable', FIELD_TABLE],
  [2, 1, 'exclusive', FIELD_SWAP],
  [3, 1, 'uffd-wp', FIELD_SWAP],
] as const;

/** Of LPA2, where address bits take the place of SH. */
export const ARM64_LPA2_FIELDS: readonly EntryField[] = Object.freeze(
  ARM64_FIELDS.filter(([, , name]) => name !== 'SH'),
);

export const RISCV_FIELDS: readonly EntryField[] = [
  [0, 1, 'V', MAPPED],
  [1, 1, 'R', ANY_LEAF],
  [2, 1, 'W', ANY_LEAF],
  [3, 1, 'X', ANY_LEAF],
  [4, 1, 'U', ANY_LEAF],
  [5, 1, 'G', FIELD_TABLE | LEAF],
  [5, 1, 'protnone', FIELD_HIDDEN],
  [6, 1, 'A', ANY_LEAF],
  [7, 1, 'D', ANY_LEAF],
  [8, 1, 'special', ANY_LEAF],
  [61, 2, 'PBMT', LEAF],
  [63, 1, 'N', LEAF],
] as const;

/** The fields of `entry` that are not zero, with their value where they have more than one bit. `where`: one FIELD_*. */
export function fieldNames(fields: readonly EntryField[], entry: bigint, where: number): string[] {
  return fields.flatMap(([low, width, name, places]) => {
    const value = BigInt.asUintN(width, entry >> BigInt(low));
    if ((places & where) === 0 || value === 0n) return [];
    return width === 1 ? name : `${name}=${value}`;
  });
}
