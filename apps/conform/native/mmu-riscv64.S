/*
 * Start, and the single accesses of mmu-riscv64.c. Each sets mtvec to its own second exit, so that a trap needs no handler:
 * nothing but t0 to t2 can have changed by then.
 */
.equ MPRV, 1 << 17
.equ MODE_BITS, (3 << 11) | (1 << 17) | (1 << 18) | (1 << 19)

.section .text.start, "ax"
.globl _start
_start:
.option push
.option norelax
    la gp, __global_pointer$
.option pop
    la sp, stack_end
    j main

.text
/*
 * A function that makes one access under the mstatus bits in a1, with MPRV. The trap goes to `1:`; t1 is the cause, -1
 * without a trap.
 */
.macro access name, insn:vararg
    .globl \name
\name:
    la t1, 1f
    csrw mtvec, t1
    li t1, MODE_BITS
    csrc mstatus, t1
    csrs mstatus, a1
    li t1, -1
    li t2, MPRV
    csrs mstatus, t2
    \insn
    li t2, MPRV
    csrc mstatus, t2
    la t2, trap
    sd t1, 0(t2)
    sd a3, 24(t2)
    ret
    .balign 4
1:
    li t2, MPRV
    csrc mstatus, t2
    la t2, trap
    csrr t1, mcause
    sd t1, 0(t2)
    csrr t1, mtval
    sd t1, 8(t2)
    csrr t1, mepc
    sd t1, 16(t2)
    ret
.endm

/* (va, mode): the byte, or the 32-bit word, in trap.value */
access access_load_byte, lbu a3, 0(a0)
access access_load_word, lw a3, 0(a0)
/* (va, mode, value) */
access access_store_byte, sb a2, 0(a0)

/* (va, mode): runs what is at va; t0 afterwards in trap.value */
.globl access_fetch
access_fetch:
    la t1, 1f
    csrw mtvec, t1
    li t1, MODE_BITS
    csrc mstatus, t1
    csrs mstatus, a1
    csrw mepc, a0
    mret
    .balign 4
1:
    la t2, trap
    csrr t1, mcause
    sd t1, 0(t2)
    csrr t1, mtval
    sd t1, 8(t2)
    csrr t1, mepc
    sd t1, 16(t2)
    sd t0, 24(t2)
    ret

.bss
.balign 16
.globl trap
trap:
    .skip 32
stack:
    .skip 16384
stack_end:
