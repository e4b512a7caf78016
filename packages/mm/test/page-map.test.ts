/** Random calls of the whole family, files and forks included, against the plainest model there is: what each page is. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EFAULT, EINVAL, ENOMEM, FOLL_WRITE } from '@mmkit/base';
import { fileRmap, Mm, vmaInode } from '@mmkit/aspace';
import { createInode, Inode, OpenFile } from '@mmkit/filemap';
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_LOCKED,
  MAP_PRIVATE,
  MAP_SHARED,
  MLOCK_ONFAULT,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '@mmkit/mm';
import { readBytes, writeBytes } from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import { checkVmaTree, VM_ACCESS_FLAGS, VM_LOCKED, VM_LOCKONFAULT, VM_SHARED, vmaLookup, vmasIn } from '@mmkit/vma';
import { BASE, builds, framesUsed, PAGE, pfnAt, setUp } from './builds.ts';

const PAGES = 16;
const RW = PROT_READ | PROT_WRITE;

/** One page that is mapped. `store`: what a file or shared memory holds by index; `own`: the private value, once written. */
interface Page {
  readonly shared: boolean;
  readonly store: Map<number, number> | null;
  readonly index: number;
  prot: number;
  lock: 'no' | 'yes' | 'onfault';
  own: number | null;
}
type Space = (Page | null)[];

const call = fc.record({
  what: fc.constantFrom('map', 'map', 'unmap', 'protect', 'lock', 'unlock', 'drop', 'write', 'write', 'fork'),
  at: fc.nat(PAGES - 1),
  count: fc.integer({ min: 1, max: 7 }),
  kind: fc.constantFrom('private', 'private', 'shared', 'file', 'file shared'),
  prot: fc.constantFrom(RW, RW, RW, PROT_READ, PROT_NONE, RW | PROT_EXEC),
  flag: fc.boolean(),
  value: fc.integer({ min: 1, max: 250 }),
  who: fc.nat(3),
});

const valueOf = (page: Page): number => page.own ?? page.store?.get(page.index) ?? 0;

