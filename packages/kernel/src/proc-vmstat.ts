/**
 * /proc/vmstat (Linux: vmstat_show): every line of a 6.18 with huge pages, KSM, swap and hugetlb, in its order. What the model
 * does not count, or does not have, is 0. Walks the frame table: for people. Shared by both builds.
 */
import { folioTestAnon } from '@mmkit/aspace';
import {
  buddyInfo,
  compoundHead,
  folioEntireMapcount,
  folioTestLarge,
  nodeLruPages,
  pageMapCount,
  PG_MLOCKED,
  PG_TABLE,
  PG_WRITEBACK,
  testFlag,
  touchedRanges,
} from '@mmkit/phys';
import type { Phys } from '@mmkit/phys';
import type { Machine } from './machine.ts';

/** The names, in order. */
const NAMES: readonly string[] = Object.freeze(
  (
    'nr_free_pages nr_free_pages_blocks nr_zone_inactive_anon nr_zone_active_anon nr_zone_inactive_file ' +
    'nr_zone_active_file nr_zone_unevictable nr_zone_write_pending nr_mlock nr_zspages nr_free_cma numa_hit ' +
    'numa_miss numa_foreign numa_interleave numa_local numa_other nr_inactive_anon nr_active_anon ' +
    'nr_inactive_file nr_active_file nr_unevictable nr_slab_reclaimable nr_slab_unreclaimable nr_isolated_anon ' +
    'nr_isolated_file workingset_nodes workingset_refault_anon workingset_refault_file workingset_activate_anon ' +
    'workingset_activate_file workingset_restore_anon workingset_restore_file workingset_nodereclaim ' +
    'nr_anon_pages nr_mapped nr_file_pages nr_dirty nr_writeback nr_shmem nr_shmem_hugepages nr_shmem_pmdmapped ' +
    'nr_file_hugepages nr_file_pmdmapped nr_anon_transparent_hugepages nr_vmscan_write ' +
    'nr_vmscan_immediate_reclaim nr_dirtied nr_written nr_throttled_written nr_kernel_misc_reclaimable ' +
    'nr_foll_pin_acquired nr_foll_pin_released nr_kernel_stack nr_page_table_pages nr_sec_page_table_pages ' +
    'nr_iommu_pages nr_swapcached pgpromote_success pgpromote_candidate pgpromote_candidate_nrl pgdemote_kswapd ' +
    'pgdemote_direct pgdemote_khugepaged pgdemote_proactive nr_hugetlb nr_balloon_pages nr_kernel_file_pages ' +
    'nr_dirty_threshold nr_dirty_background_threshold nr_memmap_pages nr_memmap_boot_pages pgpgin pgpgout pswpin ' +
    'pswpout pgalloc_dma pgalloc_dma32 pgalloc_normal pgalloc_movable pgalloc_device allocstall_dma ' +
    'allocstall_dma32 allocstall_normal allocstall_movable allocstall_device pgskip_dma pgskip_dma32 ' +
    'pgskip_normal pgskip_movable pgskip_device pgfree pgactivate pgdeactivate pglazyfree pgfault pgmajfault ' +
    'pglazyfreed pgrefill pgreuse pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgsteal_proactive ' +
    'pgscan_kswapd pgscan_direct pgscan_khugepaged pgscan_proactive pgscan_direct_throttle pgscan_anon ' +
    'pgscan_file pgsteal_anon pgsteal_file zone_reclaim_success zone_reclaim_failed pginodesteal slabs_scanned ' +
    'kswapd_inodesteal kswapd_low_wmark_hit_quickly kswapd_high_wmark_hit_quickly pageoutrun pgrotated ' +
    'drop_pagecache drop_slab oom_kill numa_pte_updates numa_huge_pte_updates numa_hint_faults ' +
    'numa_hint_faults_local numa_pages_migrated pgmigrate_success pgmigrate_fail thp_migration_success ' +
    'thp_migration_fail thp_migration_split compact_migrate_scanned compact_free_scanned compact_isolated ' +
    'compact_stall compact_fail compact_success compact_daemon_wake compact_daemon_migrate_scanned ' +
    'compact_daemon_free_scanned htlb_buddy_alloc_success htlb_buddy_alloc_fail unevictable_pgs_culled ' +
    'unevictable_pgs_scanned unevictable_pgs_rescued unevictable_pgs_mlocked unevictable_pgs_munlocked ' +
    'unevictable_pgs_cleared unevictable_pgs_stranded thp_fault_alloc thp_fault_fallback ' +
    'thp_fault_fallback_charge thp_collapse_alloc thp_collapse_alloc_failed thp_file_alloc thp_file_fallback ' +
    'thp_file_fallback_charge thp_file_mapped thp_split_page thp_split_page_failed thp_deferred_split_page ' +
    'thp_underused_split_page thp_split_pmd thp_scan_exceed_none_pte thp_scan_exceed_swap_pte ' +
    'thp_scan_exceed_share_pte thp_split_pud thp_zero_page_alloc thp_zero_page_alloc_failed thp_swpout ' +
    'thp_swpout_fallback balloon_inflate balloon_deflate balloon_migrate swap_ra swap_ra_hit swpin_zero ' +
    'swpout_zero ksm_swpin_copy cow_ksm zswpin zswpout zswpwb direct_map_level2_splits direct_map_level3_splits ' +
    'direct_map_level2_collapses direct_map_level3_collapses nr_unstable'
  ).split(' '),
);
/** The LRU lists by LRU_*. */
const LRU_NAMES: readonly string[] = Object.freeze([
  'inactive_anon',
  'active_anon',
  'inactive_file',
  'active_file',
  'unevictable',
]);

