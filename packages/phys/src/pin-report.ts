/** Opening and closing the ledger of pins, and what it says: by scope, by frame, and whether it is right. */
import { InvariantError } from '@mmkit/base';
import { folioNrPages, headOf } from './folio.ts';
import { touchedRanges } from './free-area.ts';
import { checkFrame } from './frame.ts';
import type { Phys } from './frame.ts';
import { addPins, PinHolder, PinLedger, sumOf } from './pin-ledger.ts';
import { framePins } from './views.ts';

/** What the scopes of one name hold together. */
export interface PinReport {
  readonly name: string;
  /** How many scopes of this name hold pins. */
  readonly scopes: number;
  /** Frames of the folios they have pins of: what cannot be moved because of them. */
  readonly pages: number;
  /** Below 0: more were dropped without their scope than are held without one. */
  readonly pins: number;
  /** When the oldest of them was taken, ns of virtual time. */
  readonly since: number;
}

/**
 * Begins to book pins; `now` gives the virtual time in ns (`() => sched.now`). What is pinned already belongs to `unknown`.
 * InvariantError 'LEDGER_OPEN' when it is on, 'LEDGER_SHARED' for a frame table that threads share.
 */
export function openPinLedger(phys: Phys, now: () => number): PinLedger {
  if (phys.pinLedger !== null) throw new InvariantError('LEDGER_OPEN', 'the ledger is on');
  if (phys.shared) throw new InvariantError('LEDGER_SHARED', 'other threads take pins of which no ledger is told');
  const ledger = new PinLedger(now);
  eachPinned(phys, (pfn, pins) => addPins(ledger, pfn, pins, ledger.unknown));
  phys.pinLedger = ledger;
  return ledger;
}

/** Forgets the ledger. Scopes opened so far mean nothing to the next one. */
export function closePinLedger(phys: Phys): void {
  phys.pinLedger = null;
}

/** Who has pins of a frame's folio, the oldest first; [] when nobody has, and while the ledger is off. */
export function pinHolders(phys: Phys, pfn: number): PinHolder[] {
  checkFrame(phys, pfn);
  return [...(phys.pinLedger?.folios.get(headOf(phys.hot, pfn)) ?? [])];
}

/** Who holds pins, a row for each name, the oldest first; [] when nobody does, and while the ledger is off. */
export function pinReport(phys: Phys): PinReport[] {
  const rows = new Map<string, { name: string; scopes: Set<object>; pages: number; pins: number; since: number }>();
  for (const [folio, holders] of phys.pinLedger?.folios ?? []) {
    const seen = new Set<string>();
    for (const { scope, pins, since } of holders) {
      const { name } = scope;
      const row = rows.get(name) ?? { name, scopes: new Set(), pages: 0, pins: 0, since };
      rows.set(name, row);
      row.scopes.add(scope);
      if (!seen.has(name)) row.pages += folioNrPages(phys, folio);
      row.pins += pins;
      row.since = Math.min(row.since, since);
      seen.add(name);
    }
  }
  const list = [...rows.values()].map((row) => ({ ...row, scopes: row.scopes.size }));
  return list.sort((a, b) => a.since - b.since || (a.name < b.name ? -1 : 1));
}

/** The report as a table of columns, a line for each name; 'no pins\n' when there is none. */
export function formatPinReport(report: readonly PinReport[]): string {
  if (report.length === 0) return 'no pins\n';
  const width = Math.max(...report.map(({ name }) => name.length));
  const line = (name: string, ...columns: string[]): string =>
    `${name.padEnd(width)}${columns.map((text) => text.padStart(10)).join('')}`;
  const rows = report.map(({ name, scopes, pages, pins, since }) =>
    line(name, `${scopes}`, `${pages}`, `${pins}`, `  ${since} ns`),
  );
  return `${[line('', 'scopes', 'pages', 'pins', '  oldest'), ...rows].join('\n')}\n`;
}

/**
 * InvariantError 'PIN_LEDGER' for the first folio of which the ledger has not as many pins as the frame table; nothing
 * while it is off. As `countFrames`, exact while no frame has 1024 plain references; not in the middle of a call.
 */
export function checkPinLedger(phys: Phys): void {
  const { pinLedger } = phys;
  if (pinLedger === null) return;
  const left = new Map([...pinLedger.folios].map(([folio, holders]) => [folio, sumOf(holders)]));
  eachPinned(phys, (pfn, pins) => {
    expectPins(pfn, left.get(pfn) ?? 0, pins);
    left.delete(pfn);
  });
  for (const [pfn, booked] of left) expectPins(pfn, booked, 0);
}

function expectPins(pfn: number, booked: number, pins: number): void {
  if (booked === pins) return;
  throw new InvariantError('PIN_LEDGER', `frame ${pfn}: ${booked} pins by the ledger, ${pins} in the frame table`);
}

/** Calls `visit` with the first frame and the pins of each folio that has some. */
function eachPinned(phys: Phys, visit: (pfn: number, pins: number) => void): void {
  const ranges = touchedRanges(phys);
  for (let i = 0; i < ranges.length; i += 2) {
    for (let pfn = ranges[i]!; pfn < ranges[i + 1]!; pfn++) {
      const pins = framePins(phys, pfn);
      if (pins !== 0) visit(pfn, pins);
    }
  }
}
