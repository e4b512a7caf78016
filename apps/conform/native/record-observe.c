/* Prints results and observations. Pages are told by their frames, which are never printed. */
#include "record.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* Bits of /proc/PID/pagemap and /proc/kpageflags. */
#define PM_PRESENT (1UL << 63)
#define PM_SWAP (1UL << 62)
#define PM_GUARD (1UL << 58)
#define PM_UFFD_WP (1UL << 57)
#define PM_ONCE (1UL << 56)
#define PM_FRAME ((1UL << 55) - 1)
#define KPF(bit) (1UL << (bit))
#define KPF_ZERO KPF(24)
#define KPF_ANON KPF(12)

#define LINE (4 << 20)
#define SEEN 65536 /* more than a trace has pages at a time; a power of two */

struct view {
  char letters[12], digest[12];
  long mapcount;
  int q, b; /* where the page was seen first; q -1: here */
};

/* What was printed last. */
static struct {
  char *vmas, *cnt;
  struct view *pages;
} last[PROCESSES];
static char *last_pins, *last_pipes, *last_files;

static struct {
  uint64_t pfn;
  int q, b, round;
} *seen;
static int round_number;
static int kpageflags = -1, kpagecount = -1;
static char *line, *smaps;
static int filled;

static void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *format, ...) {
  va_list list;
  va_start(list, format);
  filled += vsnprintf(line + filled, LINE - filled, format, list);
  va_end(list);
  if (filled >= LINE) die("line");
}

static void *get(size_t size) {
  void *memory = calloc(1, size);
  if (!memory) die("memory");
  return memory;
}

static void start(void) {
  kpageflags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
  kpagecount = open("/proc/kpagecount", O_RDONLY | O_CLOEXEC);
  if (kpageflags < 0 || kpagecount < 0) die("/proc/kpageflags");
  line = get(LINE), smaps = get(LINE), seen = get(SEEN * sizeof *seen);
  for (int p = 0; p < PROCESSES; p++) {
    last[p].pages = get(trace.pages * sizeof *last[p].pages);
    last[p].vmas = strdup("[]"), last[p].cnt = strdup("[]");
  }
  last_pins = strdup("[]"), last_pipes = strdup("[]"), last_files = strdup("[]");
}

void forget_process(int p) {
  if (kpageflags < 0) return;
  memset(last[p].pages, 0, trace.pages * sizeof *last[p].pages);
  free(last[p].vmas), free(last[p].cnt);
  last[p].vmas = strdup("[]"), last[p].cnt = strdup("[]");
}

void digest(const unsigned char *bytes, long length, char *into) {
  int equal = 1;
  uint32_t hash = 0x811c9dc5;
  for (long i = 0; i < length; i++) {
    equal &= bytes[i] == bytes[0];
    hash = (hash ^ bytes[i]) * 16777619u;
  }
  if (length == 0) into[0] = 0;
  else if (equal) sprintf(into, "%02x", bytes[0]);
  else if (length > 16) sprintf(into, "#%08x", hash);
  else
    for (long i = 0; i < length; i++) sprintf(into + 2 * i, "%02x", bytes[i]);
}

static const char *code_name(const struct result *result) {
  if (result->sig == SIGBUS) return result->code == BUS_ADRERR ? "ADRERR" : "other";
  return result->code == SEGV_MAPERR ? "MAPERR" : result->code == SEGV_ACCERR ? "ACCERR" : "other";
}

void print_result(int i, const struct op *op, const struct result *result) {
  printf("{\"i\":%d,\"op\":\"%s\"", i, op->name);
  if (result->refused) {
    printf(",\"err\":\"%s\"}\n", result->refused);
    return;
  }
  printf(",\"p\":%ld", op->p);
  if (result->error) printf(",\"err\":\"%s\"", strerrorname_np(result->error));
  else printf(",\"ret\":%ld", result->ret);
  if (result->sig) {
    long at = result->at - ARENA;
    printf(",\"sig\":\"%s\",\"code\":\"%s\"", result->sig == SIGBUS ? "BUS" : "SEGV", code_name(result));
    printf(",\"at\":[%ld,%ld]", at / PAGE, at % PAGE);
  }
  if (result->bytes > 0) {
    char text[36];
    digest(result->data, result->bytes < MAX_DIGEST || result->bytes == op->n ? result->bytes : MAX_DIGEST, text);
    printf(",\"v\":\"%s\"", text);
  }
  if (result->minor + result->major > 0) printf(",\"flt\":[%ld,%ld]", result->minor, result->major);
  printf("}\n");
}

