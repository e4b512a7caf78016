import { describe, expect, it } from 'vitest';
import { EIO, InvariantError } from '@mmkit/base';
import type { AsyncBackend, Bio, BlockDevice, BlockDeviceOptions } from '@mmkit/filemap';
import { allocPages, createPhys, freePages, GFP_ZERO, pageRefCount, readBytes, writeBytes } from '@mmkit/phys';
import type { Phys } from '@mmkit/phys';
import { createSched, runPending } from '@mmkit/task';
import { builds, pattern, thrown } from './builds.ts';

const PAGE = 4096;
const SIZE = 64 * 1024;

describe.each(builds)('%s build', (_name, filemap) => {
  const { BIO_READ, BIO_WRITE, createBio, createBlockDevice, createMemoryBackend } = filemap;
  const { submitBio, waitBio, waitIdle } = filemap;

  /** A device over SIZE bytes of memory in a machine of 64 frames. */
  function make(options: BlockDeviceOptions = {}): { disk: Uint8Array; phys: Phys; dev: BlockDevice } {
    const disk = pattern(SIZE, 1);
    const phys = createPhys({ frames: 64 });
    return { disk, phys, dev: createBlockDevice(createSched(), phys, createMemoryBackend(disk), options) };
  }

  function frames(phys: Phys, count: number): Uint32Array {
    return Uint32Array.from({ length: count }, () => allocPages(phys, GFP_ZERO, 0));
  }

  function contents(phys: Phys, pfn: number): Uint8Array {
    const bytes = new Uint8Array(PAGE);
    readBytes(phys, pfn, 0, bytes, 0, PAGE);
    return bytes;
  }

  function run(dev: BlockDevice, bio: Bio): number {
    submitBio(dev, bio);
    return waitBio(dev, bio);
  }

  it('submit_bio never waits: the bytes move one latency later, at the completion event', () => {
    const { disk, phys, dev } = make({ latency: 5000 });
    const pfns = frames(phys, 1);
    const bio = createBio(BIO_READ, 512, pfns, 0, PAGE);
    submitBio(dev, bio);
    expect([bio.done, dev.inFlight, dev.sched.now]).toEqual([false, 1, 0]);
    expect(contents(phys, pfns[0]!)).toEqual(new Uint8Array(PAGE));
    expect(waitBio(dev, bio)).toBe(0);
    expect([bio.done, bio.bytesDone, dev.inFlight, dev.sched.now]).toEqual([true, PAGE, 0, 5000]);
    expect(contents(phys, pfns[0]!)).toEqual(disk.slice(512, 512 + PAGE));
    expect(waitBio(dev, bio)).toBe(0);
  });

  it('the default latency is 100 µs, the default block 512 bytes', () => {
    const { phys, dev } = make();
    expect(dev.logicalBlockSize).toBe(512);
    run(dev, createBio(BIO_READ, 0, frames(phys, 1), 0, 512));
    expect(dev.sched.now).toBe(100_000);
  });

  it("a read goes to the bio's frames in their order, from offsetInPage on, and touches nothing else", () => {
    const { disk, phys, dev } = make();
    const [a, b, c] = frames(phys, 3);
    const bio = createBio(BIO_READ, 1024, Uint32Array.of(c!, a!), 3584, 1024);
    expect(run(dev, bio)).toBe(0);
    const first = new Uint8Array(PAGE);
    first.set(disk.slice(1024, 1536), 3584);
    const second = new Uint8Array(PAGE);
    second.set(disk.slice(1536, 2048));
    expect(contents(phys, c!)).toEqual(first);
    expect(contents(phys, a!)).toEqual(second);
    expect(contents(phys, b!)).toEqual(new Uint8Array(PAGE));
  });

  it('a write gathers what the frames hold when the transfer starts, not at submission', () => {
    const { disk, phys, dev } = make();
    const pfns = frames(phys, 1);
    writeBytes(phys, pfns[0]!, 0, pattern(PAGE, 2), 0, PAGE);
    const bio = createBio(BIO_WRITE, 8192, pfns, 0, PAGE);
    submitBio(dev, bio);
    writeBytes(phys, pfns[0]!, 0, pattern(PAGE, 3), 0, PAGE);
    expect(waitBio(dev, bio)).toBe(0);
    expect(bio.bytesDone).toBe(PAGE);
    expect(disk.slice(8192, 8192 + PAGE)).toEqual(pattern(PAGE, 3));
    expect(disk.slice(0, 8192)).toEqual(pattern(SIZE, 1).slice(0, 8192));
    expect(disk.slice(8192 + PAGE)).toEqual(pattern(SIZE, 1).slice(8192 + PAGE));
  });

  it('a frame freed and given out again in flight gets the data all the same: the device knows PFNs only', () => {
    const { disk, phys, dev } = make();
    const pfns = frames(phys, 1);
    const bio = createBio(BIO_READ, 0, pfns, 0, PAGE);
    submitBio(dev, bio);
    freePages(phys, pfns[0]!, 0);
    expect(waitBio(dev, bio)).toBe(0);
    expect(contents(phys, pfns[0]!)).toEqual(disk.slice(0, PAGE));
    expect(pageRefCount(phys, pfns[0]!)).toBe(0);
  });

  it('a read across the end is short, status 0, and leaves the rest of the frames alone', () => {
    const { disk, phys, dev } = make();
    const pfns = frames(phys, 1);
    writeBytes(phys, pfns[0]!, 0, pattern(PAGE, 9), 0, PAGE);
    const bio = createBio(BIO_READ, SIZE - 512, pfns, 0, PAGE);
    expect(run(dev, bio)).toBe(0);
    expect(bio.bytesDone).toBe(512);
    expect(contents(phys, pfns[0]!).slice(0, 512)).toEqual(disk.slice(SIZE - 512));
    expect(contents(phys, pfns[0]!).slice(512)).toEqual(pattern(PAGE, 9).slice(512));
    const past = createBio(BIO_READ, SIZE + 4096, pfns, 0, PAGE);
    expect([run(dev, past), past.bytesDone]).toEqual([0, 0]);
  });

  it('a write that a fixed backend cannot hold is -EIO and stores nothing', () => {
    const { disk, phys, dev } = make();
    const bio = createBio(BIO_WRITE, SIZE - 512, frames(phys, 1), 0, PAGE);
    expect([run(dev, bio), bio.bytesDone]).toEqual([-EIO, 0]);
    expect(disk).toEqual(pattern(SIZE, 1));
  });

  it('a write that the backend stored in part is -EIO and says how much', () => {
    const { phys } = make();
    const backend = { size: SIZE, read: (): number => 0, write: (): number => 512 };
    const dev = createBlockDevice(createSched(), phys, backend);
    const bio = createBio(BIO_WRITE, 0, frames(phys, 1), 0, PAGE);
    expect([run(dev, bio), bio.bytesDone]).toEqual([-EIO, 512]);
  });

  it('an error of the backend is the status; through a bounce buffer no byte of a failed read enters memory', () => {
    const { phys } = make();
    const read = (_offset: number, into: Uint8Array): number => (into.fill(0xee), -EIO);
    const dev = createBlockDevice(createSched(), phys, { size: SIZE, read, write: (): number => -EIO });
    const pfns = frames(phys, 2).reverse();
    const bios = [createBio(BIO_READ, 0, pfns, 0, 2 * PAGE), createBio(BIO_WRITE, 0, pfns, 0, 2 * PAGE)];
    expect(bios.map((bio) => [run(dev, bio), bio.bytesDone])).toEqual([
      [-EIO, 0],
      [-EIO, 0],
    ]);
    for (const pfn of pfns) expect(contents(phys, pfn)).toEqual(new Uint8Array(PAGE));
  });

  it('fail ends the bio it names before a byte moves, and lets the others pass', () => {
    const asked: number[][] = [];
    const fail = (op: number, offset: number, length: number): number => {
      asked.push([op, offset, length]);
      return offset === 4096 ? -EIO : 0;
    };
    const { disk, phys, dev } = make({ fail });
    const pfns = frames(phys, 2);
    const bios = [0, 4096].map((at, i) => createBio(BIO_READ, at, pfns.subarray(i, i + 1), 0, PAGE));
    const lost = createBio(BIO_WRITE, 4096, pfns, 0, PAGE);
    for (const bio of [...bios, lost]) submitBio(dev, bio);
    waitIdle(dev);
    expect([...bios, lost].map((bio) => bio.status)).toEqual([0, -EIO, -EIO]);
    expect(asked).toEqual([
      [BIO_READ, 0, PAGE],
      [BIO_READ, 4096, PAGE],
      [BIO_WRITE, 4096, PAGE],
    ]);
    expect(contents(phys, pfns[1]!)).toEqual(new Uint8Array(PAGE));
    expect(disk).toEqual(pattern(SIZE, 1));
  });

  it('bi_end_io is called once, in order of submission, with the frames let go; it may submit more', () => {
    const { phys, dev } = make();
    const pfns = frames(phys, 4);
    const ended: string[] = [];
    const note = (bio: Bio): void => void ended.push(`${bio.offset} ${bio.done} ${dev.inFlight}`);
    const last = createBio(BIO_READ, 4096, pfns.subarray(3), 0, 512, note);
    const chain = (bio: Bio): void => (note(bio), submitBio(dev, last));
    submitBio(dev, createBio(BIO_READ, 2048, pfns, 0, 512, note));
    submitBio(dev, createBio(BIO_READ, 1024, pfns.subarray(1), 0, 512, note));
    submitBio(dev, createBio(BIO_READ, 3072, pfns.subarray(2), 0, 512, chain));
    expect(dev.inFlight).toBe(3);
    waitIdle(dev);
    expect(ended).toEqual(['2048 true 2', '1024 true 1', '3072 true 0', '4096 true 0']);
    expect(dev.sched.now).toBe(200_000);
    waitIdle(dev);
  });

  it('waiting for one bio leaves later ones in flight', () => {
    const { phys, dev } = make();
    const pfns = frames(phys, 2);
    const bios = [0, 1].map((i) => createBio(BIO_READ, 0, pfns.subarray(i), 0, 512));
    for (const bio of bios) submitBio(dev, bio);
    waitBio(dev, bios[0]!);
    expect(bios.map((bio) => bio.done)).toEqual([true, false]);
    waitBio(dev, bios[1]!);
    expect(dev.inFlight).toBe(0);
  });

  it('bounce buffers are used again, whatever the lengths', () => {
    const { disk, phys, dev } = make();
    const pfns = frames(phys, 4).reverse();
    for (const length of [2 * PAGE, 4 * PAGE, 3 * PAGE, 4 * PAGE]) {
      run(dev, createBio(BIO_READ, 0, pfns, 0, length));
      expect(dev.buffers.length).toBe(1);
    }
    expect(contents(phys, pfns[3]!)).toEqual(disk.slice(3 * PAGE, 4 * PAGE));
    run(dev, createBio(BIO_WRITE, 8 * PAGE, pfns, 0, 512));
    expect(disk.slice(8 * PAGE, 8 * PAGE + 1024)).toEqual(
      Uint8Array.from([...pattern(SIZE, 1).slice(0, 512), ...pattern(SIZE, 1).slice(8 * PAGE + 512, 8 * PAGE + 1024)]),
    );
  });

  it('frames that follow each other are read and written in place, without a bounce buffer', () => {
    const { disk, phys, dev } = make();
    const pfns = frames(phys, 4);
    expect(run(dev, createBio(BIO_READ, PAGE, pfns, 512, 3 * PAGE))).toBe(0);
    expect(contents(phys, pfns[1]!)).toEqual(disk.slice(2 * PAGE - 512, 3 * PAGE - 512));
    expect(run(dev, createBio(BIO_WRITE, 8 * PAGE, pfns, 512, 3 * PAGE))).toBe(0);
    expect(disk.slice(8 * PAGE, 11 * PAGE)).toEqual(pattern(SIZE, 1).slice(PAGE, 4 * PAGE));
    expect(dev.buffers.length).toBe(0);
  });

  it('64 KiB pages: one frame holds a whole bio', () => {
    const disk = pattern(SIZE, 1);
    const phys = createPhys({ frames: 16, pageSize: 65536 });
    const dev = createBlockDevice(createSched(), phys, createMemoryBackend(disk), { logicalBlockSize: 4096 });
    const pfns = frames(phys, 1);
    expect(run(dev, createBio(BIO_READ, 4096, pfns, 1024, 8192))).toBe(0);
    const bytes = new Uint8Array(8192);
    readBytes(phys, pfns[0]!, 1024, bytes, 0, 8192);
    expect(bytes).toEqual(disk.slice(4096, 4096 + 8192));
  });

  it('a refused submission changes nothing: BIO_SUBMITTED, BIO_MISALIGNED, BIO_PAGES, RangeError for no frame', () => {
    const { phys, dev } = make({ logicalBlockSize: 1024 });
    const pfns = frames(phys, 2);
    const bad: [Bio, string][] = [
      [createBio(BIO_READ, 512, pfns, 0, 1024), 'BIO_MISALIGNED'],
      [createBio(BIO_READ, 0, pfns, 0, 512), 'BIO_MISALIGNED'],
      [createBio(BIO_READ, 0, pfns, PAGE, 1024), 'BIO_PAGES'],
      [createBio(BIO_READ, 0, pfns, 1024, 2 * PAGE), 'BIO_PAGES'],
      [createBio(BIO_READ, 0, Uint32Array.of(pfns[0]!, 64), 1024, PAGE), 'RangeError'],
    ];
    for (const [bio, code] of bad) {
      expect(thrown(() => submitBio(dev, bio))).toBe(code);
      expect([bio.device, dev.inFlight, dev.sched.events.length]).toEqual([null, 0, 0]);
      expect(thrown(() => waitBio(dev, bio))).toBe('BIO_NOT_SUBMITTED');
    }
    const bio = createBio(BIO_READ, 0, Uint32Array.of(pfns[0]!, 64), 0, 1024);
    submitBio(dev, bio);
    expect(thrown(() => submitBio(dev, bio))).toBe('BIO_SUBMITTED');
    expect([dev.inFlight, dev.sched.events.length]).toEqual([1, 1]);
    expect(waitBio(dev, bio)).toBe(0);
    expect(thrown(() => submitBio(dev, bio))).toBe('BIO_SUBMITTED');
    expect(thrown(() => waitBio(make().dev, bio))).toBe('BIO_NOT_SUBMITTED');
  });

  it('values that are no numbers of bytes, no arrays of PFNs, no devices are RangeErrors', () => {
    const { phys, dev } = make();
    const pfns = frames(phys, 1);
    const calls = [
      (): unknown => createBio(2, 0, pfns, 0, 512),
      (): unknown => createBio(BIO_READ, -512, pfns, 0, 512),
      (): unknown => createBio(BIO_READ, Number.MAX_SAFE_INTEGER, pfns, 0, 512),
      (): unknown => createBio(BIO_READ, 0.5, pfns, 0, 512),
      (): unknown => createBio(BIO_READ, 0, pfns, -1, 512),
      (): unknown => createBio(BIO_READ, 0, pfns, 0, 0),
      (): unknown => createBio(BIO_READ, 0, pfns, 0, Number.NaN),
      (): unknown => createBio(BIO_READ, 0, new Uint32Array(0), 0, 512),
      (): unknown => createBio(BIO_READ, 0, [1] as unknown as Uint32Array, 0, 512),
      (): unknown => createBlockDevice(dev.sched, phys, dev.backend, { logicalBlockSize: 256 }),
      (): unknown => createBlockDevice(dev.sched, phys, dev.backend, { logicalBlockSize: 1000 }),
      (): unknown => createBlockDevice(dev.sched, phys, dev.backend, { logicalBlockSize: 131072 }),
      (): unknown => createBlockDevice(dev.sched, phys, dev.backend, { latency: -1 }),
      (): unknown => createBlockDevice(dev.sched, phys, dev.backend, { latency: Number.NaN }),
    ];
    for (const call of calls) expect(call).toThrow(RangeError);
  });

  it('a fail hook or a backend that returns nonsense is a RangeError, not a silent success', () => {
    const { phys, dev } = make({ fail: () => 5 });
    submitBio(dev, createBio(BIO_READ, 0, frames(phys, 1), 0, 512));
    expect(() => waitIdle(dev)).toThrow(RangeError);
    for (const result of [513, Number.NaN, -5000, 0.5]) {
      const backend = { size: SIZE, read: (): number => result, write: (): number => result };
      const odd = createBlockDevice(createSched(), phys, backend);
      submitBio(odd, createBio(BIO_READ, 0, frames(phys, 1), 0, 512));
      expect(() => waitIdle(odd)).toThrow(RangeError);
    }
  });

  describe('over an asynchronous backend', () => {
    interface Started {
      op: number;
      offset: number;
      bytes: Uint8Array;
      done: (result: number) => void;
    }

    function makeAsync(): { phys: Phys; dev: BlockDevice; started: Started[] } {
      const started: Started[] = [];
      const submit: AsyncBackend['submit'] = (op, offset, bytes, done) => {
        started.push({ op, offset, bytes, done });
      };
      const phys = createPhys({ frames: 64 });
      return { phys, dev: createBlockDevice(createSched(), phys, { size: SIZE, submit }), started };
    }

    it('a write is gathered when the transfer starts; bios may end in any order', () => {
      const { phys, dev, started } = makeAsync();
      const pfns = frames(phys, 2);
      const ended: number[] = [];
      const bios = [0, 4096].map((at, i) =>
        createBio(i === 0 ? BIO_WRITE : BIO_READ, at, pfns.subarray(i), 0, 512, (bio) => void ended.push(bio.offset)),
      );
      for (const bio of bios) submitBio(dev, bio);
      expect([started.length, dev.sched.outside]).toEqual([0, 0]);
      writeBytes(phys, pfns[0]!, 0, pattern(512, 2), 0, 512);
      while (runPending(dev.sched));
      writeBytes(phys, pfns[0]!, 0, pattern(512, 3), 0, 512);
      expect(started.map(({ op, offset }) => [op, offset])).toEqual([
        [BIO_WRITE, 0],
        [BIO_READ, 4096],
      ]);
      expect(started[0]!.bytes).toEqual(pattern(512, 2));
      expect(dev.sched.outside).toBe(2);

      started[1]!.bytes.set(pattern(512, 4));
      started[1]!.done(300);
      expect([bios[1]!.done, dev.sched.outside]).toEqual([false, 2]);
      expect(contents(phys, pfns[1]!)).toEqual(new Uint8Array(PAGE));
      expect(waitBio(dev, bios[1]!)).toBe(0);
      expect([bios[1]!.bytesDone, dev.sched.outside, dev.inFlight]).toEqual([300, 1, 1]);
      expect(contents(phys, pfns[1]!).slice(0, 300)).toEqual(pattern(512, 4).slice(0, 300));
      expect(contents(phys, pfns[1]!).slice(300)).toEqual(new Uint8Array(PAGE - 300));

      started[0]!.done(-EIO);
      waitIdle(dev);
      expect([bios[0]!.status, dev.sched.outside, dev.buffers.length]).toEqual([-EIO, 0, 2]);
      expect(ended).toEqual([4096, 0]);
    });

    it('a wait without the async driver is a DEADLOCK that names the I/O, not a hang', () => {
      const { phys, dev } = makeAsync();
      const bio = createBio(BIO_READ, 0, frames(phys, 1), 0, 512);
      submitBio(dev, bio);
      expect(() => waitBio(dev, bio)).toThrow(/^DEADLOCK: .*block read/);
    });

    it('a backend that answers twice is told so, and nothing changes', () => {
      const { phys, dev, started } = makeAsync();
      const bio = createBio(BIO_READ, 0, frames(phys, 1), 0, 512);
      submitBio(dev, bio);
      while (runPending(dev.sched));
      started[0]!.done(512);
      expect(() => started[0]!.done(512)).toThrow(InvariantError);
      expect(waitBio(dev, bio)).toBe(0);
      expect([dev.inFlight, dev.sched.outside]).toEqual([0, 0]);
    });
  });
});
