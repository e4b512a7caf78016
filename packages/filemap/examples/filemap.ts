import { createBio, createBlockDevice, createMemoryBackend, BIO_READ, submitBio, waitBio } from '@mmkit/filemap';
import { allocPages, createPhys, GFP_KERNEL, readBytes } from '@mmkit/phys';
import { createSched } from '@mmkit/task';

const sched = createSched();
const phys = createPhys({ frames: 64 });
const disk = new Uint8Array(1 << 20).fill(7);
const dev = createBlockDevice(sched, phys, createMemoryBackend(disk), { latency: 80_000 });

const pfns = Uint32Array.of(allocPages(phys, GFP_KERNEL, 0), allocPages(phys, GFP_KERNEL, 0));
const bio = createBio(BIO_READ, 4096, pfns, 0, 8192);
submitBio(dev, bio); // returns at once: nothing has moved yet
if (bio.done || waitBio(dev, bio) !== 0 || bio.bytesDone !== 8192) throw new Error('the read failed');

const bytes = new Uint8Array(4096);
readBytes(phys, pfns[1]!, 0, bytes, 0, 4096);
if (bytes.some((byte) => byte !== 7)) throw new Error('wrong bytes in the frame');
console.log(`${bio.bytesDone} bytes in ${sched.now / 1000} µs of virtual time`);
