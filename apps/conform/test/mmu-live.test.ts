import { describe, expect, it } from 'vitest';
import { BadInput, EXIT_DIFFERENT, EXIT_OK } from '../src/exit.ts';
import { answerCase } from '../src/mmu/answer.ts';
import type { Ram } from '../src/mmu/answer.ts';
import { Figures } from '../src/mmu/figures.ts';
import type { Arm64Mode, Case, Mode, Probe, Result, X86Mode } from '../src/mmu/format.ts';
import { exitCode, liveCommand, runCases } from '../src/mmu/live/command.ts';
import { decodeHead, decodeOutput, encodeInput } from '../src/mmu/live/exchange.ts';
import { generateCase } from '../src/mmu/live/generate.ts';
import type { LiveArch } from '../src/mmu/live/qemu.ts';
import { Random } from '../src/mmu/live/random.ts';
import { reduceCase } from '../src/mmu/live/reduce.ts';
import { x86Machine } from '../src/mmu/live/x86_64.ts';
import { parseCase } from '../src/mmu/read.ts';

const ARCHES = ['x86_64', 'aarch64'] as const;
const ISLANDS = [
  [0x400_0000n, 0x600_0000n],
  [0x4400_0000n, 0x4500_0000n],
] as const;
const RAM_BASE = { x86_64: 0n, aarch64: 0x4000_0000n };

const X86: X86Mode = {
  la57: false,
  maxphyaddr: 40,
  gbpages: true,
  nxe: false,
  wp: false,
  smep: false,
  smap: false,
  pke: false,
};
const ARM64: Arm64Mode = {
  granule: 4096,
  t0sz: 16,
  ha: false,
  hd: false,
  ips: 0,
  tbi: 0,
  hpd: false,
  e0pd: false,
  epd0: false,
  ds: false,
};

function cases(arch: LiveArch, count: number): Case[] {
  return Array.from({ length: count }, (_, i) => generateCase(arch, 7, i));
}

/** The generated cases, and each of their probes with our walker's answer. */
function answeredCases(arch: LiveArch, count: number): { list: Case[]; probes: (readonly [Probe, Result])[] } {
  const list = cases(arch, count);
  const ram: Ram = new Map();
  const probes = list.flatMap((one) => {
    const results = answerCase(arch, one, ram);
    return one.probes.map((probe, i) => [probe, results[i]!] as const);
  });
  return { list, probes };
}

const GENERATED = { x86_64: answeredCases('x86_64', 150), aarch64: answeredCases('aarch64', 150) };

describe('the random choices', () => {
  it('are xoshiro128**: the published first words from the state 1, 2, 3, 4', () => {
    const random = new Random(0);
    random.state.set([1, 2, 3, 4]);
    expect(Array.from({ length: 4 }, () => random.word())).toEqual([11520, 0, 5927040, 70819200]);
  });

  it('a case is named by its seed and number alone', () => {
    for (const arch of ARCHES) {
      const one = generateCase(arch, 3, 5);
      expect(generateCase(arch, 3, 5)).toEqual(one);
      expect(generateCase(arch, 3, 6)).not.toEqual({ ...one, id: `${arch}-3-6` });
      expect(generateCase(arch, 4, 5)).not.toEqual({ ...one, id: `${arch}-4-5` });
    }
  });
});

it("x86-64: the root slot of the monitor's own mapping is the first that is not generated", () => {
  expect(x86Machine(new Random(0), X86).rootEnd).toBe(508);
  expect(x86Machine(new Random(0), { ...X86, la57: true }).rootEnd).toBe(511);
});

