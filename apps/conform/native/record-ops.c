/* The operations: those a process runs, and those of the controller. */
#include "record.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

struct pin pins[PINS];

struct word {
  const char *text;
  long value;
};

static const struct word map_words[] = {
    {"private", MAP_PRIVATE}, {"shared", MAP_SHARED}, {"shared_validate", 3}, {"anon", MAP_ANONYMOUS},
    {"fixed", MAP_FIXED}, {"noreplace", MAP_FIXED_NOREPLACE}, {"populate", MAP_POPULATE}, {"locked", MAP_LOCKED},
    {"noreserve", MAP_NORESERVE}, {"growsdown", MAP_GROWSDOWN}, {"stack", MAP_STACK}, {"nonblock", MAP_NONBLOCK},
    {"32bit", MAP_32BIT}, {"sync", MAP_SYNC}, {NULL, 0}};
static const struct word remap_words[] = {{"maymove", 1}, {"fixed", 2}, {"dontunmap", 4}, {NULL, 0}};
static const struct word sync_words[] = {{"async", 1}, {"invalidate", 2}, {"sync", 4}, {NULL, 0}};
static const struct word seal_words[] = {{"seal", F_SEAL_SEAL}, {"shrink", F_SEAL_SHRINK}, {"grow", F_SEAL_GROW},
                                         {"write", F_SEAL_WRITE}, {"future_write", F_SEAL_FUTURE_WRITE}, {NULL, 0}};
static const struct word advices[] = {
    {"normal", 0}, {"random", 1}, {"sequential", 2}, {"willneed", 3}, {"dontneed", 4}, {"free", 8}, {"remove", 9},
    {"dontfork", 10}, {"dofork", 11}, {"mergeable", 12}, {"unmergeable", 13}, {"hugepage", 14}, {"nohugepage", 15},
    {"dontdump", 16}, {"dodump", 17}, {"wipeonfork", 18}, {"keeponfork", 19}, {"cold", 20}, {"pageout", 21},
    {"populate_read", 22}, {"populate_write", 23}, {"dontneed_locked", 24}, {"collapse", 25}, {"guard_install", 102},
    {"guard_remove", 103}, {NULL, 0}};

static int is(const struct op *op, const char *name) {
  return !strcmp(op->name, name);
}

static long flags_of(const struct op *op, const struct word *words) {
  long flags = 0;
  for (; words->text; words++) {
    char pattern[24];
    snprintf(pattern, sizeof pattern, ",%s,", words->text);
    if (strstr(op->words, pattern)) flags |= words->value;
  }
  return flags;
}

static int prot_of(const struct op *op) {
  int prot = strcmp(op->prot, "none") && strchr(op->prot, 'r') ? PROT_READ : 0;
  if (strchr(op->prot, 'w')) prot |= PROT_WRITE;
  if (strchr(op->prot, 'x')) prot |= PROT_EXEC;
  if (strchr(op->prot, 'G')) prot |= PROT_GROWSDOWN;
  return prot;
}

/* load, store, fill: byte by byte until a signal. */
static sigjmp_buf stopped;
static volatile siginfo_t stop;

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  stop.si_signo = info->si_signo;
  stop.si_code = info->si_code;
  stop.si_addr = info->si_addr;
  siglongjmp(stopped, 1);
}

static void access_memory(const struct op *op, struct result *result) {
  volatile long page = 0;
  int load = is(op, "load"), fill = is(op, "fill");
  if (sigsetjmp(stopped, 1) == 0) {
    for (; page < op->n; page++) {
      volatile unsigned char *byte = (volatile unsigned char *)(ARENA + (op->at + page) * PAGE + op->o);
      if (load) result->data[page] = *byte;
      else
        for (long i = 0; i < (fill ? PAGE : 1); i++) byte[i] = (unsigned char)op->v;
    }
  } else {
    result->sig = stop.si_signo;
    result->code = stop.si_code;
    result->at = (long)stop.si_addr;
  }
  result->ret = page;
  result->bytes = load ? page : 0;
}

static long to_page(long address) {
  return address == -1 ? -1 : (address - ARENA) / PAGE;
}

