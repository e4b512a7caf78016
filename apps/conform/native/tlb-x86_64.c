/*
 * x86-64 in tlb-scripts.h. Steps: nopcid: CR4.PCIDE = 0, both address spaces have PCID 0; >X: CR3 = X; >X+: with bit
 * 63, which keeps translations; invlpg.V; inv0.X.V, inv1.X, inv2, inv3: INVPCID by type; pge: CR4.PGE off and on.
 * Without PCID the scripts that need none run as with nopcid.
 */
#define FRAME_BASE 0x200000UL
#include "tlb-scripts.h"

#define CR4_PGE (1UL << 7)
#define CR4_PCIDE (1UL << 17)
#define CR3_KEEP (1UL << 63)
#define PRESENT 0x1UL
#define WRITABLE 0x2UL
#define USED 0x20UL
#define DIRTY 0x40UL
#define PSE 0x80UL
#define GLOBAL 0x100UL
#define VECTOR_PF 14
#define KERNEL_CS 0x08
#define INTERRUPT_GATE 0x8e00

extern u8 page_fault[];
extern u64 identity_pdpt[];

static const char *const scripts[] = {
  /* Nothing was changed: two tags, one address, two pages. */
  "A.p=1 B.p=2 >A p:1 >B+ p:2 >A+ p:1 >B+ p:2",
  "nopcid A.p=1 B.p=2 >A p:1 >B p:2 >A p:1",
  "A.h=1 B.h=2 >A h:1 i:1 >B+ h:2 i:2 >A+ i:1 h:1",
  /* A change without a flush. */
  "A.p=1 >A p:1 A.p=2 p:1/2",
  "A.p=1 >A p:1 A.p=0 p:1/0",
  "A.p=1 >A p!1 A.p=1r p!1/0 p:1",
  "A.p=1g >A p:1 A.p=2g p:1/2",
  "A.h=1 >A h:1 i:1 A.h=2 h:1/2 i:1/2",
  "nopcid A.p=1 >A p:1 A.p=2 p:1/2",
  /* A change that needs none: nothing was cached. */
  "A.p=0 >A p:0 A.p=1 p:1",
  "A.h=0 >A h:0 A.h=1 h:1 i:1",
  /* Dirty: a clean translation sets it at the first write, a dirty one does not look again. */
  "A.p=1c >A p:1 A.p?0 p!1 A.p?1",
  "A.p=1 >A p!1 A.p=1c p!1 A.p?0/1",
  "A.p=1 >A p!1 A.p=1c invlpg.p p!1 A.p?1",
  "A.p=1 >A p!1 A.p=1c invlpg.p p:1 A.p?0 p!1 A.p?1",
  /* INVLPG: the page, under the current tag, and global. */
  "A.p=1 A.q=3 >A p:1 q:3 A.p=2 A.q=4 invlpg.p p:2 q:3/4",
  "A.p=1 >A p:1 A.p=0 invlpg.p p:0",
  "A.p=1 >A p!1 A.p=1r invlpg.p p!0 p:1",
  "A.p=1g >A p:1 A.p=2g invlpg.p p:2",
  "A.p=1g B.p=1g >A p:1 >B+ p:1 B.p=2g A.p=2g invlpg.p p:2 >A+ p:2",
  "A.p=1 B.p=2 >A p:1 >B+ p:2 A.p=3 B.p=4 invlpg.p p:4 >A+ p:1/3",
  "A.h=1 >A h:1 i:1 A.h=2 invlpg.h h:2 i:2",
  "A.h=1 >A h:1 i:1 A.h=2 invlpg.i h:2 i:2",
  "A.h=1g >A h:1 i:1 A.h=2g invlpg.i h:2 i:2",
  "nopcid A.p=1g A.q=3 >A p:1 q:3 A.p=2g A.q=4 invlpg.p p:2 q:3/4",
  /* CR3 without bit 63: the tag that is loaded, nothing global. */
  "A.p=1 >A p:1 A.p=2 >A p:2",
  "A.p=1 >A p:1 A.p=0 >A p:0",
  "A.h=1 >A h:1 i:1 A.h=2 >A h:2 i:2",
  "A.p=1g >A p:1 A.p=2g >A p:1/2",
  "A.h=1g >A h:1 i:1 A.h=2g >A h:1/2 i:1/2",
  "A.p=1 B.p=2 >A p:1 >B+ p:2 A.p=3 B.p=4 >A p:3 >B+ p:2/4",
  "A.p=1 B.p=2 >A p:1 >B+ p:2 B.p=4 >A p:1 >B p:4",
  "nopcid A.p=1 B.p=2 >A p:1 >B p:2 A.p=3 B.p=4 >A p:3 >B p:4",
  "nopcid A.p=1g B.p=1g >A p:1 A.p=2g B.p=2g >B p:1/2",
  "A.p=1g B.p=1g >A p:1 A.p=2g B.p=2g >B p:1/2 >B p:1/2",
  /* CR3 with bit 63: nothing. */
  "A.p=1 >A p:1 A.p=2 >A+ p:1/2",
  "A.p=1 B.p=2 >A p:1 >B+ p:2 A.p=3 >A+ p:1/3",
  "A.p=1 B.p=2 >A p:1 A.p=3 >B p:2 >A+ p:1/3 >A p:3",
  /* CR4.PGE: everything. */
  "A.p=1 >A p:1 A.p=2 pge p:2",
  "A.p=1g >A p:1 A.p=2g pge p:2",
  "A.h=1g >A h:1 i:1 A.h=2g pge i:2 h:2",
  "A.p=1 B.p=2 >A p:1 >B+ p:2 A.p=3 B.p=4 pge p:4 >A+ p:3",
  "nopcid A.p=1g A.q=3 >A p:1 q:3 A.p=2g A.q=4 pge p:2 q:4",
  /* INVPCID 0: a page of a tag, nothing global. */
  "A.p=1 A.q=3 >A p:1 q:3 A.p=2 A.q=4 inv0.A.p p:2 q:3/4",
  "A.p=1 B.p=2 >A p:1 >B+ p:2 A.p=3 B.p=4 inv0.A.p p:2/4 >A+ p:3",
  "A.h=1 B.h=2 >A h:1 i:1 >B+ h:2 A.h=3 inv0.A.i >A+ h:3 i:3",
  "A.p=1g >A p:1 A.p=2g inv0.A.p p:1/2",
  /* INVPCID 1: a tag, nothing global. */
  "A.p=1 A.q=3 >A p:1 q:3 A.p=2 A.q=4 inv1.A p:2 q:4",
  "A.p=1 B.p=2 >A p:1 >B+ p:2 A.p=3 B.p=4 inv1.A p:2/4 >A+ p:3",
  "A.p=1 B.p=2 >A p:1 >B+ p:2 A.p=3 B.p=4 inv1.B p:4 >A+ p:1/3",
  "A.p=1g A.q=3 >A p:1 q:3 A.p=2g A.q=4 inv1.A p:1/2 q:4",
  /* INVPCID 2: everything. */
  "A.p=1 B.p=2 >A p:1 >B+ p:2 A.p=3 B.p=4 inv2 p:4 >A+ p:3",
  "A.p=1g A.h=1g >A p:1 h:1 i:1 A.p=2g A.h=2g inv2 p:2 h:2 i:2",
  /* INVPCID 3: every tag, nothing global. */
  "A.p=1 B.p=2 >A p:1 >B+ p:2 A.p=3 B.p=4 inv3 p:4 >A+ p:3",
  "A.p=1g A.q=3 >A p:1 q:3 A.p=2g A.q=4 inv3 p:1/2 q:4",
};

