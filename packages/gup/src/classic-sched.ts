export { __get_user_pages } from './classic.co.ts';
export { setPageDirtyLock as set_page_dirty_lock } from './dirty.co.ts';
export { put_page, set_page_dirty } from './classic-pages.ts';
export {
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_HWPOISON,
  FOLL_NOWAIT,
  FOLL_TOUCH,
  FOLL_WRITE,
} from './classic-flags.ts';
export type { FaultCounters, LockState } from './request.ts';