describe.each(builds)('%s build', (_name, api) => {
  /** The value a process sees at a page, or a negative errno. */
  function load(mm: Mm, page: number): number {
    const pages = new Uint32Array(1);
    const got = api.getUserPagesUnlocked(mm, BASE + page * PAGE, 1, pages, 0);
    if (got < 0) return got;
    const byte = new Uint8Array(1);
    readBytes(mm.memory.phys, pages[0]!, 0, byte, 0, 1);
    api.putUserPages(mm.memory, pages, 1);
    return byte[0]!;
  }
  function store(mm: Mm, page: number, value: number): number {
    const pages = new Uint32Array(1);
    const got = api.getUserPagesUnlocked(mm, BASE + page * PAGE, 1, pages, FOLL_WRITE);
    if (got < 0) return got;
    writeBytes(mm.memory.phys, pages[0]!, 0, Uint8Array.of(value), 0, 1);
    api.putUserPages(mm.memory, pages, 1);
    return 0;
  }

  /** Every page is what the model says, and what is counted agrees with what is there. */
  function check(all: [Mm, Space][], inode: Inode): void {
    const linked = new Set<unknown>();
    for (const [mm, model] of all) {
      checkVmaTree(mm.vmas);
      expect(isLocked(mm.mmapLock)).toBe(false);
      const seen = model.map((_, page) => {
        const vma = vmaLookup(mm.vmas, BASE + page * PAGE);
        if (vma === null) return null;
        return `${vma.flags & VM_ACCESS_FLAGS} ${(vma.flags & VM_SHARED) !== 0} ${vma.flags & (VM_LOCKED | VM_LOCKONFAULT)}`;
      });
      const locks = { no: 0, yes: VM_LOCKED, onfault: VM_LOCKED | VM_LOCKONFAULT };
      expect(seen).toEqual(model.map((page) => page && `${page.prot} ${page.shared} ${locks[page.lock]}`));
      expect(mm.lockedVm).toBe(model.filter((page) => page !== null && page.lock !== 'no').length);
      for (const vma of vmasIn(mm.vmas, 0, mm.memory.format.taskSize)) if (vmaInode(vma) === inode) linked.add(vma);
    }
    expect(linked).toEqual(inode.iMmap);
    expect(isLocked(inode.iMmapLock)).toBe(false);
  }

  it('property: mmap, munmap, mprotect, mlock, madvise, stores and fork do to each page what they should', () => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 40 }), (calls) => {
        const first = setUp(api, 1024);
        first.capIpcLock = true;
        const inode = createInode(first.memory.files, null, fileRmap(first.memory));
        inode.size = 4 * PAGES * PAGE;
        const file = new OpenFile(inode, true, true);
        const cached = new Map<number, number>();
        const all: [Mm, Space][] = [[first, new Array<Page | null>(PAGES).fill(null)]];
        for (const { what, at, count, kind, prot, flag, value, who } of calls) {
          const [mm, model] = all[who % all.length]!;
          const last = Math.min(at + count, PAGES);
          const [address, length] = [BASE + at * PAGE, (last - at) * PAGE];
          const hole = model.slice(at, last).indexOf(null);
          const reached = hole < 0 ? last : at + hole;
          if (what === 'map') {
            const shared = kind.endsWith('shared');
            const onFile = kind.startsWith('file');
            const region = onFile ? cached : shared ? new Map<number, number>() : null;
            const flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED | (flag ? 0 : MAP_LOCKED);
            const result = onFile
              ? api.mmap(mm, address, length, prot, flags, file, at * PAGE)
              : api.mmap(mm, address, length, prot, flags | MAP_ANONYMOUS);
            expect(result).toBe(address);
            for (let page = at; page < last; page++) {
              const index = onFile ? page : page - at;
              model[page] = { shared, store: region, index, prot, lock: flag ? 'no' : 'yes', own: null };
            }
          } else if (what === 'unmap') {
            expect(api.munmap(mm, address, length)).toBe(0);
            model.fill(null, at, last);
          } else if (what === 'protect') {
            expect(api.mprotect(mm, address, length, prot)).toBe(hole < 0 ? 0 : -ENOMEM);
            for (let page = at; page < reached; page++) model[page]!.prot = prot;
          } else if (what === 'lock') {
            for (let page = at; page < reached; page++) model[page]!.lock = flag ? 'onfault' : 'yes';
            const barred = !flag && model.slice(at, last).some((page) => page !== null && page.prot === PROT_NONE);
            const result = api.mlock2(mm, address, length, flag ? MLOCK_ONFAULT : 0);
            expect(result).toBe(hole >= 0 || barred ? -ENOMEM : 0);
          } else if (what === 'unlock') {
            expect(api.munlock(mm, address, length)).toBe(hole < 0 ? 0 : -ENOMEM);
            for (let page = at; page < reached; page++) model[page]!.lock = 'no';
          } else if (what === 'drop') {
            const stuck = model.findIndex((page, i) => i >= at && i < last && page !== null && page.lock !== 'no');
            const result = api.madvise(mm, address, length, MADV_DONTNEED);
            expect(result).toBe(stuck >= 0 ? -EINVAL : hole >= 0 ? -ENOMEM : 0);
            for (let i = at; i < (stuck >= 0 ? stuck : last); i++) if (model[i] !== null) model[i]!.own = null;
          } else if (what === 'write') {
            for (let i = at; i < last; i++) {
              const page = model[i]!;
              const allowed = page !== null && (page.prot & PROT_WRITE) !== 0;
              expect(store(mm, i, value)).toBe(allowed ? 0 : -EFAULT);
              if (!allowed) continue;
              if (page.shared) page.store!.set(page.index, value);
              else page.own = value;
            }
          } else if (all.length < 4) {
            all.push([api.dupMm(mm).mm!, model.map((page) => page && { ...page, lock: 'no' })]);
            all.at(-1)![0].capIpcLock = true;
          }
          check(all, inode);
        }
        for (const [mm, model] of all) {
          model.forEach((page, i) => {
            const readable = page !== null && (page.prot & PROT_READ) !== 0;
            expect(load(mm, i)).toBe(readable ? valueOf(page) : -EFAULT);
            // What was locked is there, or could not be.
            if (page !== null && page.lock === 'yes' && readable) expect(pfnAt(mm, BASE + i * PAGE)).toBeGreaterThan(0);
          });
        }
        for (const [mm] of all) api.exitMm(mm);
        expect([inode.iMmap.size, inode.mmapWritable, framesUsed(first)]).toEqual([0, 0, inode.pages.size]);
      }),
      { numRuns: 120 },
    );
  });
});
