/**
 * Who holds which pins: a book beside the counts of the frame table, for people (Linux has none; Android's page_pinner
 * asks the same question). Off unless `openPinLedger` was called: then `phys.pinLedger` is null, which is all that a call
 * looks at.
 *
 * Pins are booked by folio, as the frame table counts them, to the scope that its taker names, else to `unknown`. Who
 * drops a pin names the scope again: the scope is debited as far as it has pins of the folio, `unknown` for the rest, whose
 * pins may so become negative: somebody dropped a pin without saying whose. A folio without pins is in no scope.
 *
 * `tryGrabFolio` and `gupPutFolio` do not book: GUP is made of them, and takes back much of what it takes. Who pins with
 * them calls `bookPins`, and `unpinFolio` in the end.
 */
import { headOf } from './folio.ts';
import type { Phys } from './frame.ts';

/** Somebody who takes pins. Told apart by identity: two may have the same name. */
export class PinScope {
  /** For people. */
  readonly name: string;
  /** When it was opened, ns of virtual time. */
  readonly opened: number;

  constructor(name: string, opened: number) {
    this.name = name;
    this.opened = opened;
  }
}

/** The pins a scope has of one folio. */
export class PinHolder {
  readonly scope: PinScope;
  /** Not 0; below 0 only for `unknown`. */
  pins: number;
  /** When it took the first of them, ns of virtual time. */
  readonly since: number;

  constructor(scope: PinScope, pins: number, since: number) {
    this.scope = scope;
    this.pins = pins;
    this.since = since;
  }
}

export class PinLedger {
  /** Virtual time, ns. */
  readonly now: () => number;
  /** Whose pins are that nobody named a scope for, and all that were there when the ledger was opened. */
  readonly unknown: PinScope;
  /** By the first frame of the folio. This file only. */
  readonly folios: Map<number, PinHolder[]>;

  constructor(now: () => number) {
    this.now = now;
    this.unknown = new PinScope('unknown', now());
    this.folios = new Map();
  }
}

/**
 * Opens a scope, of process `pid` unless that is 0; null while the ledger is off: the calls that pin and unpin take that
 * too.
 */
export function openPinScope(phys: Phys, name: string, pid: number = 0): PinScope | null {
  const { pinLedger } = phys;
  if (pinLedger === null) return null;
  return new PinScope(pid === 0 ? name : `${name}, process ${pid}`, pinLedger.now());
}

/** Books a pin of each of `count` pages from slot `at` on; nothing while the ledger is off, or for the zero page. */
export function bookPins(phys: Phys, pages: Uint32Array, at: number, count: number, scope: PinScope | null): void {
  const { pinLedger, zeroPfn, hot } = phys;
  if (pinLedger === null) return;
  for (let i = at; i < at + count; i++) {
    const pfn = pages[i]!;
    if (pfn !== zeroPfn) addPins(pinLedger, headOf(hot, pfn), 1, scope ?? pinLedger.unknown);
  }
}

/** Books that `pins` pins (1 and up) of the folio at frame `folio` were dropped. */
export function debitPins(ledger: PinLedger, folio: number, pins: number, scope: PinScope | null): void {
  const holder = ledger.folios.get(folio)?.find((one) => one.scope === scope);
  const own = holder === undefined ? 0 : Math.min(pins, Math.max(holder.pins, 0));
  if (own > 0) addPins(ledger, folio, -own, holder!.scope);
  if (own < pins) addPins(ledger, folio, own - pins, ledger.unknown);
}

/** Changes the pins of a scope; who has none of the folio any more is struck out, as is a folio without pins. */
export function addPins(ledger: PinLedger, folio: number, pins: number, scope: PinScope): void {
  const { folios } = ledger;
  const holders = folios.get(folio) ?? [];
  const i = holders.findIndex((one) => one.scope === scope);
  if (i < 0) holders.push(new PinHolder(scope, pins, ledger.now()));
  else if ((holders[i]!.pins += pins) === 0) holders.splice(i, 1);
  if (sumOf(holders) === 0) folios.delete(folio);
  else folios.set(folio, holders);
}

/** All pins of a folio. */
export function sumOf(holders: readonly PinHolder[]): number {
  return holders.reduce((sum, { pins }) => sum + pins, 0);
}
