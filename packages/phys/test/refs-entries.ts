/** The reference functions of both entries behind one face, so that one suite runs on both. */
import * as plain from '../src/refs.ts';
import type { Phys } from '../src/index.ts';
import * as shared from '../src/shared.ts';

/** The functions that `@mmkit/phys` and `@mmkit/phys/shared` both have. */
export interface Refs {
  readonly pageRefCount: (phys: Phys, pfn: number) => number;
  readonly getPage: (phys: Phys, pfn: number, refs?: number) => void;
  readonly putPage: (phys: Phys, pfn: number, refs?: number) => void;
  readonly tryGetFolio: (phys: Phys, pfn: number, refs: number) => boolean;
  readonly tryGrabFolio: (phys: Phys, pfn: number, refs: number, flags: number) => number;
  readonly tryGrabFolioFast: (phys: Phys, pfn: number, refs: number, flags: number) => boolean;
  readonly gupPutFolio: (phys: Phys, pfn: number, refs: number, flags: number) => void;
  readonly unpinFolio: (phys: Phys, pfn: number, pins?: number) => void;
  readonly folioAddPin: (phys: Phys, pfn: number) => void;
  readonly folioMaybeDmaPinned: (phys: Phys, pfn: number) => boolean;
  readonly folioIsLongtermPinnable: (phys: Phys, pfn: number) => boolean;
}

/** The same call on the thread's view; the owner reaps at once. */
function lift<A extends unknown[], R>(call: (view: shared.SharedPhys, ...args: A) => R): (phys: Phys, ...args: A) => R {
  return (phys, ...args) => {
    const result = call(shared.attachPhys(structuredClone(shared.sharePhys(phys))), ...args);
    shared.reapShared(phys);
    return result;
  };
}

const lifted: Refs = {
  pageRefCount: lift(shared.pageRefCount),
  getPage: lift(shared.getPage),
  putPage: lift(shared.putPage),
  tryGetFolio: lift(shared.tryGetFolio),
  tryGrabFolio: lift(shared.tryGrabFolio),
  tryGrabFolioFast: lift(shared.tryGrabFolioFast),
  gupPutFolio: lift(shared.gupPutFolio),
  unpinFolio: lift(shared.unpinFolio),
  folioAddPin: lift(shared.folioAddPin),
  folioMaybeDmaPinned: lift(shared.folioMaybeDmaPinned),
  folioIsLongtermPinnable: lift(shared.folioIsLongtermPinnable),
};

/** Each entry by name, and whether its machine is shared. */
export const ENTRIES: readonly (readonly [name: string, refs: Refs, isShared: boolean])[] = [
  ['@mmkit/phys', plain, false],
  ['@mmkit/phys/shared', lifted, true],
];
