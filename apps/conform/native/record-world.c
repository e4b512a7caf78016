/*
 * What a trace finds: files, rings, pipes, process 0. A process is a copy of the controller whose address space is full but
 * for the arena: PROT_NONE private mappings of a file, so that searches find room only inside. It waits for operations on a
 * page that all share. Memory of its own that an operation uses is touched first: its faults are not the operation's.
 */
#include "record.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_BYTES (64L << 20)
#define USER_START 0x10000L
#define USER_END 0x7ffffffff000L
#define STACK_BYTES (256L << 10)
#define MAX_MAPPINGS 64

struct proc procs[PROCESSES];
struct open_file files[FILES];
struct pipe_state pipes[PIPES];
unsigned char *buffer;

/* Where operations and results are handed over. */
static struct exchange {
  uint32_t turn[PROCESSES]; /* futex: 1 while the process works */
  struct op op;
  struct result result;
} *exchange;

/* Memory of this process outside the arena, but for the foreign mappings. */
static struct mapping {
  long start, end;
  int readable, writable;
} mappings[MAX_MAPPINGS];
static int mapping_count;
static int self; /* which process this is */

static void run(const char *const argv[]) {
  pid_t pid = fork();
  int status;
  if (pid == 0) {
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0), dup2(null, 1), dup2(null, 2);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
  }
  if (waitpid(pid, &status, 0) != pid || status) die(argv[0]);
}

void mount_disk(const char *folder) {
  char path[256], device[32];
  if (mount("tmpfs", folder, "tmpfs", 0, NULL)) die("mount tmpfs");
  snprintf(path, sizeof path, "%s/image", folder);
  int image = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (image < 0 || ftruncate(image, DISK_BYTES)) die(path);
  const char *mkfs[] = {"mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=0", path, NULL};
  run(mkfs);
  int loop = -1, control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  for (int tries = 0; tries < 100 && loop < 0; tries++) {
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) die("loop-control");
    snprintf(device, sizeof device, "/dev/loop%d", number);
    mknod(device, S_IFBLK | 0600, 7 << 8 | number);
    loop = open(device, O_RDWR | O_CLOEXEC);
    struct loop_config config = {.fd = image, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
    if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config)) close(loop), loop = -1;
  }
  if (loop < 0 || ioctl(loop, BLKRASET, 0L)) die("loop device");
  snprintf(path, sizeof path, "%s/disk", folder);
  mkdir(path, 0700);
  if (mount(device, path, "ext4", MS_NOATIME, NULL)) die("mount ext4");
  close(loop), close(image), close(control);
}

static void make_file(int id, const char *folder) {
  struct file_spec *spec = &trace.files[id];
  struct open_file *file = &files[id];
  char path[256];
  if (!strcmp(spec->kind, "memfd")) {
    file->fd = memfd_create("trace", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file->fd);
  } else {
    snprintf(path, sizeof path, "%s%s/f%d", folder, strcmp(spec->kind, "ext4") ? "" : "/disk", id);
    file->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  }
  if (file->fd < 0 || ftruncate(file->fd, spec->pages * PAGE)) die(path);
  for (long page = 0; spec->fill && page < spec->pages; page++) {
    memset(buffer, (int)(spec->fill + page) & 255, PAGE);
    if (pwrite(file->fd, buffer, PAGE, page * PAGE) != PAGE) die(path);
  }
  if (!strcmp(spec->kind, "ext4") && fsync(file->fd)) die(path);
  file->direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
  if (strcmp(spec->kind, "memfd")) unlink(path);
  struct stat info;
  fstat(file->fd, &info);
  file->dev = info.st_dev, file->ino = info.st_ino;
  file->used = 1;
}

static void read_mappings(void) {
  static char maps[1 << 16];
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), length = 0, got;
  while ((got = read(fd, maps + length, sizeof maps - 1 - length)) > 0) length += got;
  close(fd);
  maps[length] = 0;
  mapping_count = 0;
  for (char *save, *line = strtok_r(maps, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    struct mapping *mapping = &mappings[mapping_count++];
    char perm[5];
    if (mapping_count > MAX_MAPPINGS || sscanf(line, "%lx-%lx %4s", &mapping->start, &mapping->end, perm) != 3) die("maps");
    if (mapping->start < 0) mapping_count--; /* [vsyscall] */
    mapping->readable = perm[0] == 'r' && !strstr(line, "[v");
    mapping->writable = perm[1] == 'w';
  }
}

static void fill(long start, long end, int foreign) {
  if (start >= end) return;
  int flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE;
  if (mmap((void *)start, end - start, PROT_NONE, flags, foreign, 0) != (void *)start) die("foreign mapping");
}

/* Everything that is free but the arena. */
static void fill_space(int foreign) {
  long from = USER_START, arena_end = ARENA + trace.pages * PAGE;
  for (int i = 0; i <= mapping_count; i++) {
    long to = i < mapping_count ? mappings[i].start : USER_END;
    if (from < ARENA && to > ARENA) {
      fill(from, ARENA, foreign);
      from = arena_end;
    }
    fill(from, to, foreign);
    if (to == USER_END) return;
    from = mappings[i].end;
  }
}

