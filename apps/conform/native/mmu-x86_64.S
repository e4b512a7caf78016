/*
 * x86-64: boot by multiboot (32-bit, paging off) into long mode with 4 or 5 levels as the input's third word says; the
 * stubs that access the probed address; and the exceptions all of them end in.
 * Linked at its physical address, and run at the same offset of the monitor's mapping: nothing here is absolute after
 * the jump there.
 */
#define MONITOR 0xfffffe0000000000
#define INPUT_FLAGS (0x8000000 + 16)

/* Multiboot 1: magic; flags: the addresses below are valid; checksum; header, load start, load end, bss end, entry. */
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0x10000

  .text
  .code32
  .globl _start
  .balign 4
header:
  .long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)
  .long header, header, 0, 0, _start

_start:
  cli
  /* CR4: PAE, and LA57 where it is asked for. CR3: the root for that many levels. */
  mov $0x20, %eax
  mov $monitor_pml4, %ebx
  testl $1, INPUT_FLAGS
  jz 1f
  or $0x1000, %eax
  mov $monitor_pml5, %ebx
1:
  mov %eax, %cr4
  mov %ebx, %cr3
  mov $0xc0000080, %ecx
  rdmsr
  or $0x100, %eax /* EFER.LME */
  wrmsr
  mov $0x80000031, %eax /* PG, NE, ET, PE */
  mov %eax, %cr0
  lgdt gdt_pointer32
  ljmp $8, $long_mode

  .code64
long_mode:
  movabs $MONITOR, %r15
  lea 1f(%rip), %rax
  add %r15, %rax
  jmp *%rax
1:
  mov $0x10, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  lea stack_end(%rip), %rsp

  /* GDT and TSS by their addresses here. */
  lea gdt(%rip), %rax
  mov %rax, gdt_pointer + 2(%rip)
  lgdt gdt_pointer(%rip)
  lea trap_stack_end(%rip), %rax
  mov %rax, tss + 4(%rip)  /* RSP0 */
  mov %rax, tss + 36(%rip) /* IST1 */
  lea tss(%rip), %rax
  mov %ax, gdt_tss + 2(%rip)
  shr $16, %rax
  mov %al, gdt_tss + 4(%rip)
  mov %ah, gdt_tss + 7(%rip)
  shr $16, %rax
  mov %eax, gdt_tss + 8(%rip)
  mov $0x28, %eax
  ltr %ax

  /* IDT: 32 interrupt gates on IST1, open to user mode (the stubs end in int3). */
  lea idt(%rip), %rdi
  lea vectors(%rip), %rax
  mov $32, %ecx
2:
  mov %ax, (%rdi)
  movw $8, 2(%rdi)
  movw $0xee01, 4(%rdi)
  mov %rax, %rdx
  shr $16, %rdx
  mov %dx, 6(%rdi)
  shr $16, %rdx
  mov %edx, 8(%rdi)
  movl $0, 12(%rdi)
  add $16, %rdi
  add $16, %rax
  loop 2b
  lea idt(%rip), %rax
  mov %rax, idt_pointer + 2(%rip)
  lidt idt_pointer(%rip)
  call monitor

/* void run(rip, cs, ss, rflags, va): returns from the next exception. */
  .globl run
run:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, saved_rsp(%rip)
  mov %rsp, %rax
  push %rdx
  push %rax
  push %rcx
  push %rsi
  push %rdi
  mov %r8, %rbx
  mov $0x5a, %ecx
  movabs $0x8badf00d8badf00d, %rax /* not canonical: nothing is written through it by chance */
  iretq

/* The accesses: rbx is the address, nothing else in memory is touched. */
  .balign 16
  .globl stub_read, stub_read_end, stub_write, stub_write_end, stub_identify, stub_identify_end
stub_read:
  mov (%rbx), %al
  int3
stub_read_end:
stub_write:
  mov %cl, (%rbx)
  int3
stub_write_end:
stub_identify:
  mov (%rbx), %eax
  int3
stub_identify_end:

/* Entry of each vector, 16 bytes apart; those without an error code push a zero. */
  .balign 16
vectors:
  .set v, 0
  .rept 32
  .balign 16
  .if !((v == 8) || ((v >= 10) && (v <= 14)) || (v == 17) || (v == 21))
  push $0
  .endif
  push $v
  jmp trapped
  .set v, v + 1
  .endr

trapped:
  pop trap(%rip)
  pop trap + 8(%rip)
  pop trap + 24(%rip) /* rip */
  mov %rax, trap + 32(%rip)
  mov %cr2, %rax
  mov %rax, trap + 16(%rip)
  mov saved_rsp(%rip), %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret

  .data
  .balign 4096
/* The boot root maps RAM at 0 as well, for the step into long mode. Flags 0x27: P, RW, US, A. */
  .globl monitor_pml5, monitor_pml4, monitor_pdpt
monitor_pml5:
  .quad monitor_pml4 + 0x27
  .fill 510, 8, 0
  .quad monitor_pml4 + 0x27
monitor_pml4:
  .quad monitor_pdpt + 0x27
  .fill 507, 8, 0
  .quad monitor_pdpt + 0x27
  .fill 3, 8, 0
/* 0 and 1: RAM for the supervisor (P, RW, A, D, PS). 4: the first GiB for user mode, read-only (P, US, A, PS). */
monitor_pdpt:
  .quad 0x000000e3, 0x400000e3, 0, 0, 0x000000a5
  .fill 507, 8, 0

  .balign 16
/* Null, kernel code, kernel data, user data, user code, TSS; accessed bits set. */
gdt:
  .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff
gdt_tss:
  .quad 0x0000890000000067, 0
gdt_end:
gdt_pointer32:
  .word gdt_end - gdt - 1
  .long gdt
gdt_pointer:
  .word gdt_end - gdt - 1
  .quad 0
idt_pointer:
  .word 32 * 16 - 1
  .quad 0
  .balign 16
tss:
  .fill 104, 1, 0
saved_rsp:
  .quad 0
  .globl trap
trap:
  .fill 5, 8, 0
idt:
  .fill 512, 1, 0
  .fill 16384, 1, 0
stack_end:
  .fill 4096, 1, 0
trap_stack_end:
