/* The rings whose registered buffers are the pins, and the device: fixed reads and writes through a pipe. */
#include "record.h"
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bytes of one move: what a pipe holds. */
#define MOVE 65536L

static struct ring {
  int fd;
  uint32_t *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
  struct io_uring_sqe *sqes;
  struct io_uring_cqe *cqes;
} rings[PINS];
static int device[2];

static void *map_ring(int fd, size_t length, off_t offset) {
  void *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
  if (at == MAP_FAILED || madvise(at, length, MADV_DONTFORK)) die("io_uring mapping");
  return at;
}

void make_rings(void) {
  if (pipe(device)) die("pipe");
  for (int slot = 0; slot < PINS; slot++) {
    struct ring *ring = &rings[slot];
    struct io_uring_params params = {0};
    ring->fd = (int)syscall(SYS_io_uring_setup, 2, &params);
    if (ring->fd < 0) die("io_uring");
    char *sq = map_ring(ring->fd, params.sq_off.array + params.sq_entries * 4, IORING_OFF_SQ_RING);
    char *cq = map_ring(ring->fd, params.cq_off.cqes + params.cq_entries * sizeof *ring->cqes, IORING_OFF_CQ_RING);
    ring->sqes = map_ring(ring->fd, params.sq_entries * sizeof *ring->sqes, IORING_OFF_SQES);
    ring->sq_tail = (uint32_t *)(sq + params.sq_off.tail);
    ring->sq_mask = (uint32_t *)(sq + params.sq_off.ring_mask);
    ring->sq_array = (uint32_t *)(sq + params.sq_off.array);
    ring->cq_head = (uint32_t *)(cq + params.cq_off.head);
    ring->cq_tail = (uint32_t *)(cq + params.cq_off.tail);
    ring->cq_mask = (uint32_t *)(cq + params.cq_off.ring_mask);
    ring->cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
  }
}

int ring_of(long slot) {
  return rings[slot].fd;
}

static long submit(struct ring *ring, const struct io_uring_sqe *sqe) {
  uint32_t index = *ring->sq_tail & *ring->sq_mask;
  ring->sqes[index] = *sqe;
  ring->sq_array[index] = index;
  __atomic_store_n(ring->sq_tail, *ring->sq_tail + 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) die("io_uring_enter");
  long got = ring->cqes[*ring->cq_head & *ring->cq_mask].res;
  __atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
  return got;
}

void move_pinned(int slot, long offset, long length, int to_pin) {
  for (long done = 0; done < length;) {
    long part = length - done < MOVE ? length - done : MOVE;
    if (to_pin && write(device[1], buffer + done, part) != part) die("device");
    for (long moved = 0; moved < part;) {
      struct io_uring_sqe sqe = {.opcode = to_pin ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED, .fd = device[!to_pin],
                                 .off = -1UL, .addr = pins[slot].address + offset + done + moved, .len = part - moved};
      long got = submit(&rings[slot], &sqe);
      if (got <= 0) die("device");
      moved += got;
    }
    for (long moved = 0; !to_pin && moved < part;) {
      long got = read(device[0], buffer + done + moved, part - moved);
      if (got <= 0) die("device");
      moved += got;
    }
    done += part;
  }
}
