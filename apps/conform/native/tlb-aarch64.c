/*
 * arm64 in tlb-scripts.h, on QEMU's virt machine. Steps: >X: TTBR0_EL1 = X with its ASID; vae1.X.V, vaae1.V, aside1.X,
 * vmalle1: TLBI of that name. Valid entries only become invalid or lose rights: anything else without a flush between
 * break and make is not defined.
 */
#define FRAME_BASE 0x44000000UL
#include "tlb-scripts.h"

#define UART_DR ((volatile u32 *)0x09000000)
#define VALID 0x1UL
#define TABLE 0x3UL
#define PAGE_ENTRY 0x3UL
#define READ_ONLY (1UL << 7)
#define INNER_SHAREABLE (3UL << 8)
#define USED (1UL << 10)
#define NOT_GLOBAL (1UL << 11)
#define DBM (1UL << 51)
#define DEVICE (1UL << 2) /* MAIR attribute 1 */
#define GIB 0x40000000UL
#define NEVER_FETCH (3UL << 53)
#define MAIR 0xffUL /* attribute 0: normal memory, write-back; 1: device */
/* T0SZ = 16, write-back inner shareable walks, 4 KiB; EPD1; 40-bit output; ASIDs of 16 bits; HA, HD. */
#define TCR (16UL | 1UL << 8 | 1UL << 10 | 3UL << 12 | 1UL << 23 | 2UL << 32 | 1UL << 36 | 3UL << 39)
#define SCTLR_M 1UL
#define SCTLR_C 4UL
#define ASID_SHIFT 48

extern u8 vectors[];
static u64 identity[512] __attribute__((aligned(4096)));

static const char *const scripts[] = {
  /* Nothing was changed: two tags, one address, two pages. */
  "A.p=1 B.p=2 >A p:1 >B p:2 >A p:1 >B p:2",
  "A.h=1 B.h=2 >A h:1 i:1 >B h:2 i:2 >A i:1 h:1",
  /* A change without a flush; TTBR0_EL1 flushes nothing. */
  "A.p=1 >A p:1 A.p=0 p:1/0",
  "A.p=1 >A p!1 A.p=1r p!1/0 p:1",
  "A.p=1g >A p:1 A.p=0 p:1/0",
  "A.h=1 >A h:1 i:1 A.h=0 h:1/0 i:1/0",
  "A.p=1 >A p:1 A.p=0 >A p:1/0",
  "A.p=1 B.p=2 >A p:1 >B p:2 A.p=0 >A p:1/0",
  "A.p=1g B.p=1g >A p:1 A.p=0 B.p=0 >B p:1/0",
  /* A change that needs none: nothing was cached. */
  "A.p=0 >A p:0 A.p=1 p:1",
  "A.h=0 >A h:0 A.h=1 h:1 i:1",
  /* Dirty: a clean translation sets it at the first write, a dirty one does not look again. */
  "A.p=1c >A p:1 A.p?0 p!1 A.p?1",
  "A.p=1 >A p!1 A.p=1c p!1 A.p?0/1",
  "A.p=1 >A p!1 A.p=1c vae1.A.p p!1 A.p?1",
  /* VAE1: the page, under the tag, and global. */
  "A.p=1 A.q=3 >A p:1 q:3 A.p=0 A.q=0 vae1.A.p p:0 q:3/0",
  "A.p=1 >A p:1 A.p=0 vae1.A.p p:0 A.p=2 p:2",
  "A.p=1 >A p!1 A.p=1r vae1.A.p p!0 p:1",
  "A.p=1g >A p:1 A.p=0 vae1.A.p p:0",
  "A.p=1g B.p=1g >A p:1 A.p=0 B.p=0 vae1.B.p p:0 >B p:0",
  "A.p=1 B.p=2 >A p:1 >B p:2 A.p=0 B.p=0 vae1.A.p p:2/0 >A p:0",
  "A.h=1 >A h:1 i:1 A.h=0 vae1.A.i h:0 i:0",
  "A.h=1g >A h:1 i:1 A.h=0 vae1.A.i h:0 i:0",
  /* VAAE1: the page, under every tag. */
  "A.p=1 B.p=2 >A p:1 >B p:2 A.p=0 B.p=0 vaae1.p p:0 >A p:0",
  "A.p=1g A.q=3 >A p:1 q:3 A.p=0 A.q=0 vaae1.p p:0 q:3/0",
  "A.h=1 B.h=2 >A h:1 i:1 >B h:2 i:2 A.h=0 B.h=0 vaae1.h i:0 >A h:0 i:0",
  /* ASIDE1: the tag, nothing global. */
  "A.p=1 A.q=3 >A p:1 q:3 A.p=0 A.q=0 aside1.A p:0 q:0",
  "A.p=1 B.p=2 >A p:1 >B p:2 A.p=0 B.p=0 aside1.A p:2/0 >A p:0",
  "A.p=1g A.q=3 >A p:1 q:3 A.p=0 A.q=0 aside1.A p:1/0 q:0",
  /* VMALLE1: everything. */
  "A.p=1 B.p=2 >A p:1 >B p:2 A.p=0 B.p=0 vmalle1 p:0 >A p:0",
  "A.p=1g A.h=1g >A p:1 h:1 i:1 A.p=0 A.h=0 vmalle1 p:0 h:0 i:0",
};

