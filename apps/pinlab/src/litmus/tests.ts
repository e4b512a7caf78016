/** The litmus tests by name. */
import type { Scenario } from '@mmkit/explore';
import type { Format } from '@mmkit/pgtable';
import { forkScenario, zapScenario } from './scenarios.ts';
import { toyForkScenario } from './toy-scenario.ts';

export interface LitmusTest {
  readonly name: string;
  /** What is asked, in one line. */
  readonly question: string;
  /** "never": no schedule may fail; "reachable": some schedule must. */
  readonly expect: 'never' | 'reachable';
  readonly scenario: Scenario;
}

/** All of them, on the tables of `format`. */
export function litmusTests(format: Format): readonly LitmusTest[] {
  return [
    {
      name: 'toy-fork',
      question: 'toy table: gup-fast against fork, with the write-protect sequence: does a pinned page stay shared?',
      expect: 'never',
      scenario: toyForkScenario(true),
    },
    {
      name: 'toy-fork-no-seq',
      question: 'toy table: the same without the sequence (Linux 5.9 and 5.10)',
      expect: 'reachable',
      scenario: toyForkScenario(false),
    },
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

/** Only where TLBs are flushed by interrupts. */
function zapIpi(format: Format): LitmusTest {
  return {
    name: 'zap-ipi',
    question: 'the same without the second read, where TLB flushes wait for CPUs with interrupts off (old x86)',
    expect: 'never',
    scenario: zapScenario(format, { fastRecheck: false }),
  };
}