/** The text of /proc/vmstat. */
export function procVmstat(machine: Machine): string {
  const { phys, stat, files, hugeZeroPfn } = machine.memory;
  const values: Record<string, number> = { ...frameCounts(phys), ...lruCounts(phys) };
  values['nr_free_pages'] = phys.zones.reduce((sum, { free }) => sum + free, 0);
  values['nr_free_pages_blocks'] = buddyInfo(phys).reduce(
    (sum, blocks, order) => (order < phys.pageblockOrder ? sum : sum + blocks * 2 ** order),
    0,
  );
  for (const inode of files.inodes) {
    if (inode === null) continue;
    add(values, 'nr_file_pages', inode.pages.size);
    if (inode.device === null) add(values, 'nr_shmem', inode.pages.size);
    add(values, 'nr_dirty', inode.nrDirty);
  }
  values['nr_zone_write_pending'] = (values['nr_dirty'] ?? 0) + (values['nr_writeback'] ?? 0);
  values['nr_foll_pin_acquired'] = phys.nrFollPinAcquired;
  values['nr_foll_pin_released'] = phys.nrFollPinReleased;
  values['pgfault'] = stat.pgfault;
  values['pgmajfault'] = stat.pgmajfault;
  values['thp_fault_alloc'] = stat.thpFaultAlloc;
  values['thp_fault_fallback'] = stat.thpFaultFallback;
  values['thp_collapse_alloc'] = stat.thpCollapseAlloc;
  values['thp_split_pmd'] = stat.thpSplitPmd;
  values['thp_zero_page_alloc'] = hugeZeroPfn < 0 ? 0 : 1;
  return NAMES.map((name) => `${name} ${values[name] ?? 0}\n`).join('');
}

function add(values: Record<string, number>, name: string, count: number): void {
  values[name] = (values[name] ?? 0) + count;
}

/** What can be seen in the frames. */
function frameCounts(phys: Phys): Record<string, number> {
  const counts: Record<string, number> = {};
  const ranges = touchedRanges(phys);
  for (let i = 0; i < ranges.length; i += 2) {
    for (let pfn = ranges[i]!; pfn < ranges[i + 1]!; pfn++) {
      const folio = compoundHead(phys, pfn);
      if (testFlag(phys, pfn, PG_TABLE)) add(counts, 'nr_page_table_pages', 1);
      if (testFlag(phys, folio, PG_MLOCKED)) add(counts, 'nr_mlock', 1);
      if (testFlag(phys, folio, PG_WRITEBACK)) add(counts, 'nr_writeback', 1);
      if (pageMapCount(phys, pfn) === 0) continue;
      const anon = folioTestAnon(phys, pfn);
      add(counts, anon ? 'nr_anon_pages' : 'nr_mapped', 1);
      const huge = pfn === folio && folioTestLarge(phys, pfn) && folioEntireMapcount(phys, pfn) > 0;
      if (anon && huge) add(counts, 'nr_anon_transparent_hugepages', 1);
    }
  }
  return counts;
}

function lruCounts(phys: Phys): Record<string, number> {
  const counts: Record<string, number> = {};
  LRU_NAMES.forEach((name, list) => {
    for (const node of phys.nodes.keys()) add(counts, `nr_${name}`, nodeLruPages(phys, node, list));
    counts[`nr_zone_${name}`] = counts[`nr_${name}`]!;
  });
  return counts;
}
