import {
  ARM64_FIELDS,
  ARM64_LPA2_FIELDS,
  FIELD_BLOCK,
  FIELD_HIDDEN,
  FIELD_PAGE,
  FIELD_SWAP,
  FIELD_TABLE,
  fieldNames,
  RISCV_FIELDS,
  X86_FIELDS,
} from '@mmkit/pgtable/dump';
import { describe, expect, it } from 'vitest';

describe('the bits of an entry by name', () => {
  it.each([
    ['E.2: anon writable dirty young', X86_FIELDS, 0x8000_0000_1234_5067n, FIELD_PAGE, 'P RW US A D XD'],
    ['E.2: the same after write-protect', X86_FIELDS, 0x8400_0000_1234_5025n, FIELD_PAGE, 'P US A saved-dirty XD'],
    ['E.2: zero page', X86_FIELDS, 0x8000_0000_0100_0225n, FIELD_PAGE, 'P US A special XD'],
    ['E.2: PROT_NONE', X86_FIELDS, 0x000f_ffff_edcb_a120n, FIELD_HIDDEN, 'A protnone'],
    ['E.2: 2M page', X86_FIELDS, 0x8000_0000_1220_00e7n, FIELD_BLOCK, 'P RW US A D PS XD'],
    ['E.2: table', X86_FIELDS, 0x0000_0000_0099_9067n, FIELD_TABLE, 'P RW US A'],
    [
      'N.19: swap with soft-dirty and exclusive',
      X86_FIELDS,
      0x1fff_ffff_fdb9_740an,
      FIELD_SWAP,
      'soft-dirty exclusive',
    ],
    ['a protection key', X86_FIELDS, 0x3000_0000_0000_0007n, FIELD_PAGE, 'P RW US PK=6'],
    ['PAT of a page, and of a block', X86_FIELDS, 0x1081n, FIELD_PAGE, 'P PAT'],
    ['PAT of a block', X86_FIELDS, 0x1081n, FIELD_BLOCK, 'P PS PAT'],
    [
      'E.2: arm64 user rw clean',
      ARM64_FIELDS,
      0x0068_0000_1234_5fc3n,
      FIELD_PAGE,
      'VALID PAGE AP[1]:EL0 AP[2]:RO SH=3 AF nG DBM PXN UXN',
    ],
    [
      'E.2: arm64 PROT_NONE',
      ARM64_FIELDS,
      0x0060_0000_1234_5f82n,
      FIELD_HIDDEN,
      'AP[2]:RO SH=3 AF present-invalid PXN UXN',
    ],
    [
      'arm64 table',
      ARM64_FIELDS,
      0x7800_0000_0000_1003n,
      FIELD_TABLE,
      'VALID TABLE PXNTable UXNTable APTable[0]:no-EL0 APTable[1]:RO',
    ],
    [
      'LPA2: address bits, no SH',
      ARM64_LPA2_FIELDS,
      0x0068_0000_1234_5fc3n,
      FIELD_PAGE,
      'VALID PAGE AP[1]:EL0 AP[2]:RO AF nG DBM PXN UXN',
    ],
    ['riscv64 page', RISCV_FIELDS, 0x2000_0000_0000_01dfn, FIELD_PAGE, 'V R W X U A D special PBMT=1'],
    ['riscv64 PROT_NONE', RISCV_FIELDS, 0x62n, FIELD_HIDDEN, 'R protnone A'],
  ])('%s', (_name, fields, entry, where, names) => {
    expect(fieldNames(fields, entry, where).join(' ')).toBe(names);
  });
});
