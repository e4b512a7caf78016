import { describe, expect, it } from 'vitest';
import { BadInput } from '../src/exit.ts';
import { parseProbes } from '../src/mmu/read.ts';

const HEADER = '{"format": "mmu-oracle/1", "arch": "x86_64"}';
const ARM_HEADER = HEADER.replace('x86_64', 'aarch64');

const X86 = {
  id: 'one',
  mode: { la57: false, maxphyaddr: 40, gbpages: true, nxe: true, wp: true, smep: true, smap: true, pke: true },
  root: '0x2001000',
  mem: { '0x2001000': '0x2002007' },
  probes: [['0x1000', 'r', 'u']],
  results: [{ ok: false, fault: 'PF', err: 4, cr2: '0x1000' }],
};
const ARM = {
  id: 'two',
  mode: {
    granule: 4096,
    t0sz: 25,
    ha: false,
    hd: false,
    ips: 2,
    tbi: 0,
    hpd: false,
    e0pd: false,
    epd0: false,
    ds: false,
  },
  root: '0x42001000',
  mem: { '0x42001000': '0x42002003' },
  probes: [['0x1000', 'r', 'u', { pan: 1 }]],
  results: [{ ok: true, pa: null, par: '0x1', at_wrote: true }],
};

/** The message of the BadInput for the case after a header. */
function complaint(one: object, header: string = HEADER): string {
  return complaintOf(`${header}\n${JSON.stringify(one)}\n`);
}

function complaintOf(text: string): string {
  try {
    parseProbes('f', text);
  } catch (error) {
    if (error instanceof BadInput) return error.message;
    throw error;
  }
  return 'nothing';
}

