/*
 * What a running kernel answers to brk(2) between other calls: prints scripts of random calls near the heap, after each its
 * result and the mappings there. Run as root: brk COUNT > data/brk.txt; the answers of Linux 6.18.44 are kept, and
 * test/brk.test.ts asks the model the same. Pages are counted from the start of the heap, brk in bytes from there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define NOBODY 65534
#define SYS_MSEAL 462

static char text[1 << 20];
static uint64_t seed;
static long heap;
static int smaps;

static long rnd(unsigned n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (long)((seed >> 33) % n);
}

static void *at(long page)
{
	return (void *)(heap + page * PAGE);
}

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static void slurp(int fd)
{
	int used = 0, got;
	while ((got = pread(fd, text + used, sizeof text - 1 - used, used)) > 0)
		used += got;
	text[used] = 0;
}

/* Start of the heap, field 47 of stat. */
static long start_brk(void)
{
	int fd = open("/proc/self/stat", O_RDONLY);
	slurp(fd);
	close(fd);
	char *p = strrchr(text, ')') + 2;
	for (int field = 3; field < 47; field++)
		p = strchr(p, ' ') + 1;
	return strtol(p, NULL, 10);
}

/* Pages that a line of status counts. */
static long status(const char *name)
{
	int fd = open("/proc/self/status", O_RDONLY);
	slurp(fd);
	close(fd);
	return strtol(strstr(text, name) + strlen(name), NULL, 10) / 4;
}

/* The mappings from 16 pages below the heap on: pages, rights, name, those flags that tell them apart. */
static void show(void)
{
	static const char *const flags[] = {" lo", " lf", " ac", " dc", " sl"};
	int near = 0;
	printf(" |");
	slurp(smaps);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		long start, end;
		char rights[8];
		int used = 0;
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s%n", &start, &end, rights, &used) == 3) {
			near = end > heap - 16 * PAGE && start < heap + 1000 * PAGE;
			char *name = line + used + strspn(line + used, " ");
			if (near)
				printf(" %ld,%ld,%s%s", (start - heap) / PAGE, (end - heap) / PAGE, rights, name);
		} else if (near && strncmp(line, "VmFlags:", 8) == 0) {
			for (int i = 0; i < 5; i++)
				if (strstr(line, flags[i]))
					printf(",%s", flags[i] + 1);
		}
	}
	printf("\n");
}

static long set_limit(int which, long bytes)
{
	struct rlimit limit;
	getrlimit(which, &limit);
	limit.rlim_cur = bytes;
	return result(setrlimit(which, &limit));
}

static void do_brk(void)
{
	long to = rnd(60 * PAGE);
	if (rnd(3) == 0)
		to = syscall(SYS_brk, 0) - heap + rnd(3 * PAGE) - 4000;
	if (rnd(3) == 0)
		to &= ~(PAGE - 1);
	if (rnd(12) == 0)
		to = -1 - rnd(PAGE);
	printf("brk %ld = %ld", to, syscall(SYS_brk, heap + to) - heap);
}

static void do_mmap(long page, long pages)
{
	int prot = rnd(3) == 0 ? PROT_READ : PROT_READ | PROT_WRITE;
	int grows = rnd(4) == 0 ? MAP_GROWSDOWN : 0;
	if (rnd(3) == 0)
		page = rnd(2) - pages;
	void *p = mmap(at(page), pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | grows, -1, 0);
	printf("mmap %ld %ld %d %d = %d", page, pages, prot, grows != 0, p == MAP_FAILED ? -errno : 0);
}

static void do_touch(long page)
{
	char byte = 0;
	struct iovec from = {&byte, 1}, to = {at(page), 1};
	printf("touch %ld = %ld", page, result(process_vm_writev(getpid(), &from, 1, &to, 1, 0)));
}

/* Three kinds of scripts: holes in the heap; without CAP_IPC_LOCK; limits of all and of data, without holes. */
static void call(int kind)
{
	long page = rnd(40), pages = 1 + rnd(12), more = rnd(60);
	int which = rnd(3), prot = rnd(2) ? PROT_READ : PROT_READ | PROT_WRITE, advice = rnd(2) ? MADV_DONTFORK : MADV_DOFORK;
	switch (rnd(kind == 0 ? 14 : 16)) {
	default:
		do_brk();
		break;
	case 7: case 8:
		if (kind == 2)
			do_brk();
		else
			printf("munmap %ld %ld = %ld", page, pages, result(munmap(at(page), pages * PAGE)));
		break;
	case 9:
		do_mmap(page, pages);
		break;
	case 10:
		printf("mprotect %ld %ld %d = %ld", page, pages, prot, result(mprotect(at(page), pages * PAGE, prot)));
		break;
	case 11:
		printf("lock %d = %ld", which, result(which == 0 ? munlockall() : mlockall(which == 1 ? MCL_FUTURE : MCL_FUTURE | MCL_ONFAULT)));
		break;
	case 12:
		if (which > 0)
			printf("madvise %ld %ld %d = %ld", page, pages, advice, result(madvise(at(page), pages * PAGE, advice)));
		else
			printf("mseal %ld %ld = %ld", page, pages, result(syscall(SYS_MSEAL, at(page), pages * PAGE, 0)));
		break;
	case 13:
		do_touch(page);
		break;
	case 14: case 15:
		if (kind == 1) {
			more += status("VmLck:");
			printf("memlock %ld = %ld", more, set_limit(RLIMIT_MEMLOCK, more * PAGE));
		} else if (which == 0)
			printf("as %ld = %ld", more, set_limit(RLIMIT_AS, (status("VmSize:") + more) * PAGE));
		else if (more < 6)
			printf("data none = %ld", set_limit(RLIMIT_DATA, 0));
		else
			printf("data %ld = %ld", more - 6, set_limit(RLIMIT_DATA, (status("VmData:") + more - 6) * PAGE));
	}
}

static void script(int number)
{
	seed = number * 7919 + 1;
	heap = start_brk();
	smaps = open("/proc/self/smaps", O_RDONLY);
	syscall(SYS_brk, heap);
	printf("script %d %d %ld\n", number, number % 3, status("VmData:"));
	set_limit(RLIMIT_MEMLOCK, 8 << 20);
	if (number % 3 == 1) {
		setresgid(NOBODY, NOBODY, NOBODY);
		setresuid(NOBODY, NOBODY, NOBODY);
	}
	for (long calls = 12 + rnd(8); calls > 0; calls--) {
		call(number % 3);
		show();
	}
	fflush(stdout);
	if (fork() == 0) {
		printf("fork = %ld", syscall(SYS_brk, 0) - heap);
		show();
		exit(0);
	}
	wait(NULL);
}

int main(int argc, char **argv)
{
	static char out[1 << 16];
	/* The C library must not use the heap. */
	setvbuf(stdout, out, _IOFBF, sizeof out);
	for (int i = 0; i < (argc > 1 ? atoi(argv[1]) : 1); i++) {
		fflush(stdout);
		if (fork() == 0) {
			script(i);
			exit(0);
		}
		wait(NULL);
	}
	return 0;
}