static struct {
  u16 low, selector, flags, middle;
  u32 high, zero;
} idt[VECTOR_PF + 1];

static struct __attribute__((packed)) {
  u16 limit;
  u64 base;
} idt_pointer = {sizeof(idt) - 1, (u64)idt};

/* CR4_PCIDE, or 0. */
static u64 pcide;

static void put(char c) {
  __asm__ volatile("outb %0, $0xe9" : : "a"(c));
}

static u64 make_entry(u64 pa, int huge, const char *letters) {
  u64 e = pa | PRESENT | WRITABLE | USED | DIRTY;
  if (huge) e |= PSE;
  if (has_letter(letters, 'g')) e |= GLOBAL;
  if (has_letter(letters, 'r')) e &= ~WRITABLE;
  if (has_letter(letters, 'c')) e &= ~DIRTY;
  return e;
}

static int is_dirty(u64 entry) {
  return (entry & DIRTY) != 0;
}

static u64 get_cr4(void) {
  u64 v;
  __asm__ volatile("mov %%cr4, %0" : "=r"(v));
  return v;
}

static void set_cr4(u64 v) {
  __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}

static void set_cr3(u64 v) {
  __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}

static u64 pcid_of(char space) {
  return space - 'A' + 1;
}

static void switch_to(int space, const char *s) {
  u64 cr3 = (u64)spaces[space].tables[0];
  if (pcide) cr3 |= pcid_of(s[0]);
  set_cr3(s[1] == '+' ? cr3 | CR3_KEEP : cr3);
}

