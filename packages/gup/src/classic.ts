export { __get_user_pages } from './classic.gen.ts';
export {
  __get_user_pages_fast,
  __get_user_pages_unlocked,
  get_dump_page,
  get_user_pages,
  get_user_pages_fast,
  get_user_pages_locked,
  get_user_pages_unlocked,
} from './classic-family.gen.ts';
export { setPageDirtyLock as set_page_dirty_lock } from './dirty.gen.ts';
export { put_page, set_page_dirty } from './classic-pages.ts';
export {
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_HWPOISON,
  FOLL_MIGRATION,
  FOLL_MLOCK,
  FOLL_MLOCK_3_14,
  FOLL_NOWAIT,
  FOLL_NUMA,
  FOLL_POPULATE,
  FOLL_REMOTE,
  FOLL_SPLIT,
  FOLL_TOUCH,
  FOLL_TRIED,
  FOLL_WRITE,
} from './classic-flags.ts';
export type { FaultCounters, LockState } from './request.ts';
