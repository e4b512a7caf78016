/** Every format the package brings, and one it does not: suites that hold for all run over this list. */
import {
  arm64,
  arm64_4k_52,
  arm64_16k_48,
  arm64_16k_52,
  arm64_64k_48,
  arm64_64k_52,
  type Format,
  sv39,
  sv48,
  sv57,
  x86_64,
  x86_64La57,
} from '@mmkit/pgtable';
import { madeUp } from './made-up-format.ts';

export const formats: readonly Format[] = [
  x86_64,
  x86_64La57,
  arm64,
  arm64_4k_52,
  arm64_16k_48,
  arm64_16k_52,
  arm64_64k_48,
  arm64_64k_52,
  sv39,
  sv48,
  sv57,
  madeUp,
];
