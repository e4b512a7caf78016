// Wrote proc.txt, as root on Linux 6.18.44: gcc -static-pie -O0 proc.c && ./a.out FILE, FILE on ext4.
// Prints what /proc/self says of the arena: smaps; status, less what it said before; pagemap without PFNs.
// Inode numbers in proc.txt are 1, 2, 3 in order of appearance.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define BASE 0x200000000UL
#define END (BASE + 0x4000000UL)
#define MADV_GUARD_INSTALL 102

static volatile char *arena = (char *)BASE;
static char buf[1 << 20];
// Without what the program's own pages change meanwhile: VmRSS, VmHWM, RssAnon, RssFile.
static const char *ROWS[] = {"VmPeak", "VmSize", "VmLck", "VmPin", "RssShmem", "VmData",
                             "VmStk",  "VmExe",  "VmLib", "VmPTE", "VmSwap"};
static long before[11];

static void *at(long page) { return (void *)(arena + page * PAGE); }
static void put(long page) { *(volatile char *)at(page) = 1; }
static char get(long page) { return *(volatile char *)at(page); }

static void map(long page, long pages, int prot, int flags, int fd, long offset) {
  if (mmap(at(page), pages * PAGE, prot, flags | MAP_FIXED, fd, offset * PAGE) == MAP_FAILED) exit(1);
}

static void slurp(const char *path) {
  int fd = open(path, O_RDONLY), n = 0, k;
  while ((k = read(fd, buf + n, sizeof buf - 1 - n)) > 0) n += k;
  close(fd);
  buf[n] = 0;
}

static void smaps(const char *title) {
  int in = 0;
  printf("== smaps %s\n", title);
  slurp("/proc/self/smaps");
  for (char *line = strtok(buf, "\n"); line; line = strtok(0, "\n")) {
    unsigned long start, end;
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2) in = start >= BASE && start < END;
    if (in) puts(line);
  }
}

static void status(const char *title) {
  slurp("/proc/self/status");
  if (title) printf("== status %s:", title);
  for (int i = 0; i < 11; i++) {
    long value = strtol(strstr(buf, ROWS[i]) + strlen(ROWS[i]) + 1, 0, 10);
    if (title) printf(" %s %ld", ROWS[i], value - before[i]);
    else before[i] = value;
  }
  if (title) puts("");
}

static void pagemap(const char *title, int page, int pages) {
  int fd = open("/proc/self/pagemap", O_RDONLY);
  printf("== pagemap %s %d:", title, page);
  for (int i = 0; i < pages; i++) {
    uint64_t word, low;
    pread(fd, &word, 8, (BASE / PAGE + page + i) * 8);
    low = word & ((1UL << 55) - 1);
    printf(" %lx%s", (unsigned long)(word >> 55), word >> 62 == 1 ? "!" : low ? "+" : "");
    if (word >> 62 == 1) printf("%lx", (unsigned long)low);
  }
  puts("");
  close(fd);
}

int main(int argc, char **argv) {
  int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS, pipes[2];
  status(0);
  map(0, 8, rw, anon, -1, 0), put(0), put(1), get(2);
  map(16, 4, PROT_NONE, anon, -1, 0);
  int mem = memfd_create("buf", 0);
  ftruncate(mem, 8 * PAGE);
  map(32, 4, rw, MAP_SHARED, mem, 0), put(32), get(33);
  map(48, 4, rw, MAP_PRIVATE, mem, 0), get(48), put(49);
  map(64, 4, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0), put(64);
  map(80, 2, rw, anon, -1, 0), mlock(at(80), 2 * PAGE);
  map(96, 2, rw, anon, -1, 0), put(96), put(97), madvise(at(96), 2 * PAGE, MADV_FREE), put(97);
  map(112, 3, rw, anon, -1, 0), put(112), put(113), madvise(at(113), PAGE, MADV_GUARD_INSTALL);
  map(128, 2, rw, anon | MAP_GROWSDOWN, -1, 0), put(129);
  map(144, 2, rw, anon | MAP_NORESERVE, -1, 0);
  int disk = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0644);
  for (int i = 0; i < 8; i++) write(disk, buf, PAGE);
  fsync(disk);
  map(160, 4, rw, MAP_SHARED, disk, 0), get(160), put(161);
  map(176, 4, PROT_READ, MAP_PRIVATE, disk, 4), get(176);
  map(192, 4, PROT_READ | PROT_EXEC, MAP_PRIVATE, disk, 0), get(192);
  map(512, 1024, rw, anon, -1, 0), madvise(at(512), 1024 * PAGE, MADV_HUGEPAGE), put(512);
  smaps("one"), status("one");
  pagemap("anon", 0, 8), pagemap("memfd", 32, 4), pagemap("private", 48, 4), pagemap("free", 96, 2);
  pagemap("guard", 112, 3), pagemap("disk", 160, 4), pagemap("huge", 511, 3), pagemap("huge", 1023, 2);
  pipe(pipes);
  fflush(stdout);
  if (fork() == 0) _exit(read(pipes[0], buf, 1));
  usleep(10000);
  put(0);
  smaps("two"), status("two"), pagemap("anon", 0, 8), pagemap("huge", 511, 3);
  mprotect(at(600), PAGE, PROT_READ);
  smaps("three"), status("three"), pagemap("huge", 599, 3);
  munmap(at(512), 1024 * PAGE);
  status("four");
  write(pipes[1], "x", 1);
  wait(0);
}
