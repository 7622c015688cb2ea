/*
 * The page walk in C: the yardstick for hugewalk's core, and a third implementation of it, written apart from both.
 * Intel SDM vol. 3A, sections 4.5 (4-level and 5-level paging), 4.6.1 (access rights), 4.7 (page faults).
 *
 * It makes every check that the core makes and answers with the same outcome words (the picture of their bits stands in
 * assembly/outcome.ts). It is one plain walk an address: no cache of translations or of tables, no two walks interwoven.
 * What a C programmer would do for speed is done: the walk is compiled for a fixed number of levels and unrolled, the
 * processor's state is worked out before the loop, memory lies on 2 MiB pages where the system grants them.
 *
 *   walk                      reads a job from stdin; then, for each further byte that arrives, makes a repetition
 *                             (walks all addresses as often as the job says) and answers with a line
 *   walk --words              reads a job from stdin, walks all addresses once, writes the outcome words
 *   walk JOB REPETITIONS      reads a job from a file, one line for all repetitions
 *
 * A line is {"ns":[N, ...],"checksum":N}. A job, in little-endian u64:
 *
 *   magic "hwbench1" | CR0 | CR3 | CR4 | EFER | RFLAGS | MAXPHYADDR | 1 GiB pages? | access (its error-code bits) |
 *   bytes of memory | number of addresses | times that all of them are walked in a repetition |
 *   memory, from physical address 0 on ... | addresses ...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))
#define MASK(high, low) ((BIT((high) - (low) + 1) - 1) << (low))

/* Paging-structure entries. */
#define PRESENT BIT(0)
#define WRITABLE BIT(1)
#define USER BIT(2)
#define PAGE_SIZE_BIT BIT(7)
#define EXECUTE_DISABLE BIT(63)
#define ADDRESS MASK(51, 12)

/* Accesses, and error codes of a page fault. */
#define ERR_P 0x01
#define ERR_WRITE 0x02
#define ERR_USER 0x04
#define ERR_RSVD 0x08
#define ERR_FETCH 0x10

/* Outcome words. */
#define FAILED BIT(63)
enum kind { PAGE_FAULT, NON_CANONICAL, MISSING_TABLE };

struct job {
	char magic[8];
	uint64_t cr0, cr3, cr4, efer, rflags, maxphyaddr, page_1g, access;
	uint64_t bytes, count, passes;
};

/* What a walk needs to know; the same for all addresses of a job. */
struct mmu {
	const uint8_t *memory;
	uint64_t last_frame; /* physical address of the last whole 4 KiB that exist */
	uint64_t root;
	uint64_t reserved;   /* bits that must be 0 in every present entry */
	uint32_t permitted;  /* bit n: the rights n (W 1, U 2, X 4) permit the access */
	uint32_t code;       /* the access's part of an error code */
	bool page_1g;
	int root_shift;
};

static inline uint64_t level_of(int shift)
{
	return (uint64_t)((shift - 12) / 9 + 1);
}

static inline uint64_t failed(enum kind kind, int shift, uint64_t table, uint32_t code)
{
	return FAILED | (uint64_t)kind << 55 | level_of(shift) << 52 | table | code;
}