void touch_own(void) {
  for (int i = 0; i < mapping_count; i++) {
    for (long at = mappings[i].start; mappings[i].readable && at < mappings[i].end; at += PAGE) {
      volatile char *byte = (volatile char *)at;
      char value = *byte;
      if (mappings[i].writable) *byte = value;
    }
  }
}

static void futex(uint32_t *word, int op, uint32_t value) {
  syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void serve(void) {
  for (;;) {
    uint32_t *turn = &exchange->turn[self];
    while (!__atomic_load_n(turn, __ATOMIC_ACQUIRE)) futex(turn, FUTEX_WAIT, 0);
    struct op *op = &exchange->op;
    struct result *result = &exchange->result;
    if (!strcmp(op->name, "exit")) _exit(0);
    if (!strcmp(op->name, "fork")) {
      int child = (int)op->c; /* the next operation may be there before the child runs */
      long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
      if (pid == 0) {
        self = child;
        continue;
      }
      result->error = pid < 0 ? errno : 0;
      result->ret = child;
      result->child = (pid_t)pid;
    } else {
      process_op(op, result);
    }
    __atomic_store_n(turn, 0, __ATOMIC_RELEASE);
    futex(turn, FUTEX_WAKE, 1);
  }
}

static void open_proc(int p, pid_t pid) {
  char path[64];
  int fds[3];
  const char *names[3] = {"mem", "pagemap", "smaps"};
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "/proc/%d/%s", pid, names[i]);
    fds[i] = open(path, (i ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fds[i] < 0) die(path);
  }
  procs[p] = (struct proc){pid, fds[0], fds[1], fds[2]};
}

void ask_process(const struct op *op, struct result *result) {
  uint32_t *turn = &exchange->turn[op->p];
  exchange->op = *op;
  memset(&exchange->result, 0, offsetof(struct result, data));
  __atomic_store_n(turn, 1, __ATOMIC_RELEASE);
  futex(turn, FUTEX_WAKE, 1);
  if (!strcmp(op->name, "exit")) return;
  while (__atomic_load_n(turn, __ATOMIC_ACQUIRE)) futex(turn, FUTEX_WAIT, 1);
  memcpy(result, &exchange->result, offsetof(struct result, data));
  if (result->bytes > 0) memcpy(result->data, exchange->result.data, result->bytes);
  if (result->child > 0) open_proc((int)op->c, result->child);
}

void end_process(int p) {
  waitpid(procs[p].pid, NULL, 0);
  close(procs[p].mem), close(procs[p].pagemap), close(procs[p].smaps);
  procs[p].pid = 0;
  exchange->turn[p] = 0;
}

uint64_t pagemap_word(int p, long address) {
  uint64_t word = 0;
  if (pread(procs[p].pagemap, &word, 8, address / PAGE * 8) != 8) die("pagemap");
  return word;
}

/* The stack cannot grow any more once foreign mappings lie below it. */
static __attribute__((noinline)) void grow_stack(void) {
  volatile char deep[STACK_BYTES];
  for (long i = 0; i < STACK_BYTES; i += PAGE) deep[i] = 0;
  (void)deep[0];
}

void make_world(const char *folder) {
  int shared = MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE;
  exchange = mmap(NULL, sizeof *exchange, PROT_READ | PROT_WRITE, shared, -1, 0);
  buffer = mmap(NULL, MAX_BYTES, PROT_READ | PROT_WRITE, shared, -1, 0);
  if (exchange == MAP_FAILED || buffer == MAP_FAILED) die("memory");
  madvise(buffer, MAX_BYTES, MADV_DONTFORK);
  for (int id = 0; id < FILES; id++)
    if (trace.files[id].used) make_file(id, folder);
  make_rings();
  for (int s = 0; s < PIPES; s++)
    if (pipe2(pipes[s].fds, O_NONBLOCK | O_CLOEXEC) || fcntl(pipes[s].fds[1], F_SETPIPE_SZ, PIPE_PARTS * PAGE) < 0)
      die("pipe");
  int foreign = memfd_create("foreign", MFD_CLOEXEC);
  if (!trace.thp) prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  grow_stack();
  pid_t pid = fork();
  if (pid == 0) {
    read_mappings();
    fill_space(foreign);
    exchange->turn[0] = 0;
    __atomic_store_n(&exchange->turn[1], 1, __ATOMIC_RELEASE);
    futex(&exchange->turn[1], FUTEX_WAKE, 1);
    serve();
  }
  if (pid < 0) die("fork");
  while (!__atomic_load_n(&exchange->turn[1], __ATOMIC_ACQUIRE)) futex(&exchange->turn[1], FUTEX_WAIT, 0);
  exchange->turn[1] = 0;
  read_mappings();
  open_proc(0, pid);
}
