/*
 * What a processor's TLB keeps and what it drops: runs scripts on two address spaces and writes what their accesses
 * saw, one line a script. Entries change in memory alone, so an access sees the old page where a translation was kept.
 * Included once by the program of each architecture, which says what it adds.
 *
 * A script is steps with blanks between them. X is the address space, A (tag 1) or B (tag 2); V the place: p and q are
 * pages of 4 KiB, h and i two pages in one leaf of 2 MiB.
 *
 *   >X        X is the current address space
 *   X.V=N     the entry maps frame N (1 to 7), writable, used and dirty; not present for N = 0; then g: global,
 *             r: read-only, c: clean
 *   V:N       read V: frame N must be seen (0: a fault); V:N/M: either may be
 *   V!N       the same for a write
 *   X.V?N     the same for Dirty of the entry, 1 or 0
 *
 * All others are the architecture's. The line has what each of the last three saw; it is "-" where the processor
 * cannot.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define PAGE 0x1000UL
#define HUGE 0x200000UL
/* The second entry of the root; the first shows the machine. */
#define VA 0x8000000000UL
#define FRAMES 8UL

/* The word there, or 0 after a fault. */
u64 try_read(u64 va);
/* 1, or 0 after a fault. */
u64 try_write(u64 va, u64 value);

/* The tables by level, the root first. */
struct space {
  u64 tables[4][512];
};
static struct space spaces[2] __attribute__((aligned(4096)));

/* One character out. */
static void put(char c);
/* The leaf, of 2 MiB or a page, for physical address `pa`; `letters` as in X.V=N. */
static u64 make_entry(u64 pa, int huge, const char *letters);
static int is_dirty(u64 entry);
/* Makes `space` (0 or 1) the current one; `s` is the script from its letter on. */
static void switch_to(int space, const char *s);
/* A step of the architecture. */
static void own_step(const char *s);
/* Nothing cached; false when the processor cannot run the script. */
static int begin(const char *script);

static void put_string(const char *s) {
  while (*s != 0) put(*s++);
}

static int is_huge(char place) {
  return place == 'h' || place == 'i';
}

/* i is page 5 of its leaf. */
static u64 in_leaf(char place) {
  return place == 'i' ? 5 * PAGE : 0;
}

static u64 address_of(char place) {
  if (is_huge(place)) return VA + HUGE + in_leaf(place);
  return VA + (place == 'p' ? 1 : 2) * PAGE;
}

static volatile u64 *entry_of(char space, char place) {
  struct space *s = &spaces[space - 'A'];
  return is_huge(place) ? &s->tables[2][1] : &s->tables[3][place == 'p' ? 1 : 2];
}

/* Frame N as the entry has it; pages first, leaves behind them. */
static u64 frame_of(char place, u64 n) {
  return FRAME_BASE + (is_huge(place) ? n * HUGE : n * PAGE);
}

static volatile u64 *frame_words(char place, u64 n) {
  return (volatile u64 *)(frame_of(place, n) + in_leaf(place));
}

static void fill_frames(void) {
  for (u64 n = 1; n < FRAMES; n++) {
    frame_words('p', n)[0] = frame_words('h', n)[0] = frame_words('i', n)[0] = n;
    frame_words('p', n)[1] = frame_words('h', n)[1] = frame_words('i', n)[1] = 0;
  }
}

/* The frame a write reached: the only one whose second word is set. */
static u64 write_to(char place) {
  if (!try_write(address_of(place) + 8, 1)) return 0;
  for (u64 n = 1; n < FRAMES; n++) {
    if (frame_words(place, n)[1] == 0) continue;
    frame_words(place, n)[1] = 0;
    return n;
  }
  return FRAMES;
}

/* s: X.V=N… */
static void set_entry(const char *s) {
  u64 n = s[4] - '0';
  *entry_of(s[0], s[2]) = n == 0 ? 0 : make_entry(frame_of(s[2], n), is_huge(s[2]), s + 5);
}

static int has_letter(const char *letters, char letter) {
  for (; *letters > ' '; letters++) {
    if (*letters == letter) return 1;
  }
  return 0;
}

/* One step; what it saw, or -1. */
static int step(const char *s) {
  if (s[0] == '>') switch_to(s[1] - 'A', s + 1);
  else if (s[1] == ':') return try_read(address_of(s[0]));
  else if (s[1] == '!') return write_to(s[0]);
  else if (s[1] == '.' && s[3] == '=') set_entry(s);
  else if (s[1] == '.' && s[3] == '?') return is_dirty(*entry_of(s[0], s[2]));
  else own_step(s);
  return -1;
}

static void run(const char *script) {
  put_string(script);
  put('|');
  for (int i = 0; i < 2; i++) {
    for (int n = 0; n < 512; n++) spaces[i].tables[3][n] = 0;
    spaces[i].tables[2][1] = 0;
  }
  fill_frames();
  if (!begin(script)) {
    put_string("-\n");
    return;
  }
  int seen = 0;
  for (const char *s = script; *s != 0;) {
    int result = step(s);
    if (result >= 0) {
      if (seen++ > 0) put(' ');
      put('0' + result);
    }
    while (*s > ' ') s++;
    while (*s == ' ') s++;
  }
  put('\n');
}

/* The tables of both spaces; the first entry of the root is `identity`. */
static void make_tables(u64 identity, u64 flags) {
  for (int i = 0; i < 2; i++) {
    struct space *s = &spaces[i];
    s->tables[0][0] = identity | flags;
    s->tables[0][1] = (u64)s->tables[1] | flags;
    s->tables[1][0] = (u64)s->tables[2] | flags;
    s->tables[2][0] = (u64)s->tables[3] | flags;
  }
}

static void run_scripts(const char *const *scripts, u64 count) {
  for (u64 i = 0; i < count; i++) run(scripts[i]);
  put_string("end\n");
}
