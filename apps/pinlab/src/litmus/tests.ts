/** The litmus tests by name. */
import type { LitmusTest } from '@mmkit/explore';
import type { Format } from '@mmkit/pgtable';
import { cowScenario, directIoScenario, forcedWriteScenario, vmspliceScenario } from './cow-scenarios.ts';
import { forkScenario, zapScenario } from './scenarios.ts';
import { collapseScenario, faultsScenario, reclaimScenario, tableScenario } from './table-scenarios.ts';
import { forkTests } from './toys/fork.ts';
import { migrateTests } from './toys/migrate.ts';
import { rwsemTests } from './toys/rwsem.ts';
import { zapTests } from './toys/zap.ts';

/** The tests of the tour: gup-fast against fork and zap, on the tables of `format`. */
export function litmusTests(format: Format): readonly LitmusTest[] {
  return [
    ...forkTests,
    {
      name: 'fork',
      question: 'pin_user_pages_fast against fork, Linux 6.18: does a pinned page stay shared?',
      expect: 'never',
      scenario: forkScenario(format, {}),
    },
    {
      name: 'fork-no-seq',
      question: 'the same without the write-protect sequence (Linux 5.9 and 5.10)',
      expect: 'reachable',
      scenario: forkScenario(format, { writeProtectSeq: false }),
    },
    {
      name: 'fork-no-copy',
      question: 'the same without the early copy of pinned pages (before Linux 5.9)',
      expect: 'reachable',
      scenario: forkScenario(format, { earlyCopy: false }),
    },
    {
      name: 'zap',
      question: 'pin_user_pages_fast against MADV_DONTNEED: does the pin get a page that was freed and given away?',
      expect: 'never',
      scenario: zapScenario(format, { flushByIpi: false }),
    },
    {
      name: 'zap-no-recheck',
      question: 'the same when gup-fast does not read the entry again after the grab',
      expect: 'reachable',
      scenario: zapScenario(format, { flushByIpi: false, fastRecheck: false }),
    },
    ...(format.flushBroadcasts ? [] : [zapIpi(format)]),
  ];
}

/** Copy-on-write of the real packages, and its historical bugs. */
export function cowTests(format: Format): readonly LitmusTest[] {
  return [
    {
      name: 'cow',
      question: 'a read-only pin of a page shared with a child, against the next store: does the pin keep the page?',
      expect: 'never',
      scenario: cowScenario(format, {}),
    },
    {
      name: 'cow-no-unshare',
      question: 'the same where pins do not ask for an exclusive page (before Linux 5.19)',
      expect: 'reachable',
      scenario: cowScenario(format, { unshare: false }),
    },
    {
      name: 'dirty-cow',
      question: 'C.1: a forced write to private memory of a file, against MADV_DONTNEED: does the file change?',
      expect: 'never',
      scenario: forcedWriteScenario(format, {}),
    },
    {
      name: 'dirty-cow-read',
      question: 'the same where the page is looked up for reading after the copy (up to Linux 4.8.2, CVE-2016-5195)',
      expect: 'reachable',
      scenario: forcedWriteScenario(format, { forcedWrite: 'read' }),
    },
    {
      name: 'vmsplice',
      question:
        'C.3: a child splices a shared page into a pipe and unmaps it: does the pipe show what its parent stores?',
      expect: 'never',
      scenario: vmspliceScenario(format, {}),
    },
    {
      name: 'vmsplice-mapcount',
      question: 'the same where a page mapped once is reused (before Linux 5.8, CVE-2020-29374)',
      expect: 'reachable',
      scenario: vmspliceScenario(format, { reuse: 'mapcount' }),
    },
    {
      name: 'direct-io',
      question:
        'C.6: a device stores to half of a pinned page, against fork and a store to the other half: is it lost?',
      expect: 'never',
      scenario: directIoScenario(format, {}),
    },
    {
      name: 'direct-io-no-copy',
      question: 'the same without the early copy of pinned pages (before Linux 5.9)',
      expect: 'reachable',
      scenario: directIoScenario(format, { earlyCopy: false }),
    },
    {
      name: 'direct-io-no-seq',
      question: 'the same without the write-protect sequence (Linux 5.9 and 5.10)',
      expect: 'reachable',
      scenario: directIoScenario(format, { writeProtectSeq: false }),
    },
  ];
}

/** Page tables that go, or are written to by two at once, of the real packages. */
export function tableTests(format: Format): readonly LitmusTest[] {
  // Without interrupts: they would wait for the pin's CPU, and hide what the rules are for.
  const noRecheck = { flushByIpi: false, fastRecheckAbove: false };
  const noWait = { flushByIpi: false, tableFreeWaits: false };
  return [
    {
      name: 'table',
      question: 'pin_user_pages_fast against munmap: does it take an entry from a page table that was freed?',
      expect: 'never',
      scenario: tableScenario(format, { flushByIpi: false }),
    },
    {
      name: 'table-no-recheck',
      question: 'the same when gup-fast does not read the entry above again (up to Linux 6.0): the wait is enough',
      expect: 'never',
      scenario: tableScenario(format, noRecheck),
    },
    {
      name: 'table-no-wait',
      question: 'the same, and munmap does not wait for CPUs with interrupts off',
      expect: 'reachable',
      scenario: tableScenario(format, { ...noRecheck, ...noWait }),
    },
    {
      name: 'collapse',
      question: 'C.8: pin_user_pages_fast against MADV_COLLAPSE: does the pin keep its page?',
      expect: 'never',
      scenario: collapseScenario(format, { flushByIpi: false }),
    },
    {
      name: 'collapse-no-wait',
      question: 'the same when nobody waits for walks under way: reading the entry above again is enough',
      expect: 'never',
      scenario: collapseScenario(format, noWait),
    },
    {
      name: 'collapse-no-recheck',
      question: 'the same, and gup-fast does not read the entry above again (up to Linux 6.0)',
      expect: 'reachable',
      scenario: collapseScenario(format, { ...noRecheck, ...noWait }),
    },
    {
      name: 'faults',
      question: 'two CPUs store to one page that is not there: is a store lost?',
      expect: 'never',
      scenario: faultsScenario(format, {}),
    },
    {
      name: 'faults-no-recheck',
      question: 'the same when the fault does not look at the entry again under its lock (no kernel: for teaching)',
      expect: 'reachable',
      scenario: faultsScenario(format, { faultRecheck: false }),
    },
    {
      name: 'reclaim',
      question:
        'a pin that faults against MADV_DONTNEED, which frees the page table: is the table used when it is gone?',
      expect: 'never',
      scenario: reclaimScenario(format, 'pin'),
    },
    {
      name: 'reclaim-twice',
      question: 'the same of two MADV_DONTNEED',
      expect: 'never',
      scenario: reclaimScenario(format, 'dontneed'),
    },
  ];
}

/** Every test of the repository: those of the tour, copy-on-write, page tables, and toys of the other races. */
export function allTests(format: Format): readonly LitmusTest[] {
  return [
    ...litmusTests(format),
    ...cowTests(format),
    ...tableTests(format),
    ...zapTests,
    ...migrateTests,
    ...rwsemTests,
  ];
}

/** Only where TLBs are flushed by interrupts. */
function zapIpi(format: Format): LitmusTest {
  return {
    name: 'zap-ipi',
    question: 'the same without the second read, where TLB flushes wait for CPUs with interrupts off (old x86)',
    expect: 'never',
    scenario: zapScenario(format, { fastRecheck: false }),
  };
}
