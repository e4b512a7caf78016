/**
 * Which cached translations are stale: the flush that the architecture requires after a change of the tables, turned
 * round. A cached translation is good for an access as long as a walk would let the access through to the same frame
 * and would find nothing to mark but the accessed bits. Intel SDM volume 3, "Recommended invalidation", "Optional
 * invalidation"; Arm ARM, "General TLB maintenance requirements".
 *
 * | change of the tables | a use of the old translation is stale |
 * |---|---|
 * | entry cleared, table unhooked, reserved bits set | yes |
 * | another frame | yes |
 * | rights taken away, at any level | yes, by an access that needs them |
 * | Dirty cleared | yes, by a write: it would not set the bit again |
 * | another size, same frames and rights | no |
 * | entry made from none, rights given, Dirty or Accessed set | no: a miss walks |
 * | Accessed cleared | no: Linux clears it without a flush; the bit may stay clear until the next walk |
 *
 * Differs: arm64's break-before-make is not checked beyond this; a change of frame or size with a flush after it, but
 * none in between, goes unseen.
 */
import { InvariantError } from '@mmkit/base';
import { ACCESS_EXEC, ACCESS_READ, ACCESS_USER, ACCESS_WRITE, FAULT_ACCESS_FLAG } from './access.ts';
import { E_DIRTY } from './flags.ts';
import type { TableMemory } from './memory.ts';
import type { Mmu } from './mmu.ts';
import { createTranslation, translate, type Translation } from './walker.ts';

export interface TlbCheckOptions {
  /** Where the tables are. */
  readonly memory: TableMemory;
  /** PFN of the root table that the tag stands for now, or -1 when it stands for none; the tag itself unless given. */
  readonly rootOf?: (tag: number) => number;
  /** Told of each use of a stale translation, which then goes on; unless given, STALE_TRANSLATION is thrown instead. */
  readonly report?: (what: string) => void;
}

export class TlbCheck {
  /** The MMU without its updates of entries. */
  readonly mmu: Mmu;
  readonly memory: TableMemory;
  readonly rootOf: (tag: number) => number;
  readonly report: (what: string) => void;
  /** Scratch: what the tables say now. */
  readonly now: Translation;

  constructor(mmu: Mmu, memory: TableMemory, rootOf: (tag: number) => number, report: (what: string) => void) {
    this.mmu = mmu;
    this.memory = memory;
    this.rootOf = rootOf;
    this.report = report;
    this.now = createTranslation();
  }
}

/** The accesses `staleEntry` tries. */
const ACCESSES: readonly number[] = Object.freeze(
  [ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC].flatMap((kind) => [kind, kind | ACCESS_USER]),
);

/** Makes a check of translations of `mmu`. */
export function createTlbCheck(mmu: Mmu, options: TlbCheckOptions): TlbCheck {
  const nothing = { value: 0 };
  // Inherits, so that what may change (x86: PKRU) is seen.
  const quiet = Object.create(mmu, {
    accessedLo: nothing,
    accessedTableLo: nothing,
    dirtySetLo: nothing,
    dirtyClearLo: nothing,
  }) as Mmu;
  const { memory, rootOf = (tag: number): number => tag, report = fail } = options;
  return new TlbCheck(quiet, memory, rootOf, report);
}

function fail(what: string): never {
  throw new InvariantError('STALE_TRANSLATION', what);
}

/** Reports the use of a cached translation (`pfn`, `flags`) for `access`, if it is stale. */
export function checkUse(check: TlbCheck, tag: number, page: number, pfn: number, flags: number, access: number): void {
  const why = staleUse(check, tag, page, pfn, flags, access);
  if (why !== '') check.report(`tag ${tag}, page ${page}, frame ${pfn}, access ${access}: ${why}`);
}

/** Why the cached translation may not be used for `access`, or ''. */
function staleUse(check: TlbCheck, tag: number, page: number, pfn: number, flags: number, access: number): string {
  const root = check.rootOf(tag);
  if (root < 0) return 'the tag stands for no tables';
  const fault = walkTo(check, root, page, access);
  if (fault === FAULT_ACCESS_FLAG) return '';
  if (fault !== 0) return `a walk ends with fault ${fault} at level ${check.now.level}`;
  if (check.now.pfn !== pfn) return `the tables say frame ${check.now.pfn}`;
  if ((access & ACCESS_WRITE) === 0 || (flags & E_DIRTY) === 0) return '';
  // After a write walk E_DIRTY says nothing; who may write may read.
  walkTo(check, root, page, access & ~ACCESS_WRITE);
  return (check.now.flags & E_DIRTY) === 0 ? 'the entry is not dirty' : '';
}

function walkTo(check: TlbCheck, root: number, page: number, access: number): number {
  const { mmu, memory, now } = check;
  const shift = BigInt(mmu.pageShift);
  return translate(mmu, memory, BigInt(root) << shift, BigInt(page) << shift, access, now);
}

/** Why some access that a cached translation lets through would be stale, or ''. For checks of a whole machine. */
export function staleEntry(check: TlbCheck, tag: number, page: number, pfn: number, flags: number): string {
  for (const access of ACCESSES) {
    const { mmu } = check;
    if ((access & mmu.refused) !== 0 || mmu.permits(mmu, flags, access) !== 0) continue;
    const why = staleUse(check, tag, page, pfn, flags, access);
    if (why !== '') return why;
  }
  return '';
}
