/** Steps that move bytes: the process's own, through pins and pipes, of other processes, direct I/O. */
import { EFAULT, errnoName, FOLL_LONGTERM, FOLL_WRITE } from '@mmkit/base';
import { filemapRead, filemapWrite } from '@mmkit/filemap';
import { pinUserPages, pinUserPagesFast, unpinUserPages } from '@mmkit/gup';
import { mmapReadLock, mmapReadUnlock } from '@mmkit/aspace';
import {
  createIoUring,
  createPipe,
  directReadFile,
  directWriteFile,
  fixedBufferRead,
  fixedBufferWrite,
  fsync,
  load,
  pipeRead,
  processVmReadv,
  processVmWritev,
  procMemRead,
  procMemWrite,
  registerBuffers,
  SIGBUS,
  store,
  unregisterBuffers,
  vmsplice,
} from '@mmkit/kernel';
import { readBytes } from '@mmkit/phys';
import type { Step } from './parse.ts';
import {
  Actor,
  actorAt,
  actorOf,
  addressAt,
  BadStep,
  CaseWorld,
  createOnDisk,
  integerAt,
  NotBuilt,
  okText,
  PAGE,
  regionAt,
} from './world.ts';

/** Kinds of file systems that direct I/O is asked of. */
const DISKS: readonly string[] = Object.freeze(['w', 'ext4', 'xfs', 'btrfs']);

/** The signal that ended an access, or 'ok'. */
function accessText(actor: Actor, error: number): string {
  if (error === 0) return 'ok';
  const signal = actor.process.exitSignal;
  if (signal === null) return errnoName(error);
  return signal.signal === SIGBUS ? 'SIGBUS' : 'SIGSEGV';
}

/** r R off, rf R off, w R off v, wf R off v */
export function byteStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const { machine } = world;
  const address = addressAt(actor, step, 0);
  const task = machine.sched.current;
  const before = task.min_flt;
  const byte = new Uint8Array(1);
  let text: string;
  if (step.verb.startsWith('r')) {
    text = accessText(actor, load(machine, actor.process, address, byte, 0, 1));
    if (text === 'ok') text = String(byte[0]);
  } else {
    byte[0] = integerAt(step, 2);
    text = accessText(actor, store(machine, actor.process, address, byte, 0, 1));
  }
  return step.verb.endsWith('f') ? `${text} faults=${task.min_flt - before}` : text;
}

/** fill R v: the first byte of each page. */
export function fillStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const { start, pages } = regionAt(actor, step, 0);
  const byte = Uint8Array.of(integerAt(step, 1));
  for (let page = 0; page < pages; page++) {
    const text = accessText(actor, store(world.machine, actor.process, start + page * PAGE, byte, 0, 1));
    if (text !== 'ok') return text;
  }
  return 'ok';
}

/** pin H R off n, unpin H, pin-read H off, pin-write H off v */
export function pinStep(world: CaseWorld, step: Step): string {
  const name = step.args[0] ?? '';
  if (step.verb === 'pin') {
    const actor = actorOf(world, step);
    const ring = createIoUring(world.machine);
    const part = { address: addressAt(actor, step, 1), length: integerAt(step, 3) * PAGE };
    const error = registerBuffers(ring, actor.process, [part]);
    if (error === 0) world.rings.set(name, ring);
    return okText(error);
  }
  const ring = world.rings.get(name);
  if (ring === undefined) return `nohandle:${name}`;
  if (step.verb === 'unpin') {
    world.rings.delete(name);
    return okText(unregisterBuffers(ring));
  }
  const offset = integerAt(step, 1) * PAGE;
  if (step.verb === 'pin-write')
    return okText(fixedBufferWrite(ring, 0, offset, Uint8Array.of(integerAt(step, 2)), 0, 1));
  const byte = new Uint8Array(1);
  const error = fixedBufferRead(ring, 0, offset, byte, 0, 1);
  return error === 0 ? String(byte[0]) : errnoName(error);
}

