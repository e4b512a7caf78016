/*
 * Asks the MMU of a riscv64 machine: for each case of the input the tables are written, satp and mstatus set, and each
 * probe is one access through them, from a pristine TLB. Bare metal, machine mode, one hart; QEMU's `virt` board.
 *
 *   0x0_8000_0000 .. 0x0_ffff_ffff  all that S and U mode reach (PMP entry 0): the RAM of the probe format
 *     + 0x0400_0000, 32 MiB, and + 0x4400_0000, 16 MiB: islands of the self-address pattern
 *   0x1_0000_0000  this program and its stack; 0x1_0800_0000  the input
 *
 * Pattern, 16 bytes at each multiple of 16: `lui t0; addi t0` that make the slot's own address (low 32 bits), `ebreak`,
 * and the address itself. A fetch runs it; a read or write is followed by a read of the slot through the same address.
 *
 * Data accesses are machine-mode loads and stores with mstatus.MPRV, fetches an mret into S or U mode. No trap is
 * delegated. All words are little endian. The input and the output are lists of 64-bit words:
 *
 *   in:  number of cases; a case: satp, flags (1 SUM, 2 MXR, 4 menvcfg.PBMTE, 8 cumulative), number of words, number of
 *        probes; a word: address, value; a probe: address, kind (0 r, 1 w, 2 x; 4 user)
 *   out: MAGIC; a case: CASE, satp as it stuck, menvcfg, a result for each probe; END
 *        a result: cause (all ones: no trap), tval, pa (all ones: not known), number of changes; a change: address, old, new
 */
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

#define NONE (~0UL)
#define MAGIC 0x3634766373697221UL
#define CASE 0x65736163UL
#define END 0x646e65UL
#define BROKEN 0x6e656b6f7262UL

#define RAM 0x80000000UL
#define INPUT ((const u64 *)0x108000000UL)
#define UART ((volatile u8 *)0x10000000UL)
#define POWER ((volatile u32 *)0x100000UL)

#define MPP_S (1UL << 11)
#define SUM (1UL << 18)
#define MXR (1UL << 19)
#define PBMTE (1UL << 62)
#define CAUSE_ILLEGAL 2
#define CAUSE_BREAKPOINT 3

#define csr_write(csr, value) asm volatile("csrw " #csr ", %0" ::"r"(value) : "memory")
#define csr_read(csr) ({ u64 v_; asm volatile("csrr %0, " #csr : "=r"(v_)::"memory"); v_; })

/* What the last access ended with; written by mmu-riscv64.S too. */
struct trap {
    u64 cause, tval, epc, value;
};
extern struct trap trap;
/* One access at `va` with the bits `mode` of mstatus; each fills `trap` (cause NONE: it went through). */
extern void access_load_byte(u64 va, u64 mode);
extern void access_load_word(u64 va, u64 mode);
extern void access_store_byte(u64 va, u64 mode, u64 value);
extern void access_fetch(u64 va, u64 mode);

static void put(u64 value)
{
    for (int i = 0; i < 8; i++, value >>= 8) *UART = (u8)value;
}

static void __attribute__((noreturn)) stop(u64 word)
{
    put(word);
    for (;;) *POWER = 0x5555;
}

static int is_island(u64 pa)
{
    u64 at = pa - RAM;
    return at - 0x4000000 < 0x2000000 || at - 0x44000000 < 0x1000000;
}

static u32 lui_t0(u64 slot)
{
    return (u32)((slot + 0x800) & 0xfffff000) | 0x2b7;
}

static u32 addi_t0(u64 slot)
{
    return (u32)(slot & 0xfff) << 20 | 0x28293;
}

static void fill(u64 start, u64 size)
{
    for (u64 slot = start; slot < start + size; slot += 16) {
        volatile u32 *p = (volatile u32 *)slot;
        p[0] = lui_t0(slot);
        p[1] = addi_t0(slot);
        p[2] = 0x00100073;
        p[3] = (u32)slot;
    }
}

static void flush(void)
{
    asm volatile("sfence.vma\n\tfence.i" ::: "memory");
}

/* The slot `va` lies in, by the words of the pattern the byte at `va` is not part of; NONE: no island. */
static u64 slot_of(u64 va, u64 mode)
{
    u64 base = va & ~15UL, slot;
    if ((va & 15) < 12) {
        access_load_word(base + 12, mode);
        if (trap.cause != NONE) return NONE;
        slot = trap.value & 0xffffffff;
    } else {
        access_load_word(base, mode);
        if (trap.cause != NONE) return NONE;
        u64 high = trap.value & 0xfffff000;
        access_load_word(base + 4, mode);
        if (trap.cause != NONE) return NONE;
        slot = (high + (u64)((long)(int)trap.value >> 20)) & 0xffffffff;
    }
    if ((slot & 15) != 0 || !is_island(slot)) return NONE;
    const volatile u32 *p = (const volatile u32 *)slot;
    if ((va & 15) >= 12) return p[0] == lui_t0(slot) && p[1] == addi_t0(slot) ? slot : NONE;
    return p[3] == (u32)slot ? slot : NONE;
}

