import { createTraceRing, EFAULT, errnoName, InvariantError, tableIndex, traceEvent, traceHash } from '@mmkit/base';

// Linux's errors are values, named for people.
if (errnoName(-EFAULT) !== 'EFAULT') throw new Error('-14 is EFAULT');

// Address arithmetic for addresses above 2^32: the index of an address in an x86-64 page directory.
if (tableIndex(0x7fff_ffe0_0000, 2 ** 21, 512) !== 511) throw new Error('wrong index');

// Two runs that do the same have the same hash.
const ring = createTraceRing(1024);
traceEvent(ring, 7, 1, 0x1000, 0);
traceEvent(ring, 8, 1, 0x1000, 0);
console.log(`${ring.count} events, hash ${traceHash(ring)}`);
if (traceHash(ring) !== 'f139926a') throw new Error('the run was a different one');

// Misuse throws; test the code.
const error = new InvariantError('DOUBLE_FREE', 'frame 7');
if (error.code !== 'DOUBLE_FREE') throw error;