static void flush_everything(void) {
  set_cr4(get_cr4() & ~CR4_PGE);
  set_cr4(get_cr4() | CR4_PGE);
}

static void invlpg(u64 va) {
  __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static void invpcid(u64 type, u64 pcid, u64 va) {
  u64 descriptor[2] = {pcid, va};
  __asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"(type) : "memory");
}

static void own_step(const char *s) {
  if (s[0] == 'p') flush_everything();
  else if (s[0] != 'i') return; /* nopcid */
  else if (s[3] == 'l') invlpg(address_of(s[7]));
  else if (s[3] == '0') invpcid(0, pcid_of(s[5]), address_of(s[7]));
  else if (s[3] == '1') invpcid(1, pcid_of(s[5]), 0);
  else invpcid(s[3] - '0', 0, 0);
}

static u32 cpuid(u32 leaf, int ebx) {
  u32 a = leaf, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return ebx ? b : c;
}

/* True when `word` is somewhere in the script. */
static int uses(const char *script, const char *word) {
  for (; *script != 0; script++) {
    const char *a = script, *b = word;
    while (*b != 0 && *a == *b) a++, b++;
    if (*b == 0) return 1;
  }
  return 0;
}

static int begin(const char *script) {
  int has_pcid = cpuid(1, 0) >> 17 & 1;
  int has_invpcid = cpuid(7, 1) >> 10 & 1;
  int needs_invpcid = uses(script, "inv0") || uses(script, "inv1") || uses(script, "inv2") || uses(script, "inv3");
  if ((uses(script, "+") && !has_pcid) || (needs_invpcid && !has_invpcid)) return 0;
  set_cr3((u64)spaces[0].tables[0]);
  pcide = has_pcid && !uses(script, "nopcid") ? CR4_PCIDE : 0;
  set_cr4((get_cr4() & ~CR4_PCIDE) | pcide);
  flush_everything();
  return 1;
}

void run_all(void) {
  make_tables((u64)identity_pdpt, PRESENT | WRITABLE | USED);
  u64 handler = (u64)page_fault;
  idt[VECTOR_PF].low = handler;
  idt[VECTOR_PF].selector = KERNEL_CS;
  idt[VECTOR_PF].flags = INTERRUPT_GATE;
  idt[VECTOR_PF].middle = handler >> 16;
  idt[VECTOR_PF].high = handler >> 32;
  __asm__ volatile("lidt %0" : : "m"(idt_pointer));
  run_scripts(scripts, sizeof(scripts) / sizeof(scripts[0]));
}