/* root_shift is given as a constant: all that depends on a level is then known when this is compiled. */
static inline __attribute__((always_inline)) uint64_t walk(const struct mmu *mmu, const int root_shift, uint64_t va)
{
	const int unused = 64 - (root_shift + 9);
	uint64_t table = mmu->root;
	uint64_t rights = WRITABLE | USER | EXECUTE_DISABLE; /* XD turned round: "may be executed" */

	if (__builtin_expect((uint64_t)((int64_t)(va << unused) >> unused) != va, 0))
		return FAILED | (uint64_t)NON_CANONICAL << 55;

#pragma GCC unroll 5
	for (int shift = root_shift; shift >= 12; shift -= 9) {
		if (__builtin_expect(table > mmu->last_frame, 0))
			return failed(MISSING_TABLE, shift, table, 0);

		uint64_t entry;
		memcpy(&entry, mmu->memory + table + (va >> (shift - 3) & 0xff8), sizeof entry);
		if (__builtin_expect(!(entry & PRESENT), 0))
			return failed(PAGE_FAULT, shift, table, mmu->code);

		bool leaf = shift == 12 || (shift <= 30 && (entry & PAGE_SIZE_BIT) && (shift == 21 || mmu->page_1g));
		uint64_t offset = BIT(shift) - 1;
		uint64_t reserved = mmu->reserved | (leaf ? offset & ~MASK(12, 0) : PAGE_SIZE_BIT);
		if (__builtin_expect((entry & reserved) != 0, 0))
			return failed(PAGE_FAULT, shift, table, mmu->code | ERR_P | ERR_RSVD);

		rights &= entry ^ EXECUTE_DISABLE;
		if (leaf) {
			uint32_t combination = (rights >> 1 & 3) | (rights >> 61 & 4);
			if (__builtin_expect(!(mmu->permitted >> combination & 1), 0))
				return failed(PAGE_FAULT, shift, table, mmu->code | ERR_P);
			return (entry & ADDRESS & ~offset) | (va & offset) | level_of(shift) << 52 |
			       (uint64_t)combination << 54;
		}
		table = entry & ADDRESS;
	}
	__builtin_unreachable(); /* level 1 has leaves only */
}

static __attribute__((noinline)) void walk_4_levels(struct mmu mmu, const uint64_t *restrict addresses, uint64_t count,
						    uint64_t *restrict outcomes)
{
	for (uint64_t i = 0; i < count; i++)
		outcomes[i] = walk(&mmu, 39, addresses[i]);
}

static __attribute__((noinline)) void walk_5_levels(struct mmu mmu, const uint64_t *restrict addresses, uint64_t count,
						    uint64_t *restrict outcomes)
{
	for (uint64_t i = 0; i < count; i++)
		outcomes[i] = walk(&mmu, 48, addresses[i]);
}

/* 4.6.1: whether an access is allowed to a linear address with these rights. */
static bool is_permitted(const struct job *job, bool writable, bool user, bool executable)
{
	const bool wp = job->cr0 & BIT(16), smep = job->cr4 & BIT(20), smap = job->cr4 & BIT(21);
	const bool ac = job->rflags & BIT(18);
	const bool write = job->access & ERR_WRITE, fetch = job->access & ERR_FETCH;

	if (job->access & ERR_USER)
		return user && (!write || writable) && (!fetch || executable);
	if (fetch)
		return executable && !(user && smep);
	if (user && smap && !ac)
		return false;
	return !write || writable || !wp;
}

static struct mmu mmu_of(const struct job *job, const uint8_t *memory)
{
	const bool nxe = job->efer & BIT(11), smep = job->cr4 & BIT(20), la57 = job->cr4 & BIT(12);
	struct mmu mmu = {
		.memory = memory,
		.last_frame = job->bytes - 4096,
		.root = job->cr3 & ADDRESS,
		.reserved = ADDRESS & ~(BIT(job->maxphyaddr) - 1),
		.code = (uint32_t)job->access,
		.page_1g = job->page_1g,
		.root_shift = la57 ? 48 : 39,
	};
	if (!nxe)
		mmu.reserved |= EXECUTE_DISABLE;
	if (!nxe && !smep)
		mmu.code &= ~(uint32_t)ERR_FETCH;
	for (uint32_t rights = 0; rights < 8; rights++)
		if (is_permitted(job, rights & 1, rights & 2, rights & 4))
			mmu.permitted |= 1u << rights;
	return mmu;
}

static void die(const char *message)
{
	fprintf(stderr, "walk: %s\n", message);
	exit(1);
}

static void read_all(int fd, void *to, uint64_t bytes)
{
	uint8_t *at = to;
	while (bytes > 0) {
		ssize_t n = read(fd, at, bytes < BIT(30) ? bytes : BIT(30));
		if (n == 0)
			die("job: expected more bytes than there are");
		if (n < 0 && errno != EINTR)
			die(strerror(errno));
		if (n > 0) {
			at += n;
			bytes -= (uint64_t)n;
		}
	}
}