describe.each(ARCHES)('generated cases of %s', (arch) => {
  const { list, probes } = GENERATED[arch];

  it('are what a probe file may hold', () => {
    for (const one of list) expect(parseCase(one.id, arch, JSON.parse(JSON.stringify(one)))).toEqual(one);
  });

  it("leave the monitor's half or root slot alone", () => {
    const monitors = (mode: Mode, va: bigint): boolean => {
      if (arch === 'aarch64') return (va & (1n << 55n)) !== 0n;
      return (mode as X86Mode).la57 ? ((va >> 48n) & 511n) === 511n : ((va >> 39n) & 511n) === 508n;
    };
    const hit = list.flatMap((one) => one.probes.filter(([va]) => monitors(one.mode, BigInt(va))));
    expect(hit).toEqual([]);
  });

  it('write and execute only in the islands, or where nothing is', () => {
    const stray = probes.filter(([[, access], { ok, pa }]) => {
      if (!ok || access === 'r') return false;
      const offset = BigInt(pa!) - RAM_BASE[arch];
      if (access === 'w' && offset >= 0x1_0000_0000n) return false;
      return !ISLANDS.some(([start, end]) => offset >= start && offset < end);
    });
    expect(stray).toEqual([]);
  });

  it('execute whole slots', () => {
    expect(probes.filter(([[va, access]]) => access === 'x' && BigInt(va) % 16n !== 0n)).toEqual([]);
  });
});

it('generated cases reach every success, error code and fault status of an MMU', () => {
  const outcomes = (arch: LiveArch): Set<string> =>
    new Set(
      GENERATED[arch].probes.map(([[, access], { ok, fault, err, esr, chg }]) => {
        if (ok) return `ok ${access}${chg ? ' changes' : ''}`;
        return arch === 'x86_64' ? `${fault} ${err}` : (Number(esr) & 0x3f).toString(16);
      }),
    );
  const success = ['r', 'w', 'x'].flatMap((access) => [`ok ${access}`, `ok ${access} changes`]);
  // P, W, U, RSVD, I, PK as they can go together.
  const codes = [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 16, 17, 20, 21, 25, 29, 33, 35, 37, 39].map(
    (err) => `PF ${err}`,
  );
  expect([...outcomes('x86_64')]).toEqual(expect.arrayContaining([...success, 'GP 0', ...codes]));
  // Address size, translation, access flag, permission by level; external abort, of a walk too; translation at level -1.
  const statuses = '0 1 2 3 4 5 6 7 9 a b d e f 10 15 16 17 2b'.split(' ');
  expect([...outcomes('aarch64')]).toEqual(expect.arrayContaining([...success, ...statuses]));
});

describe('what the guest reads', () => {
  it('x86-64: magic, count, flags; CR0, CR4, EFER, PKRU, CR3, counts; words; probes', () => {
    const mode = { ...X86, la57: true, nxe: true, wp: true, smep: true, smap: true, pke: true, pkru: '0x55' };
    const one: Case = {
      id: 'one',
      mode,
      root: '0x2001000',
      mem: { '0x2001ff0': '0x8000000000000067' },
      probes: [
        ['0x10', 'r', 'u'],
        ['0xffff000000000018', 'w', 's', { ac: 1 }],
        ['0x20', 'x', 's'],
      ],
    };
    const plain: Case = { id: 'two', mode: X86, root: '0x2002000', mem: {}, probes: [] };
    const words = [
      [0x314e495f554d4dn, 2n, 1n],
      [0x80010031n, 0x701020n, 0xd00n, 0x55n, 0x2001000n, 1n, 3n],
      [0x2001ff0n, 0x8000000000000067n],
      [0x10n, 4n, 0xffff000000000018n, 9n, 0x20n, 2n],
      [0x80000031n, 0x20n, 0x500n, 0n, 0x2002000n, 0n, 0n],
    ];
    expect([...encodeInput('x86_64', [one, plain])]).toEqual(words.flat());
  });

  it('arm64: the part of TCR_EL1 that governs TTBR0', () => {
    const tcr = (mode: Partial<Arm64Mode>): bigint =>
      encodeInput('aarch64', [{ id: 'one', mode: { ...ARM64, ...mode }, root: '0x42000000', mem: {}, probes: [] }])[3]!;
    expect(tcr({ t0sz: 25 })).toBe(25n);
    expect(tcr({ granule: 16384 })).toBe(0x8010n);
    expect(tcr({ granule: 65536 })).toBe(0x4010n);
    expect(tcr({ ips: 6 })).toBe(0x6_0000_0010n);
    const bits = { epd0: 7, ha: 39, hd: 40, hpd: 41, e0pd: 55, ds: 59 };
    for (const [name, bit] of Object.entries(bits)) expect(tcr({ [name]: true })).toBe(0x10n | (1n << BigInt(bit)));
    expect(tcr({ tbi: 1 })).toBe(0x10n | (1n << 37n));
  });

  it('a cumulative case is refused', () => {
    const one: Case = { id: 'kept', mode: X86, root: '0x2000000', mem: {}, probes: [], cumulative: true };
    expect(() => encodeInput('x86_64', [one])).toThrow('kept: a cumulative case cannot run live');
  });
});

