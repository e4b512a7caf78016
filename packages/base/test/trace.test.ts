import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { createTraceRing, EVENT_WORDS, traceEvent, traceHash } from '@mmkit/base';

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const event = fc.tuple(int32, int32, int32, int32);

/** FNV-1a, 32 bits, as its definition says. */
function fnv1a(bytes: Uint8Array): string {
  let hash = 0x811c9dc5n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x01000193n) & 0xffffffffn;
  return hash.toString(16).padStart(8, '0');
}

describe('TraceRing', () => {
  it('an empty ring has the offset basis of FNV-1a as its hash', () => {
    expect(traceHash(createTraceRing(1))).toBe('811c9dc5');
  });

  it('hashes every word ever written as little-endian bytes; the capacity does not matter', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 20 }), fc.integer({ min: 1, max: 30 }), (events, capacity) => {
        const ring = createTraceRing(capacity);
        for (const words of events) traceEvent(ring, ...words);
        const bytes = new DataView(new ArrayBuffer(events.length * 16));
        events.flat().forEach((word, i) => bytes.setInt32(i * 4, word, true));
        expect(traceHash(ring)).toBe(fnv1a(new Uint8Array(bytes.buffer)));
      }),
    );
  });

  it('keeps the newest events, event n in slot n mod capacity', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 20 }), fc.integer({ min: 1, max: 8 }), (events, capacity) => {
        const ring = createTraceRing(capacity);
        for (const words of events) traceEvent(ring, ...words);
        expect(ring.count).toBe(events.length);
        for (let n = Math.max(0, events.length - capacity); n < events.length; n++) {
          const at = (n % capacity) * EVENT_WORDS;
          expect([...ring.words.subarray(at, at + EVENT_WORDS)]).toEqual(events[n]);
        }
      }),
    );
  });

  it.each([0, -1, 1.5, NaN, 2 ** 24 + 1])('a capacity of %s is a RangeError that names it', (capacity) => {
    expect(() => createTraceRing(capacity)).toThrow(RangeError);
    expect(() => createTraceRing(capacity)).toThrow(/^capacity: /);
  });
});