/* Memory aligned to 2 MiB, on 2 MiB pages where the system grants them. */
static void *huge(uint64_t bytes)
{
	const uint64_t size = BIT(21);
	const uint64_t whole = (bytes + size - 1) & ~(size - 1);
	uint8_t *at = mmap(NULL, whole + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		die("no memory");
	at += -(uintptr_t)at & (size - 1);
#ifdef MADV_HUGEPAGE
	madvise(at, whole, MADV_HUGEPAGE);
#endif
	return at;
}

static struct job read_job(int fd)
{
	struct job job;
	read_all(fd, &job, sizeof job);
	if (memcmp(job.magic, "hwbench1", 8) != 0)
		die("job: expected the magic hwbench1");
	if (job.bytes < 4096 || job.bytes > BIT(40))
		die("job: expected 4096 to 2^40 bytes of memory");
	if (job.maxphyaddr < 36 || job.maxphyaddr > 52)
		die("job: expected a MAXPHYADDR from 36 to 52");
	if (job.access & ~(uint64_t)(ERR_WRITE | ERR_USER | ERR_FETCH))
		die("job: expected an access made of the bits W, U, I");
	if (job.count < 1 || job.count > BIT(30) || job.passes < 1 || job.passes > BIT(30))
		die("job: expected 1 to 2^30 addresses and passes");
	return job;
}

static uint64_t nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void walk_all(const struct mmu *mmu, const uint64_t *addresses, uint64_t count, uint64_t *outcomes)
{
	if (mmu->root_shift == 48)
		walk_5_levels(*mmu, addresses, count, outcomes);
	else
		walk_4_levels(*mmu, addresses, count, outcomes);
	__asm__ volatile("" ::: "memory"); /* what was written is needed, every time */
}

/* All passes, in nanoseconds. One before them does not count: it brings back what others took from the caches. */
static uint64_t repetition(const struct mmu *mmu, const struct job *job, const uint64_t *addresses, uint64_t *outcomes)
{
	walk_all(mmu, addresses, job->count, outcomes);
	uint64_t start = nanoseconds();
	for (uint64_t pass = 0; pass < job->passes; pass++)
		walk_all(mmu, addresses, job->count, outcomes);
	return nanoseconds() - start;
}

/* FNV-1a over the 32-bit halves of the words: the order counts. */
static uint32_t checksum(const uint64_t *words, uint64_t count)
{
	uint32_t sum = 0x811c9dc5;
	for (uint64_t i = 0; i < count; i++) {
		sum = (sum ^ (uint32_t)words[i]) * 0x01000193;
		sum = (sum ^ (uint32_t)(words[i] >> 32)) * 0x01000193;
	}
	return sum;
}

int main(int argc, char **argv)
{
	const bool words = argc == 2 && strcmp(argv[1], "--words") == 0;
	const bool from_file = argc == 3;
	if (argc > 3 || (argc == 2 && !words))
		die("usage: walk [--words | JOB REPETITIONS]");
	const int fd = from_file ? open(argv[1], O_RDONLY) : STDIN_FILENO;
	if (fd < 0)
		die(strerror(errno));
	const long repetitions = from_file ? strtol(argv[2], NULL, 10) : 1;
	if (repetitions < 1)
		die("expected at least 1 repetition");

	const struct job job = read_job(fd);
	uint8_t *memory = huge(job.bytes);
	uint64_t *addresses = huge(job.count * 8), *outcomes = huge(job.count * 8);
	read_all(fd, memory, job.bytes);
	read_all(fd, addresses, job.count * 8);
	const struct mmu mmu = mmu_of(&job, memory);

	if (words) {
		walk_all(&mmu, addresses, job.count, outcomes);
		return fwrite(outcomes, 8, job.count, stdout) == job.count ? 0 : 1;
	}

	char request;
	while (from_file || read(STDIN_FILENO, &request, 1) == 1) {
		printf("{\"ns\":[");
		for (long i = 0; i < repetitions; i++)
			printf(i ? ",%" PRIu64 : "%" PRIu64, repetition(&mmu, &job, addresses, outcomes));
		printf("],\"checksum\":%" PRIu32 "}\n", checksum(outcomes, job.count));
		fflush(stdout);
		if (from_file)
			break;
	}
	return 0;
}
