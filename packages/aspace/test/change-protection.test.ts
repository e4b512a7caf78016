/** N.14, FACTS 10: what the entries of a VMA become when its rights change. */
import { describe, expect, it } from 'vitest';
import { MM_CPUMASK, MM_ROOT } from '@mmkit/aspace';
import type { Mm } from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import { createBlockDevice, createInode, createMemoryBackend, OpenFile } from '@mmkit/filemap';
import {
  ACCESS_READ,
  E_DIRTY,
  E_EXEC,
  E_PROTNONE,
  E_SPECIAL,
  E_UFFD_WP,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONPRESENT,
  hwWalk,
  createTranslation,
  tlbInsert,
  tlbLookup,
} from '@mmkit/pgtable';
import { clearFlag, PG_ANON_EXCLUSIVE } from '@mmkit/phys';
import { spawn, stepTask, TASK_DONE } from '@mmkit/task';
import { insertVma, Vma, VM_EXEC, VM_READ, VM_SHARED, VM_WRITE } from '@mmkit/vma';
import {
  addVma,
  AT,
  builds,
  entryAt,
  formats,
  machine,
  mapAnon,
  PAGE,
  RW,
  setLeaf,
  setRaw,
  space,
  swapEntry,
} from './builds.ts';

const RIGHTS = E_WRITE | E_USER | E_EXEC | E_PROTNONE;
const MARKS = E_YOUNG | E_DIRTY;