describe('what the guest writes', () => {
  const one: Case = {
    id: 'one',
    mode: X86,
    root: '0x2000000',
    mem: {},
    probes: Array.from({ length: 5 }, () => ['0x0', 'r', 's'] as const),
  };

  it('x86-64: successes with or without an address, page faults, general protection, anything odd', () => {
    const words = [
      [0n, 0n, 0n, 0x4000123n, 1n, 0x2000000n, 3n, 0x23n],
      [0n, 0n, 0n, 0n, 0n],
      // A reserved bit: QEMU leaves P out of the error code.
      [1n, (14n << 32n) | 12n, 0x7000n, 0n, 0n],
      [1n, 13n << 32n, 0x9999n, 0n, 0n],
      [2n, 6n << 32n, 0x5000n, 0n, 0n],
    ];
    expect(decodeOutput('x86_64', [one], BigUint64Array.from(words.flat()))).toEqual([
      [
        { ok: true, pa: '0x4000123', chg: [['0x2000000', '0x3', '0x23']] },
        { ok: true, pa: null },
        { ok: false, fault: 'PF', err: 13, cr2: '0x7000' },
        { ok: false, fault: 'GP', err: 0 },
        { ok: false, fault: 'exception 0x600000000 at 0x5000' },
      ],
    ]);
  });

  it('arm64: data and instruction aborts, from both exception levels, with what they changed', () => {
    const record = (esr: bigint): bigint[] => [1n, esr, 0x8000n, 0n, 0n];
    const probes = one.probes.slice(0, 4);
    const words = [
      record(0x92000047n),
      record(0x96000007n),
      record(0x82000007n),
      [1n, 0x8600000fn, 0x8000n, 0n, 1n, 0x42000000n, 1n, 0x401n],
    ];
    const far = '0x8000';
    expect(decodeOutput('aarch64', [{ ...one, probes }], BigUint64Array.from(words.flat()))).toEqual([
      [
        { ok: false, fault: 'DA', esr: '0x92000047', far },
        { ok: false, fault: 'DA', esr: '0x96000007', far },
        { ok: false, fault: 'IA', esr: '0x82000007', far },
        { ok: false, fault: 'IA', esr: '0x8600000f', far, chg: [['0x42000000', '0x1', '0x401']] },
      ],
    ]);
  });

  it('the head says how far it came; none is -1', () => {
    expect(decodeHead(BigUint64Array.of(0x54554f5f554d4dn, 7n, 99n))).toEqual({ finished: 7, words: 99 });
    expect(decodeHead(BigUint64Array.of(0n, 0n, 0n)).finished).toBe(-1);
  });
});