/** gpin H R off n ro|rw [fast], gpin-read H off, gunpin H */
export function testPinStep(world: CaseWorld, step: Step): string {
  const name = step.args[0] ?? '';
  const { machine } = world;
  if (step.verb === 'gpin') {
    const actor = actorOf(world, step);
    const { mm } = actor.process;
    const address = addressAt(actor, step, 1);
    const pfns = new Uint32Array(integerAt(step, 3));
    const flags = step.args[4] === 'rw' ? FOLL_LONGTERM | FOLL_WRITE : FOLL_LONGTERM;
    let got: number;
    if (step.args.includes('fast')) got = pinUserPagesFast(mm, address, pfns.length, flags, pfns);
    else {
      mmapReadLock(mm);
      got = pinUserPages(mm, address, pfns.length, flags, pfns);
      mmapReadUnlock(mm);
    }
    if (got === pfns.length) world.testPins.set(name, { pfns });
    else if (got > 0) unpinUserPages(machine.memory, pfns, got);
    return got === pfns.length ? 'ok' : errnoName(got < 0 ? got : -EFAULT);
  }
  const pin = world.testPins.get(name);
  if (pin === undefined) return `nohandle:${name}`;
  if (step.verb === 'gpin-read') {
    const byte = new Uint8Array(1);
    readBytes(machine.memory.phys, pin.pfns[integerAt(step, 1)]!, 0, byte, 0, 1);
    return String(byte[0]);
  }
  world.testPins.delete(name);
  unpinUserPages(machine.memory, pin.pfns, pin.pfns.length);
  return 'ok';
}

/** vmsplice H R off n, pipe-read H */
export function pipeStep(world: CaseWorld, step: Step): string {
  const name = step.args[0] ?? '';
  if (step.verb === 'vmsplice') {
    const actor = actorOf(world, step);
    const pipe = createPipe(world.machine, 64);
    const got = vmsplice(pipe, actor.process, addressAt(actor, step, 1), integerAt(step, 3) * PAGE);
    if (got < 0) return errnoName(got);
    world.pipes.set(name, pipe);
    return `${got / PAGE}pages`;
  }
  const pipe = world.pipes.get(name);
  if (pipe === undefined) return `nohandle:${name}`;
  const page = new Uint8Array(PAGE);
  const got = pipeRead(pipe, page, 0, PAGE);
  return got < 0 ? errnoName(got) : String(page[0]);
}

/** memr, memw, peek, poke, pvr, pvw: pN R off [v] */
export function remoteStep(world: CaseWorld, step: Step): string {
  const [, number = ''] = /^p(\d+)$/.exec(step.args[0] ?? '') ?? [];
  if (number === '') throw new BadStep(`no process ${step.args[0] ?? 'named'}`);
  const { process, regions } = actorAt(world, Number(number));
  const region = regions.get(step.args[1] ?? '');
  if (region === undefined) throw new BadStep(`no region ${step.args[1] ?? 'named'}`);
  const address = region.start + integerAt(step, 2) * PAGE;
  const write = ['memw', 'poke', 'pvw'].includes(step.verb);
  const force = !step.verb.startsWith('pv');
  const byte = Uint8Array.of(write ? integerAt(step, 3) : 0);
  const read = force ? procMemRead : processVmReadv;
  const wrote = force ? procMemWrite : processVmWritev;
  const done = (write ? wrote : read)(world.machine, process, address, byte, 0, 1);
  if (done < 0) return errnoName(done);
  return write ? 'ok' : String(byte[0]);
}

/** dio-read FS R off v, dio-write FS R off: a page of a file opened with O_DIRECT. */
export function directStep(world: CaseWorld, step: Step): string {
  if (!DISKS.includes(step.args[0] ?? '')) throw new NotBuilt(`O_DIRECT on ${step.args[0] ?? 'nothing'}`);
  const actor = actorOf(world, step);
  const address = addressAt(actor, step, 1);
  const file = createOnDisk(world, PAGE);
  const { machine } = world;
  if (step.verb === 'dio-read') {
    filemapWrite(file.inode, 0, new Uint8Array(PAGE).fill(integerAt(step, 3)), 0, PAGE);
    fsync(file);
    const { result } = directReadFile(machine, actor.process, file, 0, address, PAGE);
    return result < 0 ? errnoName(result) : `${result}B`;
  }
  const { result } = directWriteFile(machine, actor.process, file, 0, address, PAGE);
  if (result < 0) return errnoName(result);
  const byte = new Uint8Array(1);
  filemapRead(file.inode, 0, byte, 0, 1);
  return `${result}B first=${byte[0]}`;
}
