/*
 * The recorder: runs traces (trace format, version 1) on the running kernel and prints what it did in the same format.
 *
 * record.c          namespaces, one child per trace; the loop over a trace's operations
 * record-trace.c    the text of a trace
 * record-world.c    files, rings, pipes; the processes of a trace, and how an operation gets to one
 * record-ops.c      the operations
 * record-ring.c     io_uring: the pins
 * record-observe.c  the observations
 *
 * The controller owns files, rings and pipes, observes through /proc, and prints. The processes of a trace are its
 * children, also those that one of them forks. Everything runs on one CPU, one at a time.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define PAGE 4096L
#define ARENA 0x10000000000L
#define PROCESSES 4
#define FILES 8
#define PINS 8
#define PIPES 4
#define PIPE_PARTS 64
#define MAX_PAGES 65536
#define MAX_PIN (1L << 20)
/* Bytes of one transfer by the controller at most. */
#define MAX_BYTES (1L << 20)
#define MAX_DIGEST 4096

/* An operation. Defaults: n 1, f -1, at NONE, all else 0. */
#define NONE (-(1L << 40))
struct op {
  char name[16];
  long p, at, n, o, len, off, size, f, s, v, c, old, to, new, onfault;
  char words[96]; /* flags, adv, seals */
  char prot[8];
};

struct file_spec {
  int used;
  char kind[8];
  long pages, fill;
};

struct trace {
  long pages;
  int observe_each, thp;
  struct file_spec files[FILES];
  int count;
  struct op *ops;
};

/* What an operation gave. */
struct result {
  const char *refused; /* RANGE or BADREF: not run */
  int error;           /* errno, or 0 */
  long ret;
  int sig, code; /* a signal that ended a load, store or fill, and where */
  long at;
  long minor, major; /* faults */
  long bytes;        /* of data */
  pid_t child;
  unsigned char data[MAX_PAGES];
};

/* A page that a pin or a part of a pipe holds. */
struct held {
  uint64_t pfn;
  long offset, length;
};

struct pin {
  int used;
  long address, length;
  int pages;
  struct held held[MAX_PIN / PAGE + 1];
};

struct pipe_state {
  int fds[2];
  int parts;
  struct held part[PIPE_PARTS];
};

struct proc {
  pid_t pid; /* 0: not alive */
  int mem, pagemap, smaps;
};

struct open_file {
  int used, fd, direct;
  dev_t dev;
  ino_t ino;
};

extern struct trace trace;
extern struct proc procs[PROCESSES];
extern struct open_file files[FILES];
extern struct pin pins[PINS];
extern struct pipe_state pipes[PIPES];
/* MAX_BYTES of the controller that are always there: touching them is no fault. */
extern unsigned char *buffer;

void die(const char *what);

/* The next trace; 0: there is none. */
int read_trace(FILE *from);

/* Once, in a mount namespace of its own: a tmpfs on `folder`, in it an ext4 without journal or read-ahead. */
void mount_disk(const char *folder);
void make_world(const char *folder);
/* Runs `op` in process `op->p`. */
void ask_process(const struct op *op, struct result *result);
void end_process(int p);
/* The page at `address` of process `p`, by its pagemap word. */
uint64_t pagemap_word(int p, long address);
/* Touches all private memory outside the arena, so that the next operation's faults are its own. */
void touch_own(void);

/* What a process does; runs there. */
void process_op(const struct op *op, struct result *result);
/* All of an operation, seen from the controller. */
void run_op(const struct op *op, struct result *result);
/* Moves `length` bytes between `buffer` and the pinned buffer, from byte `offset` on; to_pin: a device's write. */
void move_pinned(int slot, long offset, long length, int to_pin);
void make_rings(void);
/* The descriptor of the ring of a pin. */
int ring_of(long slot);

void print_result(int i, const struct op *op, const struct result *result);
void observe(int i);
void forget_process(int p);
/* DIGEST of the format, into 12 bytes. */
void digest(const unsigned char *bytes, long length, char *into);