describe('probe files', () => {
  it('a header, then cases; another header begins another part', () => {
    const text = `${HEADER}\n${JSON.stringify(X86)}\n${ARM_HEADER}\n${JSON.stringify(ARM)}\n`;
    expect(parseProbes('f', text)).toEqual([
      { header: JSON.parse(HEADER) as unknown, cases: [X86] },
      { header: JSON.parse(ARM_HEADER) as unknown, cases: [ARM] },
    ]);
  });

  it.each([
    ['', 'f: line 1: expected a header {"format": "mmu-oracle/1", …}, got the end'],
    [JSON.stringify({ id: 'a' }), 'f: line 1: expected a header {"format": "mmu-oracle/1", …}, got {"id":"a"}'],
    ['{"format": "mmu-oracle/2", "arch": "x86_64"}', 'f: line 1: format: expected "mmu-oracle/1", got "mmu-oracle/2"'],
    [
      '{"format": "mmu-oracle/1", "arch": "mips"}',
      'f: line 1: arch: expected "x86_64" or "aarch64" or "riscv64", got "mips"',
    ],
    [`${HEADER}\n{"id":"a",`, String.raw`f: line 2: expected a line of JSON, got "{\"id\":\"a\","`],
    [`${HEADER}\n\n[]`, 'f: line 3: expected an object, got []'],
  ])('malformed: %j', (text, message) => {
    expect(complaintOf(text)).toBe(message);
  });

  it.each<[object, string]>([
    [{ ...X86, rooot: '0x0' }, 'no key but id, mode, root, mem, probes, cumulative, results, got "rooot"'],
    [{ ...X86, id: undefined }, 'the key id, got nothing'],
    [{ ...X86, id: 7 }, 'id: expected a string, got 7'],
    [{ ...X86, root: 4096 }, 'root: expected "0x" and up to 16 hex digits, got 4096'],
    [{ ...X86, cumulative: 1 }, 'cumulative: expected true or false, got 1'],
    [
      { ...X86, mode: { ...X86.mode, la58: true } },
      'mode: expected no key but la57, maxphyaddr, gbpages, nxe, wp, smep, smap, pke, pkru, got "la58"',
    ],
    [{ ...X86, mode: { ...X86.mode, wp: undefined } }, 'mode: expected the key wp, got nothing'],
    [{ ...X86, mode: { ...X86.mode, wp: 1 } }, 'mode: wp: expected true or false, got 1'],
    [{ ...X86, mode: { ...X86.mode, maxphyaddr: 53 } }, 'mode: maxphyaddr: expected an integer from 32 to 52, got 53'],
    [{ ...X86, mem: { '2001000': '0x0' } }, 'mem: expected "0x" and up to 16 hex digits, got "2001000"'],
    [
      { ...X86, mem: { '0x2001000': '0x10000000000000000' } },
      'mem: 0x2001000: expected "0x" and up to 16 hex digits, got "0x10000000000000000"',
    ],
    [
      { ...X86, mem: { '0x3000000': '0x1' } },
      'mem: expected multiples of 8 from 0x2000000 to 0x2fffff8, got "0x3000000"',
    ],
    [
      { ...X86, mem: { '0x1fffff8': '0x1' } },
      'mem: expected multiples of 8 from 0x2000000 to 0x2fffff8, got "0x1fffff8"',
    ],
    [
      { ...X86, mem: { '0x2001004': '0x1' } },
      'mem: expected multiples of 8 from 0x2000000 to 0x2fffff8, got "0x2001004"',
    ],
    [{ ...X86, mem: { '0x2001000': '0x1', '0x02001000': '0x2' } }, 'mem: expected every word once, got "0x02001000"'],
    [
      { ...X86, probes: [['0x1000', 'r']] },
      'probes[0]: expected [address, access, who] or one more, got ["0x1000","r"]',
    ],
    [{ ...X86, probes: [['4096', 'r', 'u']] }, 'probes[0][0]: expected "0x" and up to 16 hex digits, got "4096"'],
    [{ ...X86, probes: [['0x1000', 'q', 'u']] }, 'probes[0][1]: expected "r" or "w" or "x", got "q"'],
    [{ ...X86, probes: [['0x1000', 'r', 'k']] }, 'probes[0][2]: expected "u" or "s", got "k"'],
    [{ ...X86, probes: [['0x1000', 'r', 's', { pan: 1 }]] }, 'probes[0][3]: expected no key but ac, got "pan"'],
    [{ ...X86, probes: [['0x1000', 'r', 's', { ac: 2 }]] }, 'probes[0][3]: ac: expected 0 or 1, got 2'],
    [{ ...X86, results: [] }, 'results: expected 1, one a probe, got 0'],
    [{ ...X86, results: [...X86.results, ...X86.results] }, 'results: expected 1, one a probe, got 2'],
    [{ ...X86, results: [{ pa: '0x0' }] }, 'results[0]: ok: expected true or false, got nothing'],
    [{ ...X86, results: [{ ok: true }] }, 'results[0]: expected the key pa, got nothing'],
    [{ ...X86, results: [{ ok: true, pa: '0x0', err: 1 }] }, 'results[0]: expected no key but ok, pa, chg, got "err"'],
    [{ ...X86, results: [{ ok: false, fault: 'DA', err: 1 }] }, 'results[0]: fault: expected "PF" or "GP", got "DA"'],
    [
      { ...X86, results: [{ ok: false, fault: 'PF', esr: '0x0' }] },
      'results[0]: expected no key but ok, fault, err, chg, secondary, cr2, err_raw, got "esr"',
    ],
    [
      { ...X86, results: [{ ok: true, pa: null, chg: [['0x0', '0x1']] }] },
      'results[0]: chg[0]: expected [address, before, after], got ["0x0","0x1"]',
    ],
    [
      { ...X86, results: [{ ok: true, pa: null, chg: [['0x0', '0x1', 2]] }] },
      'results[0]: chg[0][2]: expected "0x" and up to 16 hex digits, got 2',
    ],
  ])('x86-64: %j', (one, message) => {
    const text = complaint(one);
    expect(text).toBe(`f: line 2: ${message}`.replace(/^(f: line 2: )(no key|the key)/, '$1expected $2'));
    expect(text).not.toContain('\n');
  });

  it.each<[object, string]>([
    [{ ...ARM, mode: { ...ARM.mode, granule: 8192 } }, 'mode: granule: expected 4096 or 16384 or 65536, got 8192'],
    [{ ...ARM, mode: { ...ARM.mode, t0sz: 64 } }, 'mode: t0sz: expected an integer from 12 to 48, got 64'],
    [{ ...ARM, mode: { ...ARM.mode, t0sz: 12 } }, 'mode: t0sz: expected an integer from 16 to 48, got 12'],
    [
      { ...ARM, mode: { ...ARM.mode, granule: 65536, t0sz: 48 } },
      'mode: t0sz: expected an integer from 12 to 47, got 48',
    ],
    [{ ...ARM, mode: { ...ARM.mode, tbi: true } }, 'mode: tbi: expected 0 or 1, got true'],
    [
      { ...ARM, mem: { '0x2001000': '0x1' } },
      'mem: expected multiples of 8 from 0x42000000 to 0x42fffff8, got "0x2001000"',
    ],
    [{ ...ARM, probes: [['0x0', 'r', 's', { ac: 1 }]] }, 'probes[0][3]: expected no key but pan, got "ac"'],
    [{ ...ARM, results: [{ ok: false, fault: 'DA', esr: '0x0' }] }, 'results[0]: expected the key far, got nothing'],
  ])('arm64: %j', (one, message) => {
    expect(complaint(one, ARM_HEADER)).toBe(`f: line 2: ${message}`);
  });
});
