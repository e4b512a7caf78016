/*
 * arm64: from reset at EL1 with the MMU off to the monitor's mapping in TTBR1's half; the stubs that access the probed
 * address; and the exceptions all of them end in.
 * Linked at its physical address, and run at the same offset of TTBR1's half: nothing here is absolute.
 */
  .text
  .globl _start
_start:
  /* The same table for both halves, until the monitor runs in the upper one. */
  adr x0, monitor_table
  msr ttbr0_el1, x0
  msr ttbr1_el1, x0
  ldr x0, =0x4400ff
  msr mair_el1, x0
  ldr x0, =0x180190019 /* IPS 36 bits, TG1 4K, T1SZ 25, TG0 4K, T0SZ 25 */
  msr tcr_el1, x0
  isb
  tlbi vmalle1
  dsb ish
  isb
  ldr x0, =0x30d01805 /* RES1, SPAN, I, C, M */
  msr sctlr_el1, x0
  isb
  ldr x3, =0xffffff8000000000
  adr x0, 1f
  add x0, x0, x3
  br x0
1:
  msr spsel, #1
  adr x0, stack_end
  mov sp, x0
  adr x0, vectors
  msr vbar_el1, x0
  isb
  bl monitor

/* void run(elr, spsr, va): returns from the next exception. */
  .globl run
run:
  stp x19, x20, [sp, #-96]!
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  msr elr_el1, x0
  msr spsr_el1, x1
  mov w1, #0x5a
  mov x0, #0
  eret

/* The accesses: x2 is the address, nothing else in memory is touched. A brk reports its own address. */
  .balign 16
  .globl stub_read, stub_read_end, stub_write, stub_write_end, stub_identify, stub_identify_end
stub_read:
  ldrb w0, [x2]
stub_read_end:
  brk #0
stub_write:
  strb w1, [x2]
stub_write_end:
  brk #0
stub_identify:
  ldr w0, [x2]
stub_identify_end:
  brk #0

/* All sixteen vectors alike; SP_EL1 is where run left it. */
  .balign 2048
vectors:
  .rept 16
  .balign 128
  b trapped
  .endr
  .balign 128
trapped:
  adr x1, trap
  str x0, [x1, #24]
  mrs x0, esr_el1
  str x0, [x1]
  mrs x0, far_el1
  str x0, [x1, #8]
  mrs x0, elr_el1
  str x0, [x1, #16]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp x19, x20, [sp], #96
  ret
  .ltorg

  .data
  .balign 4096
/*
 * 1 GiB blocks. 1 and 2: RAM for EL1 (AF, UXN, EL1 read-write). 5: the first GiB of RAM for EL0 (AF, PXN, read-only at
 * both levels). The shareability bits are clear, as they are address bits where LPA2 is on.
 */
monitor_table:
  .quad 0
  .quad 0x40000000 + 0x0040000000000401
  .quad 0x80000000 + 0x0040000000000401
  .quad 0, 0
  .quad 0x40000000 + 0x00200000000004c1
  .fill 506, 8, 0
  .globl trap
trap:
  .fill 4, 8, 0
  .fill 16384, 1, 0
stack_end:
