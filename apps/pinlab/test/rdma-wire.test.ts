import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteQueue, pushBytes, takeBytes } from '../src/rdma/wire/bytes.ts';
import {
  countUntagged,
  type DdpSegment,
  DDP_TAGGED_HEADER,
  DDP_UNTAGGED_HEADER,
  decodeDdp,
  encodeDdpHeader,
  segmentMessage,
  UntaggedQueue,
  type UntaggedSegment,
} from '../src/rdma/wire/ddp.ts';
import { describeTerminate, WireError } from '../src/rdma/wire/error.ts';
import {
  acceptMpaReply,
  answerMpaRequest,
  checkMpaEnd,
  encodeFpdu,
  encodeMpaStart,
  MPA_CRC,
  MPA_MARKERS,
  MPA_REJECT,
  MPA_REPLY_KEY,
  MPA_REQUEST_KEY,
  takeMpaStart,
  takeUlpdu,
} from '../src/rdma/wire/mpa.ts';
import {
  decodeReadRequest,
  decodeTerminate,
  encodeReadRequest,
  encodeTerminate,
  rdmapControl,
  rdmapOpcode,
  RDMAP_READ_REQUEST,
} from '../src/rdma/wire/rdmap.ts';

const NONE = new Uint8Array(0);
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const payload = fc.uint8Array({ maxLength: 3000 });
const tagged = fc.record({
  tagged: fc.constant(true as const),
  last: fc.boolean(),
  ulp: fc.integer({ min: 0, max: 255 }),
  stag: u32,
  to: u64,
  payload,
});
const untagged = fc.record({
  tagged: fc.constant(false as const),
  last: fc.boolean(),
  ulp: fc.integer({ min: 0, max: 255 }),
  ulpWord: u32,
  qn: u32,
  msn: u32,
  mo: u32,
  payload,
});
const segment: fc.Arbitrary<DdpSegment> = fc.oneof(tagged, untagged);

function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** `bytes` in pieces, as cut by `cuts` (numbers below 1). */
function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...cuts.map((x) => Math.floor(x * bytes.length)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.slice(at[i], end));
}

const cuts = fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 30 });

/** A queue with all of `bytes`. */
function queueOf(bytes: Uint8Array): ByteQueue {
  const queue = new ByteQueue();
  pushBytes(queue, bytes);
  return queue;
}

/** What `call` complains of: layer, type, code; the message is one line. */
function complaint(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    expect(error.message).toMatch(/^[^\n]+$/);
    return describeTerminate(error.layer, error.type, error.code);
  }
  return 'nothing';
}

describe('a queue of bytes', () => {
  it('gives the same bytes whatever the sizes in and out', () => {
    fc.assert(
      fc.property(payload, cuts, fc.array(fc.nat(200), { minLength: 1 }), (bytes, at, sizes) => {
        const queue = new ByteQueue();
        const out: Uint8Array[] = [];
        for (const chunk of cut(bytes, at)) pushBytes(queue, chunk);
        for (const size of sizes) {
          const part = takeBytes(queue, size);
          if (part === null) expect(queue.length).toBeLessThan(size);
          else out.push(part);
        }
        out.push(takeBytes(queue, queue.length)!);
        expect(join(out)).toEqual(bytes);
        expect(queue.length).toBe(0);
      }),
    );
  });
});

describe('MPA frames, RFC 5044', () => {
  it('4: a stream of FPDUs in chunks of any size gives the ULPDUs back, with and without CRC', () => {
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 6 }), cuts, fc.boolean(), (segments, at, crc) => {
        const fpdus = segments.map((one) => encodeFpdu(encodeDdpHeader(one), one.payload, crc));
        for (const fpdu of fpdus) expect(fpdu.length % 4).toBe(0);
        const queue = new ByteQueue();
        const got: DdpSegment[] = [];
        for (const chunk of cut(join(fpdus), at)) {
          pushBytes(queue, chunk);
          for (let ulpdu = takeUlpdu(queue, crc); ulpdu !== null; ulpdu = takeUlpdu(queue, crc))
            got.push(decodeDdp(ulpdu));
        }
        expect(got).toEqual(segments);
        expect(() => checkMpaEnd(queue)).not.toThrow();
      }),
    );
  });

  it('4.4: any bit that flips in a frame, length aside, is a CRC error', () => {
    fc.assert(
      fc.property(segment, fc.nat(), (one, at) => {
        const fpdu = encodeFpdu(encodeDdpHeader(one), one.payload, true);
        const bit = 16 + (at % (8 * fpdu.length - 16));
        fpdu[bit >> 3]! ^= 1 << (bit & 7);
        expect(complaint(() => takeUlpdu(queueOf(fpdu), true))).toBe('MPA CRC error');
      }),
    );
  });

  it('4.4: a bit that flips in the length is a CRC error or an unfinished frame', () => {
    for (let bit = 0; bit < 16; bit++) {
      const fpdu = encodeFpdu(new Uint8Array(14), new Uint8Array(100), true);
      fpdu[bit >> 3]! ^= 1 << (bit & 7);
      const queue = queueOf(fpdu);
      const found = complaint(() => takeUlpdu(queue, true));
      if (found === 'nothing') expect(complaint(() => checkMpaEnd(queue))).toBe('MPA framing error');
      else expect(found).toBe('MPA CRC error');
    }
  });

  it('4.4: the CRC is the CRC32C of iSCSI, low byte first: of four zero bytes 48674bc7', () => {
    const fpdu = encodeFpdu(NONE, NONE, true);
    expect([...fpdu]).toEqual([0, 0, 0, 0, 0xc7, 0x4b, 0x67, 0x48]);
  });

  it('4.4: without CRC the field is zero and not looked at', () => {
    const fpdu = encodeFpdu(NONE, Uint8Array.of(1, 2), false);
    expect([...fpdu]).toEqual([0, 2, 1, 2, 0, 0, 0, 0]);
    fpdu[5] = 9;
    expect(takeUlpdu(queueOf(fpdu), false)).toEqual(Uint8Array.of(1, 2));
  });

  it('4: a ULPDU longer than its length field can say is refused', () => {
    expect(() => encodeFpdu(NONE, new Uint8Array(65_536), true)).toThrow(RangeError);
  });

  it('a stream that ends inside a frame is an error', () => {
    expect(complaint(() => checkMpaEnd(queueOf(Uint8Array.of(0))))).toBe('MPA framing error');
  });
});

describe('MPA start, RFC 5044 section 7', () => {
  const keys = fc.constantFrom(MPA_REQUEST_KEY, MPA_REPLY_KEY);

  it('7.1.1: a Request or Reply in chunks of any size comes back, and nothing more is taken', () => {
    fc.assert(
      fc.property(keys, fc.nat(255), fc.uint8Array({ maxLength: 512 }), cuts, payload, (key, flags, data, at, rest) => {
        const queue = new ByteQueue();
        let start = null;
        for (const chunk of cut(join([encodeMpaStart(key, flags, data), rest]), at)) {
          pushBytes(queue, chunk);
          start ??= takeMpaStart(queue, key);
        }
        expect(start).toEqual({ flags, privateData: data });
        expect(takeBytes(queue, queue.length)).toEqual(rest);
      }),
    );
  });

  const request = (change: (bytes: Uint8Array) => void): Uint8Array => {
    const bytes = encodeMpaStart(MPA_REQUEST_KEY, MPA_CRC, NONE);
    change(bytes);
    return bytes;
  };
  it.each<[string, Uint8Array]>([
    ['a Reply instead of a Request', encodeMpaStart(MPA_REPLY_KEY, MPA_CRC, NONE)],
    ['another protocol, at its first byte', Uint8Array.of(0x47)],
    ['revision 2', request((bytes) => (bytes[17] = 2))],
    ['revision 0', request((bytes) => (bytes[17] = 0))],
    ['513 bytes of private data', request((bytes) => bytes.set([2, 1], 18))],
  ])('7.1: %s is refused', (_name, bytes) => {
    const expected = 'invalid MPA Request or Reply frame';
    expect(complaint(() => takeMpaStart(queueOf(bytes), MPA_REQUEST_KEY))).toBe(expected);
  });

  it('more than 512 bytes of private data are not sent', () => {
    expect(() => encodeMpaStart(MPA_REQUEST_KEY, 0, new Uint8Array(513))).toThrow(RangeError);
  });

  it('7.1: checksums are used when either side wants them, not when neither does', () => {
    for (const ours of [0, MPA_CRC])
      for (const theirs of [0, MPA_CRC]) {
        const answer = answerMpaRequest(ours, theirs !== 0);
        expect(answer.crc).toBe((ours | theirs) !== 0);
        expect(acceptMpaReply(ours, answer.flags)).toBe(answer.crc);
      }
  });

  it('7.1: who wants markers is rejected, a Reply that wants them or rejects ends the start', () => {
    expect(answerMpaRequest(MPA_MARKERS, true).flags).toBe(MPA_CRC | MPA_REJECT);
    const expected = 'invalid MPA Request or Reply frame';
    expect(complaint(() => acceptMpaReply(MPA_CRC, MPA_MARKERS))).toBe(expected);
    expect(complaint(() => acceptMpaReply(MPA_CRC, MPA_REJECT))).toBe(expected);
  });
});

