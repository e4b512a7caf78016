/** `@mmkit/phys/shared`: references and pins over SharedArrayBuffers, for several threads. */
export { attachPhys, reapShared, SharedPhys, sharePhys } from './shared-phys.ts';
export type { PhysHandle } from './shared-phys.ts';
export {
  folioAddPin,
  folioIsLongtermPinnable,
  folioMaybeDmaPinned,
  getPage,
  gupPutFolio,
  pageRefCount,
  putPage,
  tryGetFolio,
  tryGrabFolio,
  tryGrabFolioFast,
  unpinFolio,
} from './shared-refs.ts';
