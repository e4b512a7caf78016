/** Who holds pins: the scopes of the kernel's own users. */
import { describe, expect, it } from 'vitest';
import { EFAULT, ENOMEM, FOLL_WRITE } from '@mmkit/base';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import { IBV_ACCESS_LOCAL_WRITE } from '@mmkit/kernel';
import {
  clearFlag,
  closePinLedger,
  openPinLedger,
  PG_DIRTY,
  pinHolders,
  pinReport,
  formatPinReport,
} from '@mmkit/phys';
import { addEvent, runPending } from '@mmkit/task';
import { builds, PAGE, setUp, thrown } from './builds.ts';
import type { Api } from './builds.ts';

/** A process with 16 pages, a disk, the ledger on. */
function bench(api: Api) {
  const world = setUp(api);
  const { memory, sched } = world.machine;
  closePinLedger(memory.phys);
  openPinLedger(memory.phys, () => sched.now);
  const disk = createBlockDevice(sched, memory.phys, createMemoryBackend(new Uint8Array(16 * PAGE)));
  return { ...world, phys: memory.phys, sched, disk };
}

describe.each(builds)('%s: the ledger of pins', (_name, api) => {
  it('direct I/O: a scope for each request, until its bios have ended', () => {
    const { machine, process, address, phys, disk } = bench(api);
    const read = api.submitDirectRead(machine, process, disk, 0, address, 3 * PAGE);
    const again = api.submitDirectRead(machine, process, disk, 0, address + 2 * PAGE, 2 * PAGE);
    const write = api.submitDirectWrite(machine, process, disk, 0, address, PAGE);
    expect(pinReport(phys)).toEqual([
      { name: 'direct read, process 1', scopes: 2, pages: 4, pins: 5, since: 0 },
      { name: 'direct write, process 1', scopes: 1, pages: 1, pins: 1, since: 0 },
    ]);
    const holders = pinHolders(phys, api.translate(machine, process, address + 2 * PAGE));
    expect(holders.map(({ scope }) => scope)).toEqual([read.scope, again.scope]);
    api.checkMachine(machine);
    for (const io of [read, again, write]) expect(api.finishDirectIo(io).result).toBeGreaterThan(0);
    expect(pinReport(phys)).toEqual([]);
    api.checkMachine(machine);
  });

  it('io_uring and RDMA: held from registration to its end, also after exit; the oldest first', () => {
    const { machine, process, address, phys, sched } = bench(api);
    const ring = api.createIoUring(machine);
    const device = api.createRdmaDevice(machine);
    const pd = api.allocPd(device, process);
    const { mr } = api.regMr(pd, address, 3 * PAGE, IBV_ACCESS_LOCAL_WRITE);
    addEvent(sched, 500, 'later', () => {});
    runPending(sched);
    expect(api.registerBuffers(ring, process, [{ address, length: 2 * PAGE }])).toBe(0);
    expect(formatPinReport(pinReport(phys))).toBe(
      '                              scopes     pages      pins    oldest\n' +
        'memory region, process 1           1         3         3      0 ns\n' +
        'io_uring buffer, process 1         1         2         2    500 ns\n',
    );
    api.checkMachine(machine);
    expect(api.unregisterBuffers(ring)).toBe(0);
    api.exitProcess(machine, process);
    expect(pinReport(phys)).toEqual([{ name: 'memory region, process 1', scopes: 1, pages: 3, pins: 3, since: 0 }]);
    api.deregMr(mr!);
    expect(pinReport(phys)).toEqual([]);
    api.checkMachine(machine);
  });

  it('whoever gives back while others hold the same pages is debited himself', () => {
    const { machine, process, address, phys, disk } = bench(api);
    const ring = api.createIoUring(machine);
    expect(api.registerBuffers(ring, process, [{ address, length: 6 * PAGE }])).toBe(0);
    const before = pinReport(phys);
    const bytes = new Uint8Array(3 * PAGE);
    expect(api.processVmReadv(machine, process, address, bytes, 0, bytes.length)).toBe(bytes.length);
    expect(api.processVmWritev(machine, process, address, bytes, 0, bytes.length)).toBe(bytes.length);
    expect(api.directRead(machine, process, disk, 0, address, PAGE).result).toBe(PAGE);
    // What is cleaned before the end is dirtied, and unpinned, by a task.
    const io = api.submitDirectRead(machine, process, disk, 0, address, PAGE);
    clearFlag(phys, api.translate(machine, process, address), PG_DIRTY);
    expect(api.finishDirectIo(io).result).toBe(PAGE);
    // Pages that make no whole block, a bad buffer, registrations that fail.
    const large = createBlockDevice(machine.sched, phys, createMemoryBackend(new Uint8Array(16 * PAGE)), {
      logicalBlockSize: 2 * PAGE,
    });
    const even = address + (address % (2 * PAGE));
    expect(api.directRead(machine, process, large, 0, even, 2 * PAGE, { bioPages: 3 }).result).toBe(2 * PAGE);
    expect(api.directRead(machine, process, large, 0, even, 4 * PAGE, { bioPages: 3 }).result).toBe(4 * PAGE);
    expect(api.directWrite(machine, process, disk, 0, address + PAGE, 16 * PAGE).result).toBe(-EFAULT);
    const { mr } = api.regMr(api.allocPd(api.createRdmaDevice(machine), process), address, 2 * PAGE, 0);
    api.deregMr(mr!);
    const other = api.createIoUring(machine);
    expect(api.registerBuffers(other, process, [{ address, length: 17 * PAGE }])).toBe(-EFAULT);
    process.rlimitMemlock = 4 * PAGE;
    expect(api.registerBuffers(other, process, [{ address, length: 4 * PAGE }])).toBe(-ENOMEM);
    expect(pinReport(phys)).toEqual(before);
    api.checkMachine(machine);
  });

  it('process_vm_readv and process_vm_writev have names too', () => {
    const { machine, process, address, phys } = bench(api);
    closePinLedger(phys);
    const names = new Set<string>();
    // Asked for the time when the second page is booked.
    openPinLedger(phys, () => {
      for (const { name } of pinReport(phys)) names.add(name);
      return 0;
    });
    const bytes = new Uint8Array(2 * PAGE);
    api.store(machine, process, address, bytes, 0, bytes.length);
    api.processVmReadv(machine, process, address, bytes, 0, bytes.length);
    expect([...names]).toEqual(['process_vm_readv, process 1']);
    api.processVmWritev(machine, process, address, bytes, 0, bytes.length);
    expect([...names]).toEqual(['process_vm_readv, process 1', 'process_vm_writev, process 1']);
  });

  it('vmsplice and /proc/PID/mem take references: they are in no ledger', () => {
    const { machine, process, address, phys } = bench(api);
    const pipe = api.createPipe(machine);
    expect(api.vmsplice(pipe, process, address, PAGE)).toBe(PAGE);
    expect(api.procMemWrite(machine, process, address, Uint8Array.of(1), 0, 1)).toBe(1);
    expect(pinReport(phys)).toEqual([]);
  });

  it('checkMachine: PIN_LEDGER when a pin is in the frame and not in the ledger', () => {
    const { machine, process, address, phys } = bench(api);
    closePinLedger(phys);
    const pages = new Uint32Array(1);
    openPinLedger(phys, () => 0);
    const { pinLedger } = phys;
    phys.pinLedger = null;
    expect(api.pinUserPagesFast(process.mm, address, 1, FOLL_WRITE, pages)).toBe(1);
    phys.pinLedger = pinLedger;
    expect(thrown(() => api.checkMachine(machine))).toBe('PIN_LEDGER');
  });

  it('off: requests have no scope', () => {
    const { machine, process, address, phys, disk } = bench(api);
    closePinLedger(phys);
    const io = api.submitDirectRead(machine, process, disk, 0, address, PAGE);
    expect([io.scope, formatPinReport(pinReport(phys))]).toEqual([null, 'no pins\n']);
    expect(api.finishDirectIo(io).result).toBe(PAGE);
  });
});