describe('a difference', () => {
  const ram: Ram = new Map();
  const list = cases('x86_64', 3);
  const writes = list.flatMap((one) => {
    const results = answerCase('x86_64', one, ram);
    return one.probes.flatMap(([, access], index) => (access === 'w' && results[index]!.ok ? [{ one, index }] : []));
  });
  const { one: probed, index } = writes[0]!;

  /** Our walker, but with another address for one probe, in the whole image or also in the smaller one. */
  class Other {
    readonly arch = 'x86_64';
    readonly smaller: boolean;
    /** The cases it was asked for, run by run. */
    readonly asked: (readonly Case[])[] = [];

    constructor(smaller: boolean) {
      this.smaller = smaller;
    }

    run(some: readonly Case[]): Result[][] {
      this.asked.push(some);
      return some.map((one) =>
        answerCase('x86_64', one, ram).map((result, i) =>
          one.probes[i] === probed.probes[index] && (this.smaller || some === list) ? { ok: true, pa: '0x0' } : result,
        ),
      );
    }
  }

  it('is shown with the smallest image that still shows it', () => {
    const machine = new Other(true);
    const figures = new Figures();
    const lines: string[] = [];
    const found = runCases(machine, list, figures, lines);
    expect(found).toHaveLength(1);
    const { id, mode, root } = probed;
    expect(found[0]).toMatchObject({ id, index, probe: probed.probes[index], expected: { pa: '0x0' } });
    const small = found[0]!.case;
    expect(small).toMatchObject({ id, mode, root, probes: [probed.probes[index]], results: [{ ok: true, pa: '0x0' }] });
    expect(Object.keys(small.mem).length).toBeLessThanOrEqual((mode as X86Mode).la57 ? 5 : 4);
    expect(lines.map((line) => (JSON.parse(line) as Case).id)).toEqual(list.map((one) => one.id));
    const { compared, agree } = figures.list().at(-1)!;
    expect(compared - agree).toBe(1);
    expect(exitCode(found)).toBe(EXIT_DIFFERENT);
  });

  it('keeps its image when the smaller one does not show it', () => {
    const machine = new Other(false);
    const found = runCases(machine, list, new Figures(), []);
    expect(machine.asked).toHaveLength(2);
    expect(found[0]!.case.mem).toEqual(probed.mem);
    expect(found[0]!.case.probes).toEqual([probed.probes[index]]);
  });

  it('none: the machine is asked once', () => {
    const machine = new Other(true);
    const others = list.filter((one) => one !== probed);
    expect(exitCode(runCases(machine, others, new Figures(), []))).toBe(EXIT_OK);
    expect(machine.asked).toEqual([others]);
  });

  it('every word of the smallest image matters to our answer', () => {
    const one: Case = { ...probed, probes: [probed.probes[index]!] };
    const small = reduceCase('x86_64', one, ram);
    const wanted = answerCase('x86_64', one, ram);
    expect(answerCase('x86_64', small, ram)).toEqual(wanted);
    for (const address of Object.keys(small.mem)) {
      const mem = Object.fromEntries(Object.entries(small.mem).filter(([key]) => key !== address));
      expect(answerCase('x86_64', { ...small, mem }, ram)).not.toEqual(wanted);
    }
  });
});

describe('bad usage', () => {
  const never = (): never => {
    throw new Error('nothing is printed or written');
  };
  const live = (options: object): unknown => liveCommand({ seed: '1', count: '1', ...options }, never, never);

  it.each([
    [{ arch: 'riscv64' }, '--arch: expected x86_64 or aarch64, got riscv64'],
    [{ count: '0' }, '--count: expected an integer from 1, got 0'],
    [{ count: '1.5' }, '--count: expected an integer from 1, got 1.5'],
    [{ seed: '-1' }, '--seed: expected an integer from 0, got -1'],
    [{ seed: 'x' }, '--seed: expected an integer from 0, got x'],
  ])('%o', (options, message) => {
    expect(() => live(options)).toThrow(new BadInput(message));
  });

  it('no QEMU: one line that says so', () => {
    const path = process.env['PATH'];
    process.env['PATH'] = '';
    try {
      expect(() => live({})).toThrow(new BadInput('qemu-system-x86_64: not found: --live needs QEMU'));
    } finally {
      process.env['PATH'] = path;
    }
  });
});
