/** The architectures a machine can be simulated with, by the names `--arch` takes. */
import { arm64, type Format, x86_64 } from '@mmkit/pgtable';
import { BadInput } from './exit.ts';

const FORMATS: Readonly<Record<string, Format>> = { x86_64, 'x86-64': x86_64, arm64 };

/** What `--arch` is without being given. */
export const DEFAULT_ARCH = 'x86_64';
/** For help texts. */
export const ARCH_HELP = 'x86_64 or arm64';

/** The page-table format of `--arch`; BadInput for an unknown name. */
export function archFormat(name: string): Format {
  const format = Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined;
  if (format === undefined) throw new BadInput(`unknown architecture '${name}'; there are: ${ARCH_HELP}`);
  return format;
}