static uint64_t word_of(int fd, uint64_t pfn) {
  uint64_t word;
  if (pread(fd, &word, 8, pfn * 8) != 8) die("kpageflags");
  return word;
}

/* The first place where the frame was seen in this observation; notes (q, b) when there is none. */
static void see(uint64_t pfn, int q, int b, struct view *view) {
  uint64_t k = pfn * 0x9e3779b97f4a7c15UL >> 48;
  while (seen[k].round == round_number && seen[k].pfn != pfn) k = (k + 1) % SEEN;
  view->q = -1;
  if (seen[k].round == round_number) {
    view->q = seen[k].q, view->b = seen[k].b;
    return;
  }
  seen[k].pfn = pfn, seen[k].q = q, seen[k].b = b, seen[k].round = round_number;
}

/* FL without what only a page table shows; mapcount and place. */
static void view_frame(uint64_t pfn, int q, int b, struct view *view) {
  static const struct {
    char letter;
    int bit;
  } letters[] = {{'B', 14}, {'D', 4}, {'T', 0}, {'P', 0}, {'G', 17}, {'L', 33}, {'U', 18}, {'K', 21}, {'C', 13}, {'W', 8}};
  uint64_t flags = word_of(kpageflags, pfn);
  char *at = view->letters;
  view->mapcount = 0, view->q = -1;
  if (flags & KPF_ZERO) {
    strcpy(view->letters, "Z");
    return;
  }
  *at++ = flags & KPF_ANON ? 'A' : 'F';
  if (flags & KPF_ANON && flags & KPF(34)) *at++ = 'X';
  for (size_t k = 0; k < sizeof letters / sizeof *letters; k++) {
    uint64_t bits = letters[k].letter == 'T' ? KPF(15) | KPF(16) : letters[k].bit ? KPF(letters[k].bit) : 0;
    if (flags & bits) *at++ = letters[k].letter;
  }
  *at = 0;
  view->mapcount = (long)word_of(kpagecount, pfn);
  see(pfn, q, b, view);
}

static int same(const struct view *a, const struct view *b) {
  return !strcmp(a->letters, b->letters) && a->mapcount == b->mapcount && !strcmp(a->digest, b->digest) && a->q == b->q &&
         (a->q < 0 || a->b == b->b);
}

static int continues(const struct view *first, const struct view *next, int n) {
  struct view moved = *next;
  if (first->q >= 0) moved.b -= n;
  return same(first, &moved);
}

/* Adds the runs of those of `count` views that `before` (or NULL) has not; returns how many. */
static int add_runs(const struct view *now, const struct view *before, long count) {
  int runs = 0;
  add("[");
  for (long i = 0; i < count;) {
    if (before ? same(&before[i], &now[i]) : 0) {
      i++;
      continue;
    }
    long n = 1;
    while (i + n < count && (!before || !same(&before[i + n], &now[i + n])) && continues(&now[i], &now[i + n], (int)n)) n++;
    add("%s[%ld,%ld,\"%s\"", runs++ ? "," : "", i, n, now[i].letters);
    if (now[i].letters[0]) add(",%ld,\"%s\"", now[i].mapcount, now[i].digest);
    if (now[i].letters[0] && now[i].q >= 0) add(",\"%d:%d\"", now[i].q, now[i].b);
    add("]");
    i += n;
  }
  add("]");
  return runs;
}

/* Prints `line` after `i` if it is not what was printed last. */
static void print_changed(int i, const char *key, int p, char **before) {
  if (strcmp(line, *before)) {
    printf("{\"i\":%d,", i);
    if (p >= 0) printf("\"proc\":%d,", p);
    printf("\"%s\":%s}\n", key, line);
    free(*before);
    *before = strdup(line);
  }
}

