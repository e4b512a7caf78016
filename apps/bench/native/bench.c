/*
 * The same operations on the running kernel. Reads `NAME PAGES` lines from standard input; each is done once, and the
 * nanoseconds it took for one unit (a page, or one operation) are printed, or `-` when the kernel refuses it.
 * Built on the spot by gcc -O2. Huge pages are off but where they are pinned, everything is touched before it is timed unless the touch is timed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L
#define HUGE 512
#define POPULATE_READ 22
#define POPULATE_WRITE 23

struct params {
  uint32_t words[30];
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static char *map(long pages) {
  char *p = mmap(0, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? 0 : p;
}

static void touch(char *p, long pages) {
  for (long i = 0; i < pages; i++) p[i * PAGE] = 1;
}

static int ring(void) {
  static int fd = -2;
  if (fd == -2) {
    struct params params;
    memset(&params, 0, sizeof params);
    fd = syscall(425, 1, &params);
  }
  return fd;
}

/* IORING_REGISTER_BUFFERS: a long-term write pin of all pages from p on; the opposite unpins. */
static double registration(char *p, long pages, int out) {
  struct iovec iov = {p, pages * PAGE};
  double start = now();
  int bad = ring() < 0 || syscall(427, ring(), 0, &iov, 1) != 0;
  double middle = now();
  if (!bad) syscall(427, ring(), 1, 0, 0);
  double end = now();
  return bad ? -1 : (out ? end - middle : middle - start) / pages;
}

static double small(long pages, int out) {
  char *p = map(pages);
  touch(p, pages);
  double ns = registration(p, pages, out);
  munmap(p, pages * PAGE);
  return ns;
}

static double pin(long pages) { return small(pages, 0); }
static double unpin(long pages) { return small(pages, 1); }

/* KiB of this process's anonymous memory in huge pages. */
static long huge_kib(void) {
  char line[256];
  long kib = -1;
  FILE *f = fopen("/proc/self/smaps_rollup", "r");
  while (f && kib < 0 && fgets(line, sizeof line, f)) sscanf(line, "AnonHugePages: %ld", &kib);
  if (f) fclose(f);
  return kib;
}

/* The same of huge pages. */
static double pin_huge(long pages) {
  char *p = map(pages + HUGE);
  char *from = (char *)(((uintptr_t)p + HUGE * PAGE - 1) / (HUGE * PAGE) * (HUGE * PAGE));
  prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
  int bad = madvise(from, pages * PAGE, MADV_HUGEPAGE);
  touch(from, pages);
  bad |= huge_kib() < pages * (PAGE / 1024);
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  double ns = bad ? -1 : registration(from, pages, 0);
  munmap(p, (pages + HUGE) * PAGE);
  return ns;
}

/* vmsplice: a short-term reference to every page. */
static double splice_(long pages) {
  static int fds[2];
  if (fds[1] == 0 && (pipe2(fds, O_NONBLOCK) != 0 || fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) < 0)) return -1;
  char *p = map(pages), *sink = map(1);
  touch(p, pages);
  struct iovec iov = {p, pages * PAGE};
  double start = now();
  long got = vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK);
  double end = now();
  while (got > 0 && read(fds[0], sink, PAGE) > 0) {}
  munmap(p, pages * PAGE);
  munmap(sink, PAGE);
  return got == pages * PAGE ? (end - start) / pages : -1;
}

/* process_vm_readv of one byte a page: the slow walk, remote. */
static double readv_(long pages) {
  char *p = map(pages), byte[1024];
  struct iovec local = {byte, pages}, remote[1024];
  if (pages > 1024) return -1;
  touch(p, pages);
  for (long i = 0; i < pages; i++) remote[i] = (struct iovec){p + i * PAGE, 1};
  double start = now();
  long got = process_vm_readv(getpid(), &local, 1, remote, pages, 0);
  double end = now();
  munmap(p, pages * PAGE);
  return got == pages ? (end - start) / pages : -1;
}

static double populate(long pages) {
  char *p = map(pages);
  touch(p, pages);
  double start = now();
  int bad = madvise(p, pages * PAGE, POPULATE_WRITE);
  double end = now();
  munmap(p, pages * PAGE);
  return bad ? -1 : (end - start) / pages;
}

