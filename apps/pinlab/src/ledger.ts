/** What `--ledger` adds: who held pins at work, and who still does at the end. */
import { formatPinReport, type Phys, type PinReport, pinReport } from '@mmkit/phys';

/** Part of the JSON document. */
export interface LedgerReport {
  /** While the work was under way. */
  readonly held: readonly PinReport[];
  /** When all of it should have been given back. */
  readonly left: readonly PinReport[];
}

/** The field of a report; none when no ledger was kept. */
export function ledgerField(phys: Phys, held: readonly PinReport[]): { ledger?: LedgerReport } {
  return phys.pinLedger === null ? {} : { ledger: { held, left: pinReport(phys) } };
}

/** Lines for people; `when` says when `held` was. None when no ledger was kept. */
export function describeLedger(ledger: LedgerReport | undefined, where: string, when: string): string[] {
  if (ledger === undefined) return [];
  return [...section(`pins${where} ${when}`, ledger.held), ...section(`pins${where} at the end`, ledger.left)];
}

function section(title: string, rows: readonly PinReport[]): string[] {
  const lines = formatPinReport(rows).trimEnd().split('\n');
  return [`  ${title}:`, ...lines.map((line) => `    ${line}`)];
}