static const char *name_of(unsigned major, unsigned minor, unsigned long inode, char *into) {
  if (inode == 0) return "";
  for (int id = 0; id < FILES; id++) {
    if (!files[id].used || files[id].ino != inode || files[id].dev != makedev(major, minor)) continue;
    sprintf(into, "f%d", id);
    return into;
  }
  return "zero";
}

/* One line of smaps of a VMA; `kb` are Rss, dirty, Anonymous, LazyFree, Swap. */
static void take_sum(const char *text, long kb[5]) {
  static const struct {
    const char *key;
    int index;
  } keys[] = {{"Rss:", 0}, {"Shared_Dirty:", 1}, {"Private_Dirty:", 1}, {"Anonymous:", 2}, {"LazyFree:", 3}, {"Swap:", 4}};
  for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
    if (!strncmp(text, keys[k].key, strlen(keys[k].key))) kb[keys[k].index] += atol(text + strlen(keys[k].key));
}

/* The vmas line, printed; the cnt line is left in `cnt`. */
static void observe_vmas(int i, int p, char **cnt) {
  long length = 0, got, begin = 0, start, end, off, kb[5] = {0};
  int inside = 0, count = 0, used = 0;
  while ((got = pread(procs[p].smaps, smaps + length, LINE - 1 - length, length)) > 0) length += got;
  smaps[length] = 0;
  *cnt = get(length + 64);
  used = sprintf(*cnt, "[");
  filled = 0;
  add("[");
  for (char *save, *text = strtok_r(smaps, "\n", &save); text; text = strtok_r(NULL, "\n", &save)) {
    char perm[5], name[8];
    unsigned major, minor;
    unsigned long inode;
    if (sscanf(text, "%lx-%lx %4s %lx %x:%x %lu", &start, &end, perm, &off, &major, &minor, &inode) == 7) {
      inside = start >= ARENA && start < ARENA + trace.pages * PAGE;
      begin = (start - ARENA) / PAGE;
      memset(kb, 0, sizeof kb);
      if (!inside) continue;
      add("%s[%ld,%ld,\"%s\",%ld,", count++ ? "," : "", begin, (end - ARENA) / PAGE, perm, inode ? off / PAGE : 0);
      add("\"%s\",", name_of(major, minor, inode, name));
    } else if (inside && !strncmp(text, "VmFlags:", 8)) {
      add("\"");
      int words = 0;
      char *rest;
      for (char *word = strtok_r(text + 8, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        if (strcmp(word, "sd")) add("%s%s", words++ ? " " : "", word);
      add("\"]");
      if (kb[0] || kb[4]) used += sprintf(*cnt + used, "%s[%ld", used > 1 ? "," : "", begin);
      for (int k = 0; (kb[0] || kb[4]) && k < 5; k++) used += sprintf(*cnt + used, ",%ld%s", kb[k] / 4, k < 4 ? "" : "]");
    } else if (inside) {
      take_sum(text, kb);
    }
  }
  add("]");
  strcpy(*cnt + used, "]");
  print_changed(i, "vmas", p, &last[p].vmas);
}

/* Is the page mapped by a table entry of 2 MiB? PAGEMAP_SCAN says so; headers may be older than it. */
static int maps_huge(int p, long address) {
  struct {
    uint64_t start, end, categories;
  } found;
  struct {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
  } scan = {.size = sizeof scan, .start = address, .end = address + PAGE, .vec = (uintptr_t)&found, .vec_len = 1};
  scan.mask = scan.returned = 1 << 6; /* PAGE_IS_HUGE */
  return ioctl(procs[p].pagemap, _IOC(_IOC_READ | _IOC_WRITE, 'f', 16, sizeof scan), &scan) == 1;
}

/* P goes behind T, before G, L and the rest. */
static void add_huge(char *letters) {
  size_t at = strcspn(letters, "GLUKCWE");
  if (letters[0] == 'Z') at = 1;
  memmove(letters + at + 1, letters + at, strlen(letters + at) + 1);
  letters[at] = 'P';
}

static void view_page(int p, long at, uint64_t word, struct view *view) {
  static unsigned char bytes[PAGE];
  if (!(word & PM_PRESENT)) {
    const char *letter = word & PM_GUARD ? "g" : word & PM_UFFD_WP ? "w" : word & PM_SWAP ? "S" : "";
    strcpy(view->letters, letter);
    view->q = -1;
    return;
  }
  view_frame(word & PM_FRAME, p, (int)at, view);
  if (trace.thp && maps_huge(p, ARENA + at * PAGE)) add_huge(view->letters);
  if (view->letters[0] == 'Z') {
    strcpy(view->digest, "00");
    return;
  }
  if (word & PM_ONCE) strcat(view->letters, "E");
  if (word & PM_UFFD_WP) strcat(view->letters, "w");
  if (pread(procs[p].mem, bytes, PAGE, ARENA + at * PAGE) != PAGE) strcpy(view->digest, "?");
  else digest(bytes, PAGE, view->digest);
}

static void observe_process(int i, int p) {
  uint64_t *words = get(trace.pages * 8);
  struct view *now = get(trace.pages * sizeof *now);
  char *cnt;
  observe_vmas(i, p, &cnt);
  if (pread(procs[p].pagemap, words, trace.pages * 8, ARENA / PAGE * 8) != trace.pages * 8) die("pagemap");
  for (long at = 0; at < trace.pages; at++)
    if (words[at] & (PM_PRESENT | PM_SWAP | PM_GUARD | PM_UFFD_WP)) view_page(p, at, words[at], &now[at]);
    else now[at].q = -1;
  if (!last[p].pages[0].letters[0])
    for (long at = 0; at < trace.pages; at++)
      if (!last[p].pages[at].letters[0]) last[p].pages[at].q = -1;
  filled = 0;
  if (add_runs(now, last[p].pages, trace.pages)) printf("{\"i\":%d,\"proc\":%d,\"pages\":%s}\n", i, p, line);
  free(last[p].pages), free(words);
  last[p].pages = now;
  strcpy(line, cnt);
  free(cnt);
  print_changed(i, "cnt", p, &last[p].cnt);
}

static void add_pins(void) {
  int used = 0;
  filled = 0;
  add("[");
  for (int slot = 0; slot < PINS; slot++) {
    struct pin *pin = &pins[slot];
    if (!pin->used) continue;
    struct view *views = get(pin->pages * sizeof *views);
    long done = 0;
    move_pinned(slot, 0, pin->length, 0);
    for (int k = 0; k < pin->pages; k++) {
      view_frame(pin->held[k].pfn, 100 + slot, k, &views[k]);
      digest(buffer + done, pin->held[k].length, views[k].digest);
      done += pin->held[k].length;
    }
    add("%s[%d,", used++ ? "," : "", slot);
    add_runs(views, NULL, pin->pages);
    add("]");
    free(views);
  }
  add("]");
}

static void add_pipes(void) {
  int used = 0;
  filled = 0;
  add("[");
  for (int p = 0; p < PIPES; p++) {
    if (!pipes[p].parts) continue;
    add("%s[%d,[", used++ ? "," : "", p);
    for (int k = 0; k < pipes[p].parts; k++) {
      struct held *part = &pipes[p].part[k];
      struct view view;
      view_frame(part->pfn, 200 + p, k, &view);
      add("%s[%ld,%ld,\"%s\",%ld", k ? "," : "", part->offset, part->length, view.letters, view.mapcount);
      if (view.q >= 0) add(",\"%d:%d\"", view.q, view.b);
      add("]");
    }
    add("]]");
  }
  add("]");
}

static void add_files(void) {
  int used = 0;
  filled = 0;
  add("[");
  for (int id = 0; id < FILES; id++) {
    if (!files[id].used) continue;
    struct stat info;
    uint64_t range[2] = {0, 0}, stat[5];
    if (fstat(files[id].fd, &info) || syscall(SYS_cachestat, files[id].fd, range, stat, 0)) die("cachestat");
    add("%s[%d,%ld,%lu,%lu]", used++ ? "," : "", id, (long)info.st_size, stat[0], stat[1]);
  }
  add("]");
}

void observe(int i) {
  if (kpageflags < 0) start();
  round_number++;
  for (int p = 0; p < PROCESSES; p++)
    if (procs[p].pid) observe_process(i, p);
  add_pins();
  print_changed(i, "pins", -1, &last_pins);
  add_pipes();
  print_changed(i, "pipes", -1, &last_pipes);
  add_files();
  print_changed(i, "files", -1, &last_files);
}
