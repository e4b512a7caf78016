/* The monitor on arm64: TTBR1 maps the monitor, TTBR0 is probed; accesses by eret to a stub or to the address itself. */
#include "mmu-monitor.h"

/* TTBR1, 39 bits, 4 KiB granule: the physical address is the offset in it. */
#define MONITOR 0xffffff8000000000UL
/* A second mapping of the first GiB of RAM, for EL0 to execute its stubs: read-only. */
#define USER_ALIAS 0x100000000UL

#define SPSR_EL0 0x3c0UL  /* DAIF masked */
#define SPSR_EL1H 0x3c5UL
#define SPSR_PAN (1UL << 22)

/* TTBR1's fields: T1SZ 25, TG1 4 KiB. */
#define TCR_MONITOR (25UL << 16 | 2UL << 30)
/* Attr0 Normal write-back, Attr1 Device-nGnRnE, Attr2 Normal non-cacheable. */
#define MAIR 0x4400ffUL

#define EC_UNKNOWN 0x00
#define EC_INSTRUCTION_ABORT 0x20 /* from EL0; + 1 from EL1 */
#define EC_DATA_ABORT 0x24
#define EC_BRK 0x3c

struct trap {
  u64 esr, far, elr, x0;
};

/* mmu-aarch64.S: runs at elr with x2 = va and w1 = the byte to write, until the next exception. */
void run(u64 elr, u64 spsr, u64 va);
extern struct trap trap;
extern u8 stub_read[], stub_read_end[], stub_write[], stub_write_end[], stub_identify[], stub_identify_end[];

const u64 ram_base = 0x40000000;

void *at_physical(u64 pa) {
  return (void *)(MONITOR + pa);
}

/* movz w0, #low; movk w0, #high, lsl #16; brk #0; pa */
void fill_slot(u32 *slot, u32 pa) {
  volatile u32 *s = slot;
  s[0] = 0x52800000 | (pa & 0xffff) << 5;
  s[1] = 0x72a00000 | (pa >> 16) << 5;
  s[2] = 0xd4200000;
  s[3] = pa;
}
#define SLOT_TRAP 8UL /* bytes before the brk */

u64 reserved_word(const struct test *t, u64 *value) {
  (void)t;
  *value = 0;
  return 0;
}

void begin_test(const struct test *t) {
  __asm__ volatile("msr mair_el1, %0" : : "r"(MAIR));
  __asm__ volatile("msr tcr_el1, %0" : : "r"(t->regs[0] | TCR_MONITOR));
  __asm__ volatile("isb" : : : "memory");
}

void flush(const struct test *t) {
  __asm__ volatile("msr ttbr0_el1, %0; isb; dsb ish; tlbi vmalle1; dsb ish; ic iallu; dsb ish; isb"
                   :
                   : "r"(t->root)
                   : "memory");
}

void end_test(const struct test *t) {
  (void)t; /* TTBR0's half is not the monitor's */
}

struct outcome probe(const struct test *t, u64 va, u64 kind) {
  u64 access = kind & PROBE_ACCESS, user = kind & PROBE_USER;
  u64 start, end;
  (void)t;
  if (access == PROBE_EXECUTE) {
    start = va;
    end = va + SLOT_TRAP;
  } else {
    start = (u64)(access == PROBE_READ ? stub_read : access == PROBE_WRITE ? stub_write : stub_identify);
    end = (u64)(access == PROBE_READ ? stub_read_end : access == PROBE_WRITE ? stub_write_end : stub_identify_end);
    if (user) start += USER_ALIAS, end += USER_ALIAS;
  }
  run(start, (user ? SPSR_EL0 : SPSR_EL1H) | (kind & PROBE_OVERRIDE ? SPSR_PAN : 0), va);
  struct outcome o = {OUTCOME_ODD, trap.esr, trap.far, trap.x0};
  u64 class = trap.esr >> 26;
  if (class == EC_BRK && trap.elr == end) o.kind = OUTCOME_OK;
  if ((class & ~1UL) == EC_INSTRUCTION_ABORT && access == PROBE_EXECUTE && trap.elr == va) o.kind = OUTCOME_FAULT;
  if ((class & ~1UL) == EC_DATA_ABORT && access != PROBE_EXECUTE && trap.elr == start) o.kind = OUTCOME_FAULT;
  /* Executed, but it is no island: zeros are an undefined instruction. */
  if (class == EC_UNKNOWN && access == PROBE_EXECUTE && trap.elr == va) o.kind = OUTCOME_OK, o.value = 0;
  if (o.kind == OUTCOME_ODD) o.address = trap.elr;
  return o;
}

/* PSCI SYSTEM_OFF. */
void power_off(void) {
  register u64 x0 __asm__("x0") = 0x84000008;
  for (;;) __asm__ volatile("hvc #0" : "+r"(x0) : : "memory");
}