/* The call; -1 with errno, or its result. */
static long call(const struct op *op, struct result *result) {
  char *at = op->at == NONE ? NULL : (char *)(ARENA + op->at * PAGE);
  size_t length = op->n * PAGE;
  int fd = op->f < 0 ? -1 : files[op->f].fd, direct = op->f < 0 ? -1 : files[op->f].direct;
  if (is(op, "mmap")) return to_page((long)mmap(at, length, prot_of(op), flags_of(op, map_words), fd, op->off * PAGE));
  if (is(op, "munmap")) return munmap(at, length);
  if (is(op, "mprotect")) return mprotect(at, length, prot_of(op));
  if (is(op, "mremap")) {
    long flags = flags_of(op, remap_words);
    long to = flags == 0 ? 0 : ARENA + op->to * PAGE;
    return to_page(syscall(SYS_mremap, at, op->old * PAGE, op->new * PAGE, flags, to));
  }
  if (is(op, "madvise")) return madvise(at, length, (int)flags_of(op, advices));
  if (is(op, "mlock")) return mlock(at, length);
  if (is(op, "munlock")) return munlock(at, length);
  if (is(op, "mlock2")) return syscall(SYS_mlock2, at, length, op->onfault ? 1 : 0);
  if (is(op, "mseal")) return syscall(SYS_mseal, at, length, 0);
  if (is(op, "msync")) return syscall(SYS_msync, at, length, flags_of(op, sync_words));
  if (is(op, "mincore")) {
    long error = mincore(at, length, result->data);
    for (long i = 0; error == 0 && i < op->n; i++) result->data[i] &= 1;
    result->bytes = error ? 0 : op->n;
    return error;
  }
  at += op->o;
  if (is(op, "pin")) {
    struct iovec iov = {at, op->len};
    return syscall(SYS_io_uring_register, ring_of(op->s), IORING_REGISTER_BUFFERS, &iov, 1);
  }
  if (is(op, "vmsplice")) {
    struct iovec iov = {at, op->len};
    return vmsplice(pipes[op->s].fds[1], &iov, 1, SPLICE_F_NONBLOCK);
  }
  if (is(op, "dread")) return pread(direct, at, op->len, op->off);
  if (is(op, "dwrite")) return pwrite(direct, at, op->len, op->off);
  if (is(op, "bread")) return pread(fd, at, op->len, op->off);
  if (is(op, "bwrite")) return pwrite(fd, at, op->len, op->off);
  errno = ENOSYS;
  return -1;
}

static void take(struct result *result, long ret) {
  result->error = ret == -1 ? errno : 0;
  result->ret = ret;
}

void process_op(const struct op *op, struct result *result) {
  struct rusage before, after;
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  touch_own();
  getrusage(RUSAGE_SELF, &before);
  if (is(op, "load") || is(op, "store") || is(op, "fill")) access_memory(op, result);
  else take(result, call(op, result));
  getrusage(RUSAGE_SELF, &after);
  result->minor = after.ru_minflt - before.ru_minflt;
  result->major = after.ru_majflt - before.ru_majflt;
}

static int in_arena(long at, long n) {
  return at >= 0 && n >= 0 && at + n <= trace.pages;
}

static int bytes_in_arena(const struct op *op) {
  if (op->o < 0 || op->len < 0) return 0;
  return in_arena(op->at, op->len == 0 ? 0 : (op->o + op->len + PAGE - 1) / PAGE);
}

static int has_file(const struct op *op) {
  return op->f >= 0 && op->f < FILES && files[op->f].used;
}

static int has_process(long p) {
  return p >= 0 && p < PROCESSES && procs[p].pid;
}

/* Operations on a file alone. */
static long file_call(const struct op *op, struct result *result) {
  int fd = files[op->f].fd;
  if (is(op, "fread")) {
    long got = pread(fd, buffer, op->len, op->off);
    result->bytes = got < 0 ? 0 : got;
    return got;
  }
  if (is(op, "fwrite")) {
    memset(buffer, (int)op->v, op->len);
    return pwrite(fd, buffer, op->len, op->off);
  }
  if (is(op, "ftrunc")) return ftruncate(fd, op->size);
  if (is(op, "fpunch")) return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op->off, op->len);
  if (is(op, "falloc")) return fallocate(fd, 0, op->off, op->len);
  if (is(op, "fsync")) return fsync(fd);
  if (is(op, "fdrop")) {
    errno = posix_fadvise(fd, op->off, op->len, POSIX_FADV_DONTNEED);
    return errno ? -1 : 0;
  }
  return fcntl(fd, F_ADD_SEALS, (int)flags_of(op, seal_words));
}

/* The controller on memory of process p. */
static long remote_call(const struct op *op, struct result *result) {
  struct proc *proc = &procs[op->p];
  long address = ARENA + op->at * PAGE + op->o, got;
  struct iovec mine = {buffer, op->len}, theirs = {(void *)address, op->len};
  if (op->name[2] == 'w' || op->name[3] == 'w') memset(buffer, (int)op->v, op->len);
  if (is(op, "pvw")) return process_vm_writev(proc->pid, &mine, 1, &theirs, 1, 0);
  if (is(op, "memw")) return pwrite(proc->mem, buffer, op->len, address);
  if (is(op, "pvr")) got = process_vm_readv(proc->pid, &mine, 1, &theirs, 1, 0);
  else got = pread(proc->mem, buffer, op->len, address);
  result->bytes = got < 0 ? 0 : got;
  return got;
}

/* What the pages of [at, at + length) of process p are, as `held`. */
static int hold(long p, long at, long length, struct held *held) {
  int parts = 0;
  for (long done = 0; done < length; parts++) {
    long offset = (at + done) % PAGE, part = PAGE - offset < length - done ? PAGE - offset : length - done;
    held[parts] = (struct held){pagemap_word((int)p, at + done) & ((1UL << 55) - 1), offset, part};
    done += part;
  }
  return parts;
}

