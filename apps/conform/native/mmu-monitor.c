/*
 * The part of the monitor common to all machines. It reads cases from RAM, loads each image, makes every probe from
 * the pristine image, and writes what the MMU did to RAM again; the host reads and writes the file that backs RAM.
 *
 * Input, 64-bit words: magic, cases, flags of the machine's part; per case a struct test, its words and its probes.
 * Output, 64-bit words: magic, cases finished, words that follow; per probe
 *   outcome, code, address, physical address reached or 0, changed words, (address, old, new) of each.
 *
 * Physical addresses are measured: islands of RAM are filled with slots of 16 bytes that hold their own address, as data
 * and as instructions. A written byte destroys its own slot, so that the neighbour in the page is read; the byte is then
 * looked up through the monitor's own mapping. Every word of an island reads as an invalid table entry on both machines.
 */
#include "mmu-monitor.h"

#define PAGE 4096UL
#define PAGE_WORDS 512
#define MAX_PAGES 1024
#define SLOT 16UL
#define WRITTEN 0x5a /* the byte a write probe writes */

struct range {
  u64 start, end;
};

static const struct range islands[] = {{0x4000000, 0x6000000}, {0x44000000, 0x45000000}};

/* Pages of the arena the case's words are in: physical addresses, ascending. */
static u64 pages[MAX_PAGES];
static int pages_used;

static void *at_ram(u64 offset) {
  return at_physical(ram_base + offset);
}

static u64 *shadow_of(u64 pa) {
  return at_ram(pa - ram_base - RAM_ARENA + RAM_SHADOW);
}

static int in_islands(u64 pa) {
  for (int i = 0; i < 2; i++)
    if (pa - ram_base >= islands[i].start && pa - ram_base < islands[i].end) return 1;
  return 0;
}

static void fill_islands(void) {
  for (int i = 0; i < 2; i++)
    for (u64 at = islands[i].start; at < islands[i].end; at += SLOT) fill_slot(at_ram(at), ram_base + at);
}

static void store(u64 pa, u64 value) {
  *(volatile u64 *)at_physical(pa) = value;
  *shadow_of(pa) = value;
}

/* Takes the page of `pa` in, empty: an earlier write may have gone astray into it. */
static void add_page(u64 pa) {
  pa &= -PAGE;
  int i = pages_used;
  for (int j = 0; j < pages_used; j++)
    if (pages[j] == pa) return;
  if (pages_used == MAX_PAGES) power_off();
  for (; i > 0 && pages[i - 1] > pa; i--) pages[i] = pages[i - 1];
  pages[i] = pa;
  pages_used++;
  for (u64 at = 0; at < PAGE; at += 8) store(pa + at, 0);
}

static void load_image(const struct test *t) {
  const u64 *words = (const u64 *)(t + 1);
  u64 value, reserved = reserved_word(t, &value);
  pages_used = 0;
  for (u64 i = 0; i < t->words; i++) add_page(words[2 * i]);
  if (reserved) add_page(reserved);
  for (u64 i = 0; i < t->words; i++) store(words[2 * i], words[2 * i + 1]);
  if (reserved) store(reserved, value);
}

static void clear_image(void) {
  for (int i = 0; i < pages_used; i++)
    for (u64 at = 0; at < PAGE; at += 8) store(pages[i] + at, 0);
}

/* Writes the words that changed, ascending, and puts them back; returns where the output continues. */
static u64 *take_changes(u64 *out) {
  u64 *count = out++;
  *count = 0;
  for (int i = 0; i < pages_used; i++) {
    volatile u64 *live = at_physical(pages[i]);
    const u64 *old = shadow_of(pages[i]);
    for (int w = 0; w < PAGE_WORDS; w++) {
      if (live[w] == old[w]) continue;
      *out++ = pages[i] + 8 * w;
      *out++ = old[w];
      *out++ = live[w];
      ++*count;
    }
  }
  return out;
}

static void restore_image(void) {
  for (int i = 0; i < pages_used; i++) {
    volatile u64 *live = at_physical(pages[i]);
    const u64 *old = shadow_of(pages[i]);
    for (int w = 0; w < PAGE_WORDS; w++)
      if (live[w] != old[w]) live[w] = old[w];
  }
}

/* The physical address that holds `slot`'s pattern, if `slot` is a pattern that can be at that place in a page. */
static u64 recognise(u64 slot, u64 va) {
  return in_islands(slot) && (slot & (PAGE - 1)) == (va & (PAGE - SLOT)) ? slot : 0;
}

/* The physical address reached at `va`, or 0; a write that did not land there makes the outcome odd. */
static u64 identify(const struct test *t, u64 va, u64 kind, struct outcome *o) {
  u64 pa;
  if ((kind & PROBE_ACCESS) == PROBE_EXECUTE) return recognise(o->value, va);
  struct outcome seen = probe(t, ((va ^ SLOT) & -SLOT) + 12, PROBE_IDENTIFY);
  if (seen.kind != OUTCOME_OK) return 0;
  pa = recognise(seen.value, va ^ SLOT);
  if (pa == 0) return 0;
  pa = (pa ^ SLOT) | (va & (SLOT - 1));
  if ((kind & PROBE_ACCESS) == PROBE_WRITE) {
    if (*(volatile u8 *)at_physical(pa) != WRITTEN) o->kind = OUTCOME_ODD;
    fill_slot(at_physical(pa & -SLOT), pa & -SLOT);
  }
  return pa;
}

static u64 *run_probe(const struct test *t, u64 va, u64 kind, u64 *out) {
  flush(t);
  struct outcome o = probe(t, va, kind);
  u64 *end = take_changes(out + 4);
  out[3] = o.kind == OUTCOME_OK ? identify(t, va, kind, &o) : 0;
  out[0] = o.kind;
  out[1] = o.code;
  out[2] = o.address;
  restore_image();
  return end;
}

void monitor(void) {
  const u64 *in = at_ram(RAM_INPUT);
  volatile u64 *head = at_ram(RAM_OUTPUT);
  u64 *out = (u64 *)head + 3;
  head[0] = OUTPUT_MAGIC;
  head[1] = head[2] = 0;
  if (in[0] != INPUT_MAGIC) power_off();
  fill_islands();
  u64 cases = in[1];
  in += 3;
  for (u64 i = 0; i < cases; i++) {
    const struct test *t = (const struct test *)in;
    const u64 *probes = (const u64 *)(t + 1) + 2 * t->words;
    load_image(t);
    begin_test(t);
    for (u64 p = 0; p < t->probes; p++) out = run_probe(t, probes[2 * p], probes[2 * p + 1], out);
    end_test(t);
    clear_image();
    head[1] = i + 1;
    head[2] = out - (u64 *)head - 3;
    in = probes + 2 * t->probes;
  }
  power_off();
}
