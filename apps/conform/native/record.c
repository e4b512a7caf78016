/*
 * record FOLDER < traces: every trace ends with the line `end`. Prints the output of each and the line `end STATUS`:
 * 0, or how the child that ran it ended. In namespaces of its own: nothing is mounted, and nothing runs, when it is gone.
 */
#include "record.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A trace takes no longer, seconds. */
#define TIME_LIMIT 20

static void *drain_page;

void die(const char *what) {
  fprintf(stderr, "record: %s: %s\n", what, strerror(errno));
  fflush(stdout);
  _exit(3);
}

/* Empties this CPU's batches of pages on their way to an LRU list. */
static void drain(void) {
  if (mlock(drain_page, PAGE) || munlock(drain_page, PAGE)) die("mlock");
}

static void run_trace(const char *folder) {
  static struct result result;
  alarm(TIME_LIMIT);
  make_world(folder);
  if (trace.observe_each) observe(-1);
  for (int i = 0; i < trace.count; i++) {
    struct op *op = &trace.ops[i];
    drain();
    run_op(op, &result);
    drain();
    print_result(i, op, &result);
    if (result.refused) continue;
    if (!strcmp(op->name, "exit")) forget_process((int)op->p);
    if (trace.observe_each || !strcmp(op->name, "observe")) observe(i);
  }
  fflush(stdout);
  _exit(0);
}

static void run_all(const char *folder) {
  if (mount("proc", "/proc", "proc", 0, NULL)) die("mount /proc");
  mount_disk(folder);
  drain_page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  while (read_trace(stdin)) {
    int status;
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) run_trace(folder);
    while (waitpid(pid, &status, 0) != pid) continue;
    kill(-1, SIGKILL);
    while (wait(NULL) > 0) continue;
    printf("end %d\n", status);
    fflush(stdout);
  }
  _exit(0);
}

static void pin_to_cpu(void) {
  cpu_set_t all, one;
  int cpu = 0;
  sched_getaffinity(0, sizeof all, &all);
  while (!CPU_ISSET(cpu, &all)) cpu++;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (sched_setaffinity(0, sizeof one, &one)) die("sched_setaffinity");
}

int main(int argc, char **argv) {
  int status;
  if (argc != 2) return 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pin_to_cpu();
  if (unshare(CLONE_NEWNS | CLONE_NEWPID) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) die("namespaces");
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_all(argv[1]);
  }
  waitpid(pid, &status, 0);
  return status ? 3 : 0;
}
