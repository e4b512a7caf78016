/* arm64: boot at EL1 with paging off; the accesses, with the abort they may end in; and the end. */
  .text
  .globl _start
_start:
  adr x0, stack_end
  mov sp, x0
  bl run_all
  mov w0, #0x18 /* semihosting: SYS_EXIT */
  ldr x1, =exit_block
  hlt #0xf000

/* u64 try_read(u64 va) */
  .globl try_read
try_read:
  adr x9, 1f
  mov x1, x0
  mov x0, #0
  ldr x0, [x1]
1:
  ret

/* u64 try_write(u64 va, u64 value) */
  .globl try_write
try_write:
  adr x9, 1f
  mov x2, #0
  str x1, [x0]
  mov x2, #1
1:
  mov x0, x2
  ret

/* Any exception goes on at x9. */
  .balign 2048
  .globl vectors
vectors:
  .rept 16
  msr elr_el1, x9
  eret
  .balign 128
  .endr

  .data
  .balign 8
exit_block:
  .quad 0x20026, 0

  .bss
  .balign 16
stack:
  .skip 16384
stack_end:
