/*
 * The bare-metal monitor that puts page-table images before an emulated MMU: what the part common to all machines and
 * a machine's own part know of each other.
 */
#ifndef MMU_MONITOR_H
#define MMU_MONITOR_H

/* Everything is reached relative to the program counter, never by a stored address. */
#pragma GCC visibility push(hidden)

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

/* One case of the input; the memory words (address, value) and the probes (address, kind) follow it. */
struct test {
  u64 regs[4]; /* x86-64: CR0, CR4, EFER, PKRU; arm64: TCR_EL1 */
  u64 root;    /* CR3; TTBR0_EL1 */
  u64 words;   /* how many memory words */
  u64 probes;  /* how many probes */
};

/* Kind of a probe: bits 1:0 the access, the others on top. */
#define PROBE_READ 0
#define PROBE_WRITE 1
#define PROBE_EXECUTE 2
#define PROBE_IDENTIFY 3 /* the monitor's own: a 4-byte read by the supervisor with every override there is */
#define PROBE_ACCESS 3
#define PROBE_USER 4
#define PROBE_OVERRIDE 8 /* x86-64: EFLAGS.AC; arm64: PSTATE.PAN */

/* What became of a probe. */
#define OUTCOME_OK 0
#define OUTCOME_FAULT 1
#define OUTCOME_ODD 2 /* an exception no MMU raises, or one at another instruction */

struct outcome {
  u64 kind;
  u64 code;    /* x86-64: vector << 32 | error code; arm64: ESR_EL1 */
  u64 address; /* CR2; FAR_EL1 */
  u64 value;   /* what a read or the executed instructions left in the first register */
};

/* Where things are, relative to the start of RAM; the file that backs RAM has the same offsets. */
#define RAM_INPUT 0x8000000UL
#define RAM_OUTPUT 0x20000000UL
#define RAM_ARENA 0x2000000UL
#define RAM_SHADOW 0x50000000UL /* the pristine copy of the arena */

#define INPUT_MAGIC 0x314e495f554d4dUL  /* "MMU_IN1" */
#define OUTPUT_MAGIC 0x54554f5f554d4dUL /* "MMU_OUT" */

/* The machine's part. */
extern const u64 ram_base;             /* physical */
void *at_physical(u64 pa);             /* the monitor's own mapping of RAM */
void fill_slot(u32 *slot, u32 pa);     /* 16 bytes: instructions that load `pa` and trap; at byte 12 `pa` as data */
void begin_test(const struct test *t); /* sets the mode; the image is loaded */
u64 reserved_word(const struct test *t, u64 *value); /* the table word that maps the monitor, or 0 */
void flush(const struct test *t);                    /* root and TLB, before every probe */
void end_test(const struct test *t);                 /* back to the monitor's own tables */
struct outcome probe(const struct test *t, u64 va, u64 kind);
void power_off(void) __attribute__((noreturn));

void monitor(void) __attribute__((noreturn));

#endif