static u8 pattern_byte(u64 pa)
{
    u64 slot = pa & ~15UL;
    u32 words[4] = {lui_t0(slot), addi_t0(slot), 0x00100073, (u32)slot};
    return (u8)(words[(pa & 15) / 4] >> (pa & 3) * 8);
}

struct word {
    u64 address, value;
};

/* What the words of the case hold before a probe, and after it. */
static u64 now[4096], changed[4096];

/* Puts the words back. */
static void restore(const struct word *words, u64 count)
{
    for (u64 i = 0; i < count; i++) *(volatile u64 *)words[i].address = now[i];
    flush();
}

static void probe(const struct word *words, u64 count, u64 va, u64 kind, u64 mode, int cumulative)
{
    int write = (kind & 3) == 1, fetch = (kind & 3) == 2;
    u64 old = 0, pa = NONE, changes = 0;
    if ((kind & 4) == 0) mode |= MPP_S;
    if (write) { /* what the byte was, to put it back */
        access_load_byte(va, mode);
        old = trap.value;
        restore(words, count);
    }
    flush();
    if (fetch) access_fetch(va, mode);
    else if (write) access_store_byte(va, mode, old ^ 0xff);
    else access_load_byte(va, mode);
    struct trap result = trap;
    for (u64 i = 0; i < count; i++) {
        changed[i] = *(volatile u64 *)words[i].address;
        if (changed[i] != now[i]) changes++;
    }
    if (fetch) {
        if (result.cause == CAUSE_BREAKPOINT && result.epc == va + 8) pa = result.value & 0xffffffff;
        else if (result.cause != CAUSE_ILLEGAL && result.epc != va) stop(BROKEN);
        if (result.cause == CAUSE_BREAKPOINT || result.cause == CAUSE_ILLEGAL) result.cause = NONE;
        if (pa != NONE && ((pa & 15) != 0 || !is_island(pa))) stop(BROKEN);
    } else if (result.cause == NONE) {
        u64 slot = slot_of(va, mode);
        if (slot != NONE) {
            pa = slot + (va & 15);
            u8 byte = *(volatile u8 *)pa;
            if (byte != (u8)(write ? old ^ 0xff : result.value)) stop(BROKEN);
            if ((write ? (u8)old : byte) != pattern_byte(pa)) stop(BROKEN);
        }
        if (write) access_store_byte(va, mode, old);
    }
    put(result.cause);
    put(result.cause == NONE ? 0 : result.tval);
    put(pa);
    put(changes);
    for (u64 i = 0; i < count; i++) {
        if (changed[i] == now[i]) continue;
        put(words[i].address);
        put(now[i]);
        put(changed[i]);
        if (cumulative) now[i] = changed[i];
    }
    restore(words, count);
}

void __attribute__((noreturn)) main(void)
{
    csr_write(pmpaddr0, (RAM | (0x80000000UL / 2 - 1)) >> 2); /* NAPOT: 2 GiB */
    csr_write(pmpcfg0, 0x1fUL);
    csr_write(medeleg, 0UL);
    csr_write(mideleg, 0UL);
    csr_write(mie, 0UL);
    fill(RAM + 0x4000000, 0x2000000);
    fill(RAM + 0x44000000, 0x1000000);
    put(MAGIC);
    const u64 *in = INPUT;
    for (u64 cases = *in++; cases > 0; cases--) {
        u64 satp = in[0], flags = in[1], count = in[2], probes = in[3];
        const struct word *words = (const struct word *)(in + 4);
        in += 4 + count * 2;
        if (count > 4096) stop(BROKEN);
        for (u64 i = 0; i < count; i++) {
            now[i] = words[i].value;
            *(volatile u64 *)words[i].address = words[i].value;
        }
        csr_write(satp, satp);
        csr_write(0x30a, (flags & 4) != 0 ? PBMTE : 0UL);
        put(CASE);
        put(csr_read(satp));
        put(csr_read(0x30a));
        u64 mode = ((flags & 1) != 0 ? SUM : 0) | ((flags & 2) != 0 ? MXR : 0);
        for (; probes > 0; probes--, in += 2) probe(words, count, in[0], in[1], mode, (flags & 8) != 0);
        for (u64 i = 0; i < count; i++) *(volatile u64 *)words[i].address = 0;
    }
    stop(END);
}
