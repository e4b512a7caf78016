/** What /proc/PID/maps and smaps say, compared with lines that Linux 6.18.44 wrote. */
import { describe, expect, it } from 'vitest';
import * as vm from '../src/index.ts';
import { Vma, createVmaTree, formatVmaFlags, insertVma, mapsLine, mapsText, vmFlagLetters } from '../src/index.ts';
import { vmFlagsLine } from '../src/index.ts';

const PAGE = 4096;
const MAY = vm.VM_MAYREAD | vm.VM_MAYWRITE | vm.VM_MAYEXEC;
const RW = vm.VM_READ | vm.VM_WRITE | MAY;

describe('/proc/PID/maps', () => {
  it('the permission column; s is VM_MAYSHARE', () => {
    expect(formatVmaFlags(vm.VM_READ | vm.VM_WRITE | vm.VM_MAYWRITE)).toBe('rw-p');
    expect(formatVmaFlags(vm.VM_READ | vm.VM_EXEC)).toBe('r-xp');
    expect(formatVmaFlags(vm.VM_READ | vm.VM_MAYSHARE)).toBe('r--s');
    expect(formatVmaFlags(0)).toBe('---p');
  });

  it('6.18: a line without a name ends in a space; its offset is 0 whatever pgoff is', () => {
    const vma = new Vma(0x7f20a726d000, 0x7f20a726f000, RW, 0x7f20a726d);
    expect(mapsLine(vma, PAGE, null)).toBe('7f20a726d000-7f20a726f000 rw-p 00000000 00:00 0 \n');
    expect(mapsLine(vma, PAGE, { name: '' })).toBe('7f20a726d000-7f20a726f000 rw-p 00000000 00:00 0 \n');
  });

  it('6.18: names begin at column 73', () => {
    const text = new Vma(0x560c53b53000, 0x560c53b59000, vm.VM_READ | vm.VM_EXEC | MAY, 2, {});
    expect(mapsLine(text, PAGE, { major: 0xfe, inode: 260386, name: '/usr/bin/head' })).toBe(
      '560c53b53000-560c53b59000 r-xp 00002000 fe:00 260386                     /usr/bin/head\n',
    );
    const stack = new Vma(0x7ffe1a84c000, 0x7ffe1a86d000, RW | vm.VM_GROWSDOWN, 0x7ffffffde);
    expect(mapsLine(stack, PAGE, { name: '[stack]' })).toBe(
      '7ffe1a84c000-7ffe1a86d000 rw-p 00000000 00:00 0                          [stack]\n',
    );
  });

  it('6.18: addresses have at least eight digits; a newline in a path is \\012, nothing else is changed', () => {
    const vma = new Vma(0x20000, 0x21000, vm.VM_READ | MAY, 3, {});
    expect(mapsLine(vma, PAGE, { minor: 1, inode: 8369, name: '/memfd:a b\nc\\d (deleted)' })).toBe(
      '00020000-00021000 r--p 00003000 00:01 8369                               /memfd:a b\\012c\\d (deleted)\n',
    );
  });

  it('a line too long to be padded still has a space before the name', () => {
    const vma = new Vma(0x7f0000000000, 0x7f0000001000, vm.VM_READ, 0xfffffffffff, {});
    const line = mapsLine(vma, PAGE, { inode: 2 ** 52, major: 0xabcde, minor: 0x12345, name: '/f' });
    expect(line).toBe('7f0000000000-7f0000001000 r--p fffffffffff000 abcde:12345 4503599627370496  /f\n');
  });

  it('the whole text: lines in the order of addresses, with the names asked for', () => {
    const tree = createVmaTree();
    const file = {};
    insertVma(tree, new Vma(0x30000, 0x31000, RW, 0x30));
    insertVma(tree, new Vma(0x10000, 0x12000, vm.VM_READ | MAY, 1, file));
    expect(mapsText(tree, (vma) => (vma.file === file ? { inode: 7, name: '/f' } : null))).toBe(
      '00010000-00012000 r--p 00001000 00:00 7                                  /f\n' +
        '00030000-00031000 rw-p 00000000 00:00 0 \n',
    );
    expect(mapsText(createVmaTree(), () => null)).toBe('');
  });
});

describe('VmFlags of smaps', () => {
  it('6.18: letters by bit, a space after each', () => {
    const flags =
      RW |
      vm.VM_GROWSDOWN |
      vm.VM_MAYBE_GUARD |
      vm.VM_LOCKED_MASK |
      vm.VM_SEQ_READ |
      vm.VM_DONTCOPY |
      vm.VM_NORESERVE |
      vm.VM_WIPEONFORK |
      vm.VM_DONTDUMP |
      vm.VM_HUGEPAGE |
      vm.VM_MERGEABLE;
    expect(vmFlagsLine({ flags, flagsHigh: vm.VM_SEALED })).toBe(
      'VmFlags: rd wr mr mw me gd gu lo sr dc lf nr wf dd hg mg sl \n',
    );
    const droppable = RW | vm.VM_NORESERVE | vm.VM_WIPEONFORK | vm.VM_DONTDUMP;
    expect(vmFlagsLine({ flags: droppable, flagsHigh: vm.VM_DROPPABLE | vm.VM_SEALED })).toBe(
      'VmFlags: rd wr mr mw me nr wf dd dp sl \n',
    );
    const shared = RW | vm.VM_SHARED | vm.VM_MAYSHARE;
    expect(vmFlagsLine({ flags: shared, flagsHigh: 0 })).toBe('VmFlags: rd wr sh mr mw me ms \n');
    const vdso = vm.VM_READ | vm.VM_EXEC | MAY | vm.VM_DONTEXPAND;
    expect(vmFlagsLine({ flags: vdso, flagsHigh: 0 })).toBe('VmFlags: rd ex mr mw me de \n');
    expect(vmFlagsLine({ flags: 0, flagsHigh: 0 })).toBe('VmFlags: \n');
  });

  it('every flag has its letters, each its own', () => {
    const low = vmFlagLetters({ flags: -1, flagsHigh: 0 });
    expect(low.join(' ')).toBe(
      'rd wr ex sh mr mw me ms gd um pf gu uw lo io sr rr dc de lf ac nr ht sf ar wf dd sd mm hg nh mg',
    );
    const high = vm.VM_SHADOW_STACK | vm.VM_UFFD_MINOR | vm.VM_DROPPABLE | vm.VM_SEALED;
    expect(vmFlagLetters({ flags: 0, flagsHigh: high })).toEqual(['ss', 'ui', 'dp', 'sl']);
  });

  it('protection keys are not among them; a bit without letters is ??', () => {
    expect(vmFlagLetters({ flags: 0, flagsHigh: vm.VM_PKEY_MASK })).toEqual([]);
    expect(vmFlagLetters({ flags: 0, flagsHigh: vm.VM_ALLOW_ANY_UNCACHED | (1 << 20) })).toEqual(['??', '??']);
  });

  it('arm64: bits 24, 36 and 37 are its own', () => {
    const flagsHigh = vm.VM_MTE | vm.VM_MTE_ALLOWED;
    expect(vmFlagLetters({ flags: vm.VM_ARCH_1, flagsHigh }, 'arm64')).toEqual(['bt', 'mt']);
    expect(vmFlagsLine({ flags: vm.VM_ARCH_1, flagsHigh: 0 }, 'arm64')).toBe('VmFlags: bt \n');
  });
});