describe.each(builds)('%s: changeProtection', (_name, api) => {
  function protect(mm: Mm, vma: Vma, flags: number): void {
    vma.flags = flags;
    api.changeProtection(mm, vma, vma.start, vma.end);
  }
  const rights = (mm: Mm, page = 0): number => entryAt(mm, AT + page * PAGE).flags & RIGHTS;

  it('frame, accessed and dirty stay, whatever the rights are; each right comes from the VMA', () => {
    const mm = space(machine());
    const vma = addVma(mm, AT, 1, RW);
    const pfn = mapAnon(mm, vma, AT, E_USER | E_WRITE | E_DIRTY);
    for (const [flags, expected] of [
      [VM_READ, E_USER],
      [VM_READ | VM_EXEC, E_USER | E_EXEC],
      [0, E_PROTNONE],
      [VM_READ | VM_WRITE, E_USER | E_WRITE],
    ] as const) {
      protect(mm, vma, flags);
      const entry = entryAt(mm, AT);
      expect([entry.kind, entry.pfn, entry.flags & (RIGHTS | MARKS)]).toEqual([ENTRY_LEAF, pfn, expected | E_DIRTY]);
    }
  });

  it('FACTS 10, can_change_pte_writable: private is writable at once where the page is exclusive alone', () => {
    const mm = space(machine());
    const vma = addVma(mm, AT, 4, RW);
    const { phys } = mm.memory;
    mapAnon(mm, vma, AT);
    clearFlag(phys, mapAnon(mm, vma, AT + PAGE), PG_ANON_EXCLUSIVE);
    setLeaf(mm, AT + 2 * PAGE, phys.zeroPfn, E_USER | E_SPECIAL | E_YOUNG);
    const marked = mapAnon(mm, vma, AT + 3 * PAGE);
    setLeaf(mm, AT + 3 * PAGE, marked, E_USER | E_UFFD_WP);
    protect(mm, vma, VM_READ);
    protect(mm, vma, RW);
    expect([0, 1, 2, 3].map((page) => rights(mm, page) & E_WRITE)).toEqual([E_WRITE, 0, 0, 0]);
    expect(entryAt(mm, AT + 3 * PAGE).flags & E_UFFD_WP).toBe(E_UFFD_WP);
    expect(entryAt(mm, AT + 2 * PAGE).flags & E_SPECIAL).toBe(E_SPECIAL);
  });

  it('N.14: a shared page of shmem is writable at once; of a disk file only when it is dirty', () => {
    for (const onDisk of [false, true]) {
      const mm = space(machine());
      const { sched, phys, files } = mm.memory;
      const device = onDisk ? createBlockDevice(sched, phys, createMemoryBackend(new Uint8Array(PAGE))) : null;
      const file = new OpenFile(createInode(files, device, api.fileRmap(mm.memory)), true, true);
      const vma = new Vma(AT, AT + 2 * PAGE, RW | VM_SHARED, 0, file);
      insertVma(mm.vmas, vma);
      setLeaf(mm, AT, 7, E_USER | E_YOUNG);
      setLeaf(mm, AT + PAGE, 8, E_USER | E_YOUNG | E_DIRTY);
      protect(mm, vma, VM_READ | VM_SHARED);
      expect([rights(mm), rights(mm, 1)]).toEqual([E_USER, E_USER]);
      protect(mm, vma, RW | VM_SHARED);
      expect([rights(mm) & E_WRITE, rights(mm, 1) & E_WRITE]).toEqual([onDisk ? 0 : E_WRITE, E_WRITE]);
    }
  });

  it('what is no page stays to the bit: holes, swap entries, markers; and entries outside the range', () => {
    const mm = space(machine());
    const vma = addVma(mm, AT, 3, RW);
    setRaw(mm, AT, swapEntry(mm.memory.format, 5));
    mapAnon(mm, vma, AT + 2 * PAGE);
    vma.flags = VM_READ;
    api.changeProtection(mm, vma, AT, AT + 2 * PAGE);
    expect([entryAt(mm, AT).kind, entryAt(mm, AT).offset]).toEqual([ENTRY_NONPRESENT, 5]);
    expect([rights(mm, 1), rights(mm, 2) & E_WRITE]).toEqual([0, E_WRITE]);
  });

  it('translations of the range are gone from the TLB afterwards', () => {
    const mm = space(machine());
    const { memory } = mm;
    mm.words[MM_CPUMASK] = 1;
    const vma = addVma(mm, AT, 1, RW);
    const pfn = mapAnon(mm, vma, AT);
    const out = createTranslation();
    hwWalk(memory.tables, mm.words[MM_ROOT]!, AT, ACCESS_READ, out);
    tlbInsert(memory.tlbs[0]!, mm.words[MM_ROOT]!, AT, out);
    expect(tlbLookup(memory.tlbs[0]!, mm.words[MM_ROOT]!, AT, ACCESS_READ)).toBe(pfn);
    protect(mm, vma, VM_READ);
    expect(tlbLookup(memory.tlbs[0]!, mm.words[MM_ROOT]!, AT, ACCESS_READ)).toBe(-1);
  });
});

describe.each(formats)('%s: changeProtection beside the hardware', () => {
  it('N.14: a dirty mark set at any point of the change is kept', () => {
    for (let when = 0; ; when++) {
      const mm = space(machine());
      const vma = addVma(mm, AT, 1, RW);
      const pfn = mapAnon(mm, vma, AT, E_USER | E_WRITE);
      vma.flags = VM_READ;
      const task = spawn(mm.memory.sched, 'mprotect', coloured.changeProtection(mm, vma, AT, AT + PAGE));
      let steps = 0;
      while (task.state !== TASK_DONE) {
        if (steps++ === when && (entryAt(mm, AT).flags & E_WRITE) !== 0) {
          setLeaf(mm, AT, pfn, E_USER | E_WRITE | E_YOUNG | E_DIRTY);
          vma.pgoff = -1;
        }
        stepTask(mm.memory.sched, task);
      }
      const hit = vma.pgoff === -1;
      expect([entryAt(mm, AT).flags & E_DIRTY, rights(mm)]).toEqual([hit ? E_DIRTY : 0, E_USER]);
      if (!hit) break;
    }
  });

  const rights = (mm: Mm): number => entryAt(mm, AT).flags & RIGHTS;
});