static double write_fault(long pages) {
  char *p = map(pages);
  touch(p, 1);
  double start = now();
  for (long i = 1; i < pages; i++) p[i * PAGE] = 1;
  double end = now();
  munmap(p, pages * PAGE);
  return (end - start) / (pages - 1);
}

static double zero_fault(long pages) {
  volatile char *p = map(pages);
  (void)p[0];
  double start = now();
  for (long i = 1; i < pages; i++) (void)p[i * PAGE];
  double end = now();
  munmap((char *)p, pages * PAGE);
  return (end - start) / (pages - 1);
}

/* Writes after fork: with the child gone the page is reused, with the child alive it is copied. */
static double cow(long pages, int alive) {
  char *p = map(pages);
  int fds[2];
  char byte;
  if (pipe(fds) != 0) return -1;
  touch(p, pages);
  pid_t child = fork();
  if (child == 0) {
    close(fds[1]);
    if (alive && read(fds[0], &byte, 1) < 0) _exit(1);
    _exit(0);
  }
  close(fds[0]);
  if (!alive) waitpid(child, 0, 0);
  double start = now();
  touch(p, pages);
  double end = now();
  close(fds[1]);
  if (alive) waitpid(child, 0, 0);
  munmap(p, pages * PAGE);
  return (end - start) / pages;
}

static double cow_reuse(long pages) { return cow(pages, 0); }
static double cow_copy(long pages) { return cow(pages, 1); }

static double fork_once(void) {
  double start = now();
  pid_t child = fork();
  double end = now();
  if (child == 0) _exit(0);
  waitpid(child, 0, 0);
  return end - start;
}

/* What each populated page adds to fork. */
static double fork_(long pages) {
  double without = fork_once();
  char *p = map(pages);
  touch(p, pages);
  double with = fork_once();
  munmap(p, pages * PAGE);
  return (with - without) / pages;
}

static double unmap(long pages) {
  char *p = map(pages);
  touch(p, pages);
  double start = now();
  munmap(p, pages * PAGE);
  return (now() - start) / pages;
}

/* An untouched page mapped and unmapped among `vmas` others. */
static double map_unmap(long vmas) {
  char *p = map(2 * vmas + 2);
  for (long i = 0; i < vmas; i++) mprotect(p + 2 * i * PAGE, PAGE, PROT_READ);
  double start = now();
  for (int i = 0; i < 64; i++) munmap(map(1), PAGE);
  double end = now();
  munmap(p, (2 * vmas + 2) * PAGE);
  return (end - start) / 64;
}

/* One page in the middle made read-only and writable again: a split in three, and a merge. */
static double protect(long pages) {
  char *p = map(pages);
  touch(p, pages);
  double start = now();
  for (int i = 0; i < 64; i++) {
    mprotect(p + pages / 2 * PAGE, PAGE, PROT_READ);
    mprotect(p + pages / 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
  }
  double end = now();
  munmap(p, pages * PAGE);
  return (end - start) / 64;
}

static const struct {
  const char *name;
  double (*run)(long);
} table[] = {
  {"pin", pin},           {"pin-huge", pin_huge},   {"unpin", unpin},         {"vmsplice", splice_},  {"process_vm_readv", readv_},
  {"populate", populate}, {"write-fault", write_fault}, {"zero-fault", zero_fault}, {"cow-reuse", cow_reuse},
  {"cow-copy", cow_copy}, {"fork", fork_},          {"munmap", unmap},      {"mmap-munmap", map_unmap},
  {"mprotect", protect},
};

int main(void) {
  char name[32];
  long pages;
  struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  setrlimit(RLIMIT_MEMLOCK, &all);
  setvbuf(stdout, 0, _IOLBF, 0);
  while (scanf("%31s %ld", name, &pages) == 2) {
    double ns = -1;
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
      if (strcmp(name, table[i].name) == 0) ns = table[i].run(pages);
    if (ns < 0) printf("-\n");
    else printf("%.3f\n", ns);
  }
  return 0;
}
