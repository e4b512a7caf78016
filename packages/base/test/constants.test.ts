import { describe, expect, it } from 'vitest';
import * as base from '@mmkit/base';

/** The exported numbers whose names match. */
const numbers = (pattern: RegExp): [string, number][] =>
  Object.entries(base).flatMap(([name, value]): [string, number][] =>
    pattern.test(name) && typeof value === 'number' ? [[name, value]] : [],
  );

describe('errno', () => {
  const errnos = numbers(/^E[A-Z]+$/);

  it('has the values of asm-generic', () => {
    expect(Object.fromEntries(errnos)).toEqual({
      EPERM: 1,
      EINTR: 4,
      EIO: 5,
      ENXIO: 6,
      EBADF: 9,
      EAGAIN: 11,
      ENOMEM: 12,
      EACCES: 13,
      EFAULT: 14,
      EBUSY: 16,
      EEXIST: 17,
      EINVAL: 22,
      ENOSPC: 28,
      EMLINK: 31,
      ETIME: 62,
      EOVERFLOW: 75,
      EOPNOTSUPP: 95,
      EHWPOISON: 133,
      ERESTARTSYS: 512,
    });
  });

  it.each(errnos)('errnoName knows %s, positive and negative', (name, value) => {
    expect([base.errnoName(value), base.errnoName(-value)]).toEqual([name, name]);
  });

  it('errnoName gives the digits of what it does not know, without a sign', () => {
    expect([base.errnoName(-9999), base.errnoName(0)]).toEqual(['9999', '0']);
  });
});

describe('B.1: FOLL_* flags', () => {
  const flags = numbers(/^FOLL_/);

  it('have the values of Linux 6.18', () => {
    const bit = (names: string, first: number): [string, number][] =>
      names.split(' ').map((name, i) => [`FOLL_${name}`, 2 ** (first + i)]);
    expect(Object.fromEntries(flags)).toEqual(
      Object.fromEntries([
        ...bit('WRITE GET DUMP FORCE NOWAIT NOFAULT HWPOISON ANON', 0),
        ...bit('LONGTERM SPLIT_PMD PCI_P2PDMA INTERRUPTIBLE HONOR_NUMA_FAULT', 8),
        ...bit('TOUCH TRIED REMOTE PIN FAST_ONLY UNLOCKABLE MADV_POPULATE', 16),
      ]),
    );
  });

  it('B.2: INTERNAL_GUP_FLAGS are the seven of 0x10000 and above', () => {
    const internal = flags.filter(([, value]) => value >= 0x10000);
    expect(internal.length).toBe(7);
    expect(internal.reduce((all, [, value]) => all | value, 0)).toBe(base.INTERNAL_GUP_FLAGS);
  });
});

describe('scheduling points', () => {
  const points = numbers(/^(BLOCKED|P_.*)$/);

  it('are numbered from 0 without a gap, BLOCKED first', () => {
    expect(points.map(([, value]) => value).sort((a, b) => a - b)).toEqual(points.map((_, i) => i));
    expect(base.BLOCKED).toBe(0);
  });

  it('have a name of their own each', () => {
    const names = points.map(([, value]) => base.pointName(value));
    expect(new Set(names).size).toBe(points.length);
    expect(names.filter((name) => /^point \d+$/.test(name))).toEqual([]);
  });

  it('pointName prints a number of your own', () => {
    expect(base.pointName(1000)).toBe('point 1000');
  });
});
