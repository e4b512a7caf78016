/*
 * x86-64: a guest to dump. Booted by multiboot, it turns on paging with the tables below, touches some of what they map,
 * and halts. The tables hold what a reader of dumps has to tell apart; record.ts
 * records what QEMU says of them. Linked at its physical address.
 */
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0x10000

#define P 0x1
#define RW 0x2
#define US 0x4
#define A 0x20
#define D 0x40
#define PS 0x80
#define G 0x100
#define SPECIAL 0x200
#define NX 0x8000000000000000
/* The pages that are mapped: zeroed RAM behind the program. */
#define PAGES 0x180000
#define RAM_END 0x200000

  .text
  .code32
  .globl _start
  .balign 4
header:
  .long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)
  .long header, header, 0, 0, _start

_start:
  cli
  /* What the firmware left behind the program. */
  xor %eax, %eax
  mov $_end, %edi
  mov $RAM_END, %ecx
  sub %edi, %ecx
  cld
  rep stosb
  mov $0x20, %eax /* CR4.PAE */
  mov %eax, %cr4
  mov $pml4, %eax
  mov %eax, %cr3
  mov $0xc0000080, %ecx
  rdmsr
  or $0x900, %eax /* EFER.LME, NXE */
  wrmsr
  mov $0x80010031, %eax /* PG, WP, NE, ET, PE */
  mov %eax, %cr0
  lgdt gdt_pointer
  ljmp $8, $long_mode

  .code64
long_mode:
  /* A read of a user page, a write to the next, and one of each through the upper half. */
  mov 0x400000, %rax
  movq $1, 0x401000
  movabs $0xffffffff80000000, %rbx
  mov (%rbx), %rax
  movabs $0xffff800000001000, %rbx
  movq $1, (%rbx)
1:
  hlt
  jmp 1b

  .balign 8
gdt:
  .quad 0
  .quad 0x00209a0000000000
gdt_pointer:
  .word . - gdt - 1
  .long gdt

  .data
  .balign 4096
pml4:
  .quad low_pdpt + (P | RW | US)
  .quad read_only_pdpt + (P | US) /* takes writes away from all below */
  .fill 254, 8, 0
  .quad high_pdpt + (P | RW)
  .fill 43, 8, 0
  .quad 0x7f000000 + (P | RW) /* 300: a table beyond RAM */
  .quad 0xf0000000 + (P | RW | PS) /* 301: reserved */
  .fill 208, 8, 0
  .quad pml4 + (P | RW) /* 510: itself */
  .quad kernel_pdpt + (P | RW)

low_pdpt:
  .quad low_pd + (P | RW | US)
  .quad 0x40000000 + (P | RW | PS | G | NX) /* 1 GiB, beyond RAM */
  .fill 510, 8, 0

low_pd:
  .quad 0 + (P | RW | PS) /* the program, where it runs */
  .quad 0
  .quad user_pt + (P | RW | US)
  .quad 0x200000 + (P | RW | US | PS | NX) /* begins where RAM ends */
  .fill 508, 8, 0

user_pt: /* 0x400000 */
  .quad PAGES + (P | US | NX)
  .quad PAGES + 0x1000 + (P | RW | US | NX)
  .quad PAGES + 0x2000 + (P | RW | US)
  .quad PAGES + 0x3000 + (P | RW | G | NX)
  .quad 0
  .quad PAGES + (P | US | NX | SPECIAL)
  .quad 0x123456789000 + (P | RW | US | NX) /* no memory there */
  .quad 0
  /* Not present, as Linux writes them: PROT_NONE (frames inverted), swap, migration, marker. */
  .quad (~PAGES & 0x000ffffffffff000) + (G | A)
  .quad (~(PAGES + 0x1000) & 0x000ffffffffff000) + 0x0400000000000000 + (G | A)
  .quad 0x1ffffffffdb97400 /* swap type 3, offset 0x12345 */
  .quad 0xd7fffffffffdfe00 /* migration for writing, frame 0x100 */
  .quad 0xfffffffffffffc00 /* marker: userfaultfd write-protected */
  .fill 499, 8, 0

read_only_pdpt:
  .quad read_only_pd + (P | RW | US)
  .fill 511, 8, 0

read_only_pd:
  .quad user_pt + (P | RW | US) /* the same pages, not writable */
  .fill 511, 8, 0

high_pdpt:
  .quad high_pd + (P | RW | NX) /* nothing below may be executed */
  .fill 511, 8, 0

high_pd:
  .quad high_pt + (P | RW)
  .quad 0 + (P | RW | PS)
  .fill 510, 8, 0

high_pt:
  .quad PAGES + (P | RW)
  .quad PAGES + 0x1000 + (P | RW)
  .quad 0xfee00000 + (P | RW | 0x18 | NX)
  .fill 509, 8, 0

kernel_pdpt:
  .fill 510, 8, 0
  .quad kernel_pd + (P | RW)
  .quad 0

kernel_pd:
  .quad 0 + (P | RW | PS | G)
  .fill 511, 8, 0
