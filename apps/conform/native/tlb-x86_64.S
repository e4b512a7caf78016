/*
 * x86-64: boot from a floppy, which every PC has (7c00: the boot sector, behind it the program), into long mode; and
 * the accesses, with the page fault they may end in. Linked at 0x7c00, run where it was loaded; RAM below 1 GiB is
 * mapped to itself by 2 MiB leaves.
 */
#define SECTORS 64

  .text
  .code16
  .globl _start
_start:
  cli
  xor %ax, %ax
  mov %ax, %ss
  mov $0x7c00, %sp
  mov %ax, %ds
  mov %dl, drive
  mov $(0x7e00 >> 4), %bx
  mov %bx, %es
  mov $1, %si /* the sector after ours */
next_sector:
  /* cylinder, head and sector of si: 18 sectors, 2 heads */
  mov %si, %ax
  mov $18, %cl
  div %cl
  mov %ah, %cl
  inc %cl
  mov %al, %ch
  mov %al, %dh
  and $1, %dh
  shr $1, %ch
  mov drive, %dl
  mov $0x0201, %ax
  xor %bx, %bx
  int $0x13
  jc next_sector
  mov %es, %ax
  add $0x20, %ax
  mov %ax, %es
  inc %si
  cmp $(SECTORS + 1), %si
  jne next_sector

  cli
  in $0x92, %al /* A20 */
  or $2, %al
  and $0xfe, %al
  out %al, $0x92
  lgdt gdt_pointer
  mov %cr0, %eax
  or $1, %al
  mov %eax, %cr0
  ljmpl $0x18, $protected
drive:
  .byte 0
  .balign 8
gdt:
  .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0x00cf9a000000ffff
gdt_pointer:
  .word 31
  .long gdt
  .org 510
  .word 0xaa55

  .code32
protected:
  mov $0x10, %ax
  mov %ax, %ds
  mov %ax, %es
  mov %ax, %ss
  mov $__bss_start, %edi
  mov $_end, %ecx
  sub %edi, %ecx
  xor %eax, %eax
  rep stosb
  mov $identity_pd, %edi
  mov $0x83, %eax
  mov $512, %ecx
1:
  mov %eax, (%edi)
  add $0x200000, %eax
  add $8, %edi
  loop 1b
  movl $identity_pd + 3, identity_pdpt
  movl $identity_pdpt + 3, boot_pml4
  mov $boot_pml4, %eax
  mov %eax, %cr3
  mov $0x20, %eax /* PAE */
  mov %eax, %cr4
  mov $0xc0000080, %ecx
  rdmsr
  or $0x100, %eax /* EFER.LME */
  wrmsr
  mov $0x80010031, %eax /* PG, WP, NE, ET, PE */
  mov %eax, %cr0
  ljmp $8, $long_mode

  .code64
long_mode:
  mov $0x10, %ax
  mov %ax, %ds
  mov %ax, %es
  mov %ax, %ss
  mov $stack_end, %esp
  call run_all
stop:
  mov $0x8900, %dx /* Bochs */
  mov $shutdown, %esi
  mov $8, %ecx
  rep outsb
  mov $0x501, %dx /* QEMU: isa-debug-exit */
  xor %eax, %eax
  out %eax, %dx
  hlt
  jmp stop
shutdown:
  .ascii "Shutdown"

/* u64 try_read(u64 va): the word there, or 0 after a page fault. */
  .globl try_read
try_read:
  xor %eax, %eax
  lea 1f(%rip), %rcx
  mov (%rdi), %rax
1:
  ret

/* u64 try_write(u64 va, u64 value): 1, or 0 after a page fault. */
  .globl try_write
try_write:
  xor %eax, %eax
  lea 1f(%rip), %rcx
  mov %rsi, (%rdi)
  mov $1, %eax
1:
  ret

/* Goes on at rcx. */
  .globl page_fault
page_fault:
  add $8, %rsp
  mov %rcx, (%rsp)
  iretq

  .bss
  .balign 4096
identity_pd:
  .skip 4096
  .globl identity_pdpt
identity_pdpt:
  .skip 4096
boot_pml4:
  .skip 4096
stack:
  .skip 16384
stack_end:

  .section .note.GNU-stack, "", @progbits
