/** The litmus tests by name. */
import type { LitmusTest } from '@mmkit/explore';
import type { Format } from '@mmkit/pgtable';
import { forkScenario, zapScenario } from './scenarios.ts';
import { cowTests } from './toys/cow.ts';
import { faultTests } from './toys/faults.ts';
import { forkTests } from './toys/fork.ts';
import { migrateTests } from './toys/migrate.ts';
import { rwsemTests } from './toys/rwsem.ts';
import { tableTests } from './toys/table.ts';
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

/** Every test of the repository: those of the tour, and toys of the other races. */
export function allTests(format: Format): readonly LitmusTest[] {
  return [
    ...litmusTests(format),
    ...zapTests,
    ...tableTests,
    ...cowTests,
    ...faultTests,
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
