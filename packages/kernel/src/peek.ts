/** Looking into a process from outside: no TLB, no fault, no lock. Shared by both builds. */
import { checkAddress, checkInteger, EFAULT } from '@mmkit/base';
import { MM_ROOT } from '@mmkit/aspace';
import {
  ACCESS_READ,
  ACCESS_USER,
  createCursor,
  createDecoded,
  createEntry,
  createTranslation,
  E_USER,
  ENTRY_LEAF,
  findEntry,
  hwWalk,
  readEntry,
} from '@mmkit/pgtable';
import { readBytes } from '@mmkit/phys';
import type { Machine } from './machine.ts';
import { checkAlive, Process } from './process.ts';

/**
 * The frame that user code of the process would read at `address`, by the leaf entry alone; -EFAULT when it would
 * fault. Changes nothing, not even an accessed bit.
 */
export function translate(machine: Machine, process: Process, address: number): number {
  checkAlive(process);
  checkAddress('address', address);
  const { tables, format, phys } = machine.memory;
  if (address >= format.userEnd) return -EFAULT;
  const at = createCursor(address, address);
  findEntry(tables, process.mm.words[MM_ROOT]!, address, at);
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(tables, at.table, at.index, entry);
  format.hardware(entry.lo, entry.hi, at.level, decoded);
  if (decoded.kind !== ENTRY_LEAF || (decoded.flags & E_USER) === 0) return -EFAULT;
  return decoded.pfn + Math.floor((address - at.address) / phys.pageSize);
}

/**
 * Reads up to `length` bytes at `address` into `into[at…]` by the hardware's page walk, which sets accessed bits as any
 * read does. Returns how many: fewer at the first page that would fault.
 */
export function peekBytes(
  machine: Machine,
  process: Process,
  address: number,
  into: Uint8Array,
  at: number,
  length: number,
): number {
  checkAlive(process);
  checkAddress('address', address);
  checkInteger('length', length, 0, into.length);
  checkInteger('at', at, 0, into.length - length);
  const { tables, phys } = machine.memory;
  const root = process.mm.words[MM_ROOT]!;
  const translation = createTranslation();
  let done = 0;
  while (done < length) {
    const here = address + done;
    if (hwWalk(tables, root, here, ACCESS_READ | ACCESS_USER, translation) !== 0) break;
    const inPage = here % phys.pageSize;
    const part = Math.min(phys.pageSize - inPage, length - done);
    readBytes(phys, translation.pfn, inPage, into, at + done, part);
    done += part;
  }
  return done;
}