static void put(char c) {
  *UART_DR = c;
}

static u64 make_entry(u64 pa, int huge, const char *letters) {
  u64 e = pa | (huge ? VALID : PAGE_ENTRY) | INNER_SHAREABLE | USED | NOT_GLOBAL | DBM | NEVER_FETCH;
  if (has_letter(letters, 'g')) e &= ~NOT_GLOBAL;
  if (has_letter(letters, 'r')) e = (e | READ_ONLY) & ~DBM;
  if (has_letter(letters, 'c')) e |= READ_ONLY;
  return e;
}

static int is_dirty(u64 entry) {
  return (entry & READ_ONLY) == 0;
}

static void finish(void) {
  __asm__ volatile("dsb sy\n\tisb" : : : "memory");
}

static u64 asid_of(char space) {
  return (u64)(space - 'A' + 1) << ASID_SHIFT;
}

static void switch_to(int space, const char *s) {
  finish();
  __asm__ volatile("msr ttbr0_el1, %0" : : "r"((u64)spaces[space].tables[0] | asid_of(s[0])) : "memory");
  finish();
}

static void flush_everything(void) {
  finish();
  __asm__ volatile("tlbi vmalle1" : : : "memory");
  finish();
}

/* s: vae1.X.V, vaae1.V, aside1.X or vmalle1 */
static void own_step(const char *s) {
  finish();
  if (s[0] == 'a') __asm__ volatile("tlbi aside1, %0" : : "r"(asid_of(s[7])) : "memory");
  else if (s[1] == 'm') flush_everything();
  else if (s[2] == 'a') __asm__ volatile("tlbi vaae1, %0" : : "r"(address_of(s[6]) >> 12) : "memory");
  else __asm__ volatile("tlbi vae1, %0" : : "r"(asid_of(s[5]) | address_of(s[7]) >> 12) : "memory");
  finish();
}

static int begin(const char *script) {
  (void)script;
  switch_to(0, "A");
  flush_everything();
  return 1;
}

void run_all(void) {
  identity[0] = 0 * GIB | VALID | USED | DEVICE | NEVER_FETCH;
  identity[1] = 1 * GIB | VALID | USED | INNER_SHAREABLE;
  make_tables((u64)identity, TABLE);
  u64 sctlr;
  __asm__ volatile("msr vbar_el1, %0" : : "r"(vectors));
  __asm__ volatile("msr mair_el1, %0" : : "r"(MAIR));
  __asm__ volatile("msr tcr_el1, %0" : : "r"(TCR));
  begin("");
  __asm__ volatile("mrs %0, sctlr_el1" : "=r"(sctlr));
  __asm__ volatile("msr sctlr_el1, %0" : : "r"(sctlr | SCTLR_M | SCTLR_C) : "memory");
  finish();
  run_scripts(scripts, sizeof(scripts) / sizeof(scripts[0]));
}