describe('DDP segments, RFC 5041', () => {
  it('4.2: a tagged segment as bytes', () => {
    const one = {
      tagged: true,
      last: true,
      ulp: 0x40,
      stag: 0x01020304,
      to: 0x05060708090a0b0cn,
      payload: NONE,
    } as const;
    expect([...encodeDdpHeader(one)]).toEqual([0xc1, 0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  it('4.3: an untagged segment as bytes', () => {
    const one = { tagged: false, last: false, ulp: 0x43, ulpWord: 1, qn: 2, msn: 3, mo: 4, payload: NONE } as const;
    expect([...encodeDdpHeader(one)]).toEqual([1, 0x43, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]);
  });

  it.each([
    ['no byte', NONE, 'MPA framing error'],
    ['a tagged header cut short', new Uint8Array(DDP_TAGGED_HEADER - 1).fill(0x81), 'MPA framing error'],
    ['an untagged header cut short', new Uint8Array(DDP_UNTAGGED_HEADER - 1).fill(1), 'MPA framing error'],
    ['tagged, version 0', new Uint8Array(20).fill(0x80), 'invalid DDP version'],
    ['untagged, version 2', new Uint8Array(20).fill(2), 'invalid DDP version'],
  ])('%s is refused', (_name, bytes, expected) => {
    expect(complaint(() => decodeDdp(bytes))).toBe(expected);
  });

  it('5: a message is cut to fit, in order, the last part marked, and is whole again', () => {
    fc.assert(
      fc.property(segment, fc.integer({ min: 19, max: 2000 }), (one, mulpdu) => {
        const message = one.tagged ? { ...one, to: one.to / 2n } : { ...one, mo: 0 };
        const parts = segmentMessage(message, mulpdu);
        let at = 0;
        for (const [i, part] of parts.entries()) {
          expect(encodeDdpHeader(part).length + part.payload.length).toBeLessThanOrEqual(mulpdu);
          expect(part.last).toBe(i === parts.length - 1);
          if (part.tagged && message.tagged) expect(part.to).toBe(message.to + BigInt(at));
          if (!part.tagged) expect(part.mo).toBe(at);
          at += part.payload.length;
        }
        expect(join(parts.map((part) => part.payload))).toEqual(message.payload);
      }),
    );
    const whole = { tagged: true, last: true, ulp: 0, stag: 0, to: 0n, payload: NONE } as const;
    expect(() => segmentMessage(whole, DDP_TAGGED_HEADER)).toThrow(RangeError);
  });

  it('5.2: an untagged queue takes messages 1, 2, … and their bytes in order, and nothing else', () => {
    const queue = new UntaggedQueue(0);
    const part = (msn: number, mo: number, last: boolean): UntaggedSegment => ({
      tagged: false,
      last,
      ulp: 0x43,
      ulpWord: 0,
      qn: 0,
      msn,
      mo,
      payload: new Uint8Array(10),
    });
    expect(complaint(() => countUntagged(queue, part(2, 0, true)))).toBe('invalid MSN');
    expect(complaint(() => countUntagged(queue, part(1, 5, true)))).toBe('invalid MO');
    countUntagged(queue, part(1, 0, false));
    expect(complaint(() => countUntagged(queue, part(1, 0, false)))).toBe('invalid MO');
    expect(complaint(() => countUntagged(queue, part(2, 0, false)))).toBe('invalid MSN');
    countUntagged(queue, part(1, 10, true));
    countUntagged(queue, part(2, 0, true));
  });
});

describe('RDMAP messages, RFC 5040', () => {
  it('4.4: a Read Request comes back; any other length is refused', () => {
    fc.assert(
      fc.property(u32, u64, u32, u32, u64, (sinkStag, sinkTo, length, sourceStag, sourceTo) => {
        const request = { sinkStag, sinkTo, length, sourceStag, sourceTo };
        expect(decodeReadRequest(encodeReadRequest(request))).toEqual(request);
      }),
    );
    expect(complaint(() => decodeReadRequest(new Uint8Array(27)))).toBe('layer 0, type 2, code 255');
  });

  it('4.1: each opcode in its kind of segment, and no other', () => {
    const kinds: Record<number, string> = { 0: 'tagged', 1: '1', 2: 'tagged', 3: '0', 5: '0', 7: '2' };
    for (let opcode = 0; opcode < 16; opcode++)
      for (const kind of ['tagged', '0', '1', '2', '3']) {
        const common = { last: true, ulp: rdmapControl(opcode), payload: NONE };
        const one: DdpSegment =
          kind === 'tagged'
            ? { ...common, tagged: true, stag: 0, to: 0n }
            : { ...common, tagged: false, ulpWord: 0, qn: Number(kind), msn: 1, mo: 0 };
        if (kinds[opcode] === kind) expect(rdmapOpcode(one)).toBe(opcode);
        else expect(complaint(() => rdmapOpcode(one))).toBe('unexpected opcode');
      }
  });

  it('4.1: another version is refused', () => {
    const one = { tagged: true, last: true, ulp: 0x80, stag: 0, to: 0n, payload: NONE } as const;
    expect(complaint(() => rdmapOpcode(one))).toBe('invalid RDMAP version');
  });

  it('4.8: a Terminate says layer, type and code, and shows the headers of what was wrong', () => {
    const what = { layer: 1, type: 2, code: 3 };
    expect([...encodeTerminate(what, null)]).toEqual([0x12, 3, 0, 0]);
    const write = join([
      encodeDdpHeader({ tagged: true, last: true, ulp: 0x40, stag: 1, to: 2n, payload: NONE }),
      new Uint8Array(300),
    ]);
    expect([...encodeTerminate(what, write)]).toEqual([0x12, 3, 0xc0, 0, 1, 58, ...write.subarray(0, 14)]);
    const header = { tagged: false, last: true, ulp: rdmapControl(RDMAP_READ_REQUEST) } as const;
    const read = join([
      encodeDdpHeader({ ...header, ulpWord: 0, qn: 1, msn: 1, mo: 0, payload: NONE }),
      encodeReadRequest({ sinkStag: 1, sinkTo: 2n, length: 3, sourceStag: 4, sourceTo: 5n }),
    ]);
    expect([...encodeTerminate(what, read)]).toEqual([0x12, 3, 0xe0, 0, 0, 46, ...read]);
    // Too short to have a header: nothing to show.
    expect([...encodeTerminate(what, read.subarray(0, 5))]).toEqual([0x12, 3, 0, 0]);
    for (const shown of [null, write, read]) expect(decodeTerminate(encodeTerminate(what, shown))).toEqual(what);
    expect(complaint(() => decodeTerminate(new Uint8Array(3)))).toBe('layer 0, type 2, code 255');
  });
});

it('whatever comes, the decoder takes it or gives one error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      complaint(() => {
        const one = decodeDdp(bytes);
        rdmapOpcode(one);
        decodeReadRequest(one.payload);
      });
      complaint(() => takeMpaStart(queueOf(bytes), MPA_REPLY_KEY));
      complaint(() => takeUlpdu(queueOf(bytes), true));
    }),
  );
});