static void take_op(const struct op *op, struct result *result) {
  long at = ARENA + op->at * PAGE + op->o;
  ask_process(op, result);
  if (result->error) return;
  if (is(op, "pin")) {
    struct pin *pin = &pins[op->s];
    pin->used = 1, pin->address = at, pin->length = op->len;
    pin->pages = hold(op->p, at, op->len, pin->held);
  } else {
    struct pipe_state *pipe = &pipes[op->s];
    pipe->parts += hold(op->p, at, result->ret, pipe->part + pipe->parts);
  }
}

static void read_pipe(const struct op *op, struct result *result) {
  struct pipe_state *pipe = &pipes[op->s];
  long got = read(pipe->fds[0], buffer, op->len);
  take(result, got);
  result->bytes = got < 0 ? 0 : got;
  while (got > 0) {
    struct held *first = pipe->part;
    long part = first->length < got ? first->length : got;
    first->offset += part, first->length -= part, got -= part;
    if (first->length == 0) memmove(first, first + 1, --pipe->parts * sizeof *first);
  }
}

static void device_op(const struct op *op, struct result *result) {
  struct pin *pin = &pins[op->s];
  if (is(op, "unpin")) {
    take(result, syscall(SYS_io_uring_register, ring_of(op->s), IORING_UNREGISTER_BUFFERS, NULL, 0));
    if (!result->error) pin->used = 0;
    return;
  }
  if (!pin->used || op->len <= 0 || op->off < 0 || op->off + op->len > pin->length) {
    result->error = EINVAL;
    return;
  }
  int write = is(op, "dmaw");
  if (write) memset(buffer, (int)op->v, op->len);
  move_pinned((int)op->s, op->off, op->len, write);
  result->ret = op->len;
  result->bytes = write ? 0 : op->len;
}

/* The rules of the format: NULL, or why the operation is not run. */
static const char *refusal(const struct op *op) {
  const char *range = "RANGE", *badref = "BADREF";
  if (op->len > MAX_BYTES) die("len");
  if (is(op, "unpin") || is(op, "dmaw") || is(op, "dmar")) return op->s < 0 || op->s >= PINS ? badref : NULL;
  if (is(op, "piperead")) return op->s < 0 || op->s >= PIPES ? badref : NULL;
  if (op->name[0] == 'f' && !is(op, "fill") && !is(op, "fork")) return has_file(op) ? NULL : badref;
  if (is(op, "observe")) return NULL;
  if (!has_process(op->p)) return badref;
  if (is(op, "fork")) return op->c < 0 || op->c >= PROCESSES || procs[op->c].pid ? badref : NULL;
  if (is(op, "exit")) return NULL;
  if (is(op, "mmap")) {
    if (op->n < 0 || (op->at != NONE && !in_arena(op->at, op->n))) return range;
    return op->f >= 0 && !has_file(op) ? badref : NULL;
  }
  if (is(op, "mremap")) {
    long flags = flags_of(op, remap_words);
    if (!in_arena(op->at, op->old) || op->new < 0 || (flags == 0 && !in_arena(op->at, op->new))) return range;
    return (flags & 2) && !in_arena(op->to, op->new) ? range : NULL;
  }
  if (is(op, "pin") || is(op, "vmsplice")) {
    if (op->len <= 0 || op->len > MAX_PIN || !bytes_in_arena(op)) return range;
    if (is(op, "vmsplice")) return op->s < 0 || op->s >= PIPES ? range : NULL;
    return op->s < 0 || op->s >= PINS ? badref : NULL;
  }
  if (strlen(op->name) >= 5 && (!strcmp(op->name + 1, "read") || !strcmp(op->name + 1, "write")) && !has_file(op))
    return badref;
  if (op->len > 0 || is(op, "pvr") || is(op, "pvw") || is(op, "memr") || is(op, "memw"))
    return bytes_in_arena(op) ? NULL : range;
  return in_arena(op->at, op->n) ? NULL : range;
}

void run_op(const struct op *op, struct result *result) {
  memset(result, 0, offsetof(struct result, data));
  result->refused = refusal(op);
  if (result->refused || is(op, "observe")) return;
  if (is(op, "pin") || is(op, "vmsplice")) {
    take_op(op, result);
  } else if (is(op, "unpin") || is(op, "dmaw") || is(op, "dmar")) {
    device_op(op, result);
  } else if (is(op, "piperead")) {
    read_pipe(op, result);
  } else if (is(op, "exit")) {
    ask_process(op, result);
    end_process((int)op->p);
  } else if (op->name[0] == 'p' || !strncmp(op->name, "mem", 3) || (op->name[0] == 'f' && !is(op, "fill") && !is(op, "fork"))) {
    struct rusage before, after;
    touch_own();
    getrusage(RUSAGE_SELF, &before);
    take(result, op->name[0] == 'f' ? file_call(op, result) : remote_call(op, result));
    getrusage(RUSAGE_SELF, &after);
    if (op->name[0] != 'f') result->minor = after.ru_minflt - before.ru_minflt;
    if (op->name[0] != 'f') result->major = after.ru_majflt - before.ru_majflt;
  } else {
    ask_process(op, result);
    return;
  }
  if (result->bytes > 0 && !is(op, "pin")) memcpy(result->data, buffer, result->bytes < MAX_DIGEST ? result->bytes : MAX_DIGEST);
}
