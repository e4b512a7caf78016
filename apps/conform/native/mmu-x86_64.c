/* The monitor on x86-64: modes by control registers, accesses by iretq to a stub or to the probed address itself. */
#include "mmu-monitor.h"

/* The monitor's mapping: root slot 508, which 5-level paging reaches through root slot 511. */
#define MONITOR 0xfffffe0000000000UL
#define ROOT_SLOT_4 508UL
#define ROOT_SLOT_5 511UL
/* A second mapping of the first GiB, for user mode to execute its stubs: read-only, user. */
#define USER_ALIAS 0x100000000UL

#define CR4_LA57 (1UL << 12)
#define CR4_PKE (1UL << 22)
#define EFER_MSR 0xc0000080
#define RFLAGS_FIXED 2UL
#define RFLAGS_AC (1UL << 18)
#define ADDRESS 0x000ffffffffff000UL
#define TABLE_FLAGS 0x27UL /* P, RW, US, A */

#define KERNEL_CS 0x08
#define KERNEL_SS 0x10
#define USER_SS 0x1b
#define USER_CS 0x23

#define VECTOR_BP 3
#define VECTOR_GP 13
#define VECTOR_PF 14

struct trap {
  u64 vector, error, cr2, rip, rax;
};

/* mmu-x86_64.S: runs at rip with rbx = va and cl = the byte to write, until the next exception. */
void run(u64 rip, u64 cs, u64 ss, u64 rflags, u64 va);
extern struct trap trap;
extern u8 stub_read[], stub_read_end[], stub_write[], stub_write_end[], stub_identify[], stub_identify_end[];
extern u64 monitor_pdpt[], monitor_pml4[], monitor_pml5[];

const u64 ram_base = 0;

static u64 physical(const void *p) {
  return (u64)p - MONITOR;
}

void *at_physical(u64 pa) {
  return (void *)(MONITOR + pa);
}

/* mov eax, pa; int3 …; pa */
void fill_slot(u32 *slot, u32 pa) {
  volatile u32 *s = slot;
  s[0] = 0xb8 | pa << 8;
  s[1] = 0xcccccc00 | pa >> 24;
  s[2] = 0xcccccccc;
  s[3] = pa;
}
#define SLOT_TRAP 6UL /* bytes executed, the int3 included */

static void set_root(u64 root) {
  __asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

static int levels5(const struct test *t) {
  return (t->regs[1] & CR4_LA57) != 0;
}

u64 reserved_word(const struct test *t, u64 *value) {
  int la57 = levels5(t);
  *value = physical(la57 ? monitor_pml4 : monitor_pdpt) | TABLE_FLAGS;
  return (t->root & ADDRESS) + 8 * (la57 ? ROOT_SLOT_5 : ROOT_SLOT_4);
}

void begin_test(const struct test *t) {
  u32 low = t->regs[2], high = t->regs[2] >> 32;
  set_root(t->root);
  __asm__ volatile("wrmsr" : : "c"(EFER_MSR), "a"(low), "d"(high));
  __asm__ volatile("mov %0, %%cr0" : : "r"(t->regs[0]));
  __asm__ volatile("mov %0, %%cr4" : : "r"(t->regs[1]));
}

void flush(const struct test *t) {
  set_root(t->root);
}

void end_test(const struct test *t) {
  set_root(physical(levels5(t) ? monitor_pml5 : monitor_pml4));
}

static void set_pkru(const struct test *t, u64 pkru) {
  if (t->regs[1] & CR4_PKE) __asm__ volatile("wrpkru" : : "a"((u32)pkru), "c"(0), "d"(0) : "memory");
}

struct outcome probe(const struct test *t, u64 va, u64 kind) {
  u64 access = kind & PROBE_ACCESS, user = kind & PROBE_USER;
  u64 override = access == PROBE_IDENTIFY || kind & PROBE_OVERRIDE;
  u64 start, end;
  if (access == PROBE_EXECUTE) {
    start = va;
    end = va + SLOT_TRAP;
  } else {
    start = (u64)(access == PROBE_READ ? stub_read : access == PROBE_WRITE ? stub_write : stub_identify);
    end = (u64)(access == PROBE_READ ? stub_read_end : access == PROBE_WRITE ? stub_write_end : stub_identify_end);
    if (user) start += USER_ALIAS, end += USER_ALIAS;
  }
  set_pkru(t, access == PROBE_IDENTIFY ? 0 : t->regs[3]);
  run(start, user ? USER_CS : KERNEL_CS, user ? USER_SS : KERNEL_SS, RFLAGS_FIXED | (override ? RFLAGS_AC : 0), va);
  struct outcome o = {OUTCOME_ODD, trap.vector << 32 | trap.error, trap.cr2, trap.rax};
  if (trap.vector == VECTOR_BP && trap.rip == end) o.kind = OUTCOME_OK;
  if ((trap.vector == VECTOR_PF || trap.vector == VECTOR_GP) && trap.rip == start) o.kind = OUTCOME_FAULT;
  if (o.kind == OUTCOME_ODD) o.address = trap.rip;
  return o;
}

/* QEMU's isa-debug-exit; a loop if it is not there. */
void power_off(void) {
  for (;;) __asm__ volatile("outl %0, %1" : : "a"(0), "Nd"((unsigned short)0xf4));
}
