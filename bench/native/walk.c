/*
 * The page walk in C: the yardstick for hugewalk's core, and a third implementation of it, written apart from both.
 * Intel SDM vol. 3A, sections 4.5 (4-level and 5-level paging), 4.6 (access rights, protection keys), 4.7 (page
 * faults), 4.8 (accessed and dirty flags), 4.9.2 (PAT), the chapter on linear-address pre-processing (LASS); vol. 1,
 * chapter 17 (shadow stacks). AMD APM vol. 2, section 5.3.
 *
 * It makes every check that the core makes and answers with the same outcome words (the picture of their bits stands in
 * assembly/outcome.ts). It is one plain walk an address: no cache of translations or of tables, no two walks interwoven.
 * What a C programmer would do for speed is done: the walk is compiled for a fixed number of levels and unrolled, once
 * with and once without the setting of A and D; what the processor's state makes of the access is worked out before the
 * loop; memory lies on 2 MiB pages where the system grants them. Nobody else uses the tables: A and D are set by plain
 * stores, and only where they are not set yet.
 *
 *   walk                      reads a job from stdin; then, for each further byte that arrives, makes a repetition
 *                             (walks all addresses as often as the job says) and answers with a line
 *   walk --once               reads a job from stdin, walks all addresses once, writes the outcome words, then the
 *                             memory as it is afterwards
 *   walk JOB REPETITIONS      reads a job from a file, one line for all repetitions
 *
 * A line is {"ns":[N, ...],"checksum":N}; the checksum is that of the outcome words, and of the memory after them where
 * A and D are set. A job, in little-endian u64:
 *
 *   magic "hwbench2" | CR0 | CR3 | CR4 | EFER | RFLAGS | PKRU | PKRS | MAXPHYADDR | 1 GiB pages? | AMD? |
 *   access (its error-code bits; bit 8: implicit) | marking: 0 none, 1 A and D are set, 2 the same, and they are all
 *   cleared before each time, which is not measured | bytes of memory | number of addresses | times that all of them
 *   are walked in a repetition | memory, from physical address 0 on ... | addresses ...
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
#define ACCESSED BIT(5)
#define DIRTY BIT(6)
#define PAGE_SIZE_BIT BIT(7)
#define GLOBAL BIT(8)
#define EXECUTE_DISABLE BIT(63)
#define ADDRESS MASK(51, 12)

/* Accesses, and error codes of a page fault. */
#define ERR_P 0x01
#define ERR_WRITE 0x02
#define ERR_USER 0x04
#define ERR_RSVD 0x08
#define ERR_FETCH 0x10
#define ERR_KEY 0x20
#define ERR_SHADOW_STACK 0x40
/* Not reported: the processor accesses a descriptor table or a TSS. */
#define IMPLICIT 0x100

/* Outcome words. */
#define FAILED BIT(63)
enum kind { PAGE_FAULT, NON_CANONICAL, MISSING_TABLE, LASS };

/* The rights of a page, bits of a number from 0 to 15. */
enum right { W = 1, U = 2, X = 4, SHADOW_STACK = 8 };

enum marking { PROBE, MARK, MARK_ANEW };

struct job {
	char magic[8];
	uint64_t cr0, cr3, cr4, efer, rflags, pkru, pkrs, maxphyaddr, page_1g, amd;
	uint64_t access, marking;
	uint64_t bytes, count, passes;
};

/* What a walk needs to know; the same for all addresses of a job. */
struct mmu {
	uint8_t *memory;
	uint64_t last_frame;     /* physical address of the last whole 4 KiB that exist */
	uint64_t root;
	uint64_t reserved;       /* bits that must be 0 in every present entry */
	uint64_t reserved_top;   /* bits that must be 0 in a present entry of level 4 or 5 */
	uint64_t half, halves;   /* the top of an address, sign included, may be half to half + halves; ~0 is the upper one */
	uint64_t marks;          /* what the access sets in a leaf */
	uint32_t code;           /* the access's part of an error code */
	uint32_t denied_by_key;  /* bit 2k + u: key k denies the access to supervisor (u = 0) or user pages */
	uint16_t permitted[16];  /* by protection key; bit n: the rights n permit the access */
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

#define INLINE static inline __attribute__((always_inline))
#define UNLIKELY(condition) __builtin_expect((condition), 0)

/* A walk on its way. */
struct state {
	uint64_t table;
	uint64_t rights; /* of all entries so far; XD turned round: "may be executed" */
	uint64_t outcome;
};

INLINE bool end(struct state *state, uint64_t outcome)
{
	state->outcome = outcome;
	return true;
}

/* What a leaf leads to. Everything that its word tells is moved from its bits in entries to its bits in the word. */
INLINE uint64_t page(const struct mmu *mmu, const int shift, const struct state *state, uint64_t entry, uint64_t va)
{
	const uint64_t offset = BIT(shift) - 1;
	uint64_t rights = state->rights & (entry ^ EXECUTE_DISABLE);
	uint64_t shadow_stack = (state->rights ^ rights) & entry >> 5 & WRITABLE; /* W lost only here, and D, which is bit 6 */
	uint64_t held = (rights & (WRITABLE | USER)) << 53 | (rights & EXECUTE_DISABLE) >> 7 | shadow_stack << 56;
	uint64_t key = entry >> 59 & 15;

	if (UNLIKELY(!(mmu->permitted[key] >> (held >> 54) & 1))) {
		bool by_key = mmu->denied_by_key >> (2 * key + (held >> 55 & 1)) & 1;
		return failed(PAGE_FAULT, shift, state->table, mmu->code | ERR_P | (by_key ? ERR_KEY : 0));
	}
	uint64_t pat = (entry & MASK(4, 3)) << 55 | (shift == 12 ? (entry & BIT(7)) << 53 : (entry & BIT(12)) << 48);
	return (entry & ADDRESS & ~offset) | (va & offset) | level_of(shift) << 52 | held | pat;
}

INLINE void set_marks(uint8_t *at, uint64_t entry, uint64_t marks)
{
	if (UNLIKELY((entry | marks) != entry)) {
		entry |= marks;
		memcpy(at, &entry, sizeof entry);
	}
}

/*
 * One level; true when the walk ends there. shift and marking are constants wherever this is inlined: all that depends
 * on them is known when it is compiled.
 */
INLINE bool step(const struct mmu *mmu, const int shift, const bool marking, struct state *state, uint64_t va)
{
	if (UNLIKELY(state->table > mmu->last_frame))
		return end(state, failed(MISSING_TABLE, shift, state->table, 0));

	uint8_t *at = mmu->memory + state->table + (va >> (shift - 3) & 0xff8);
	uint64_t entry;
	memcpy(&entry, at, sizeof entry);
	if (UNLIKELY(!(entry & PRESENT)))
		return end(state, failed(PAGE_FAULT, shift, state->table, mmu->code));

	const uint64_t low = shift <= 30 ? MASK(shift - 1, 0) & ~MASK(12, 0) : 0; /* reserved in a leaf */
	bool leaf = shift == 12 || (shift <= 30 && (entry & PAGE_SIZE_BIT) && (shift == 21 || mmu->page_1g));
	uint64_t reserved = shift >= 39 ? mmu->reserved_top : mmu->reserved | (leaf ? low : PAGE_SIZE_BIT);
	if (UNLIKELY((entry & reserved) != 0))
		return end(state, failed(PAGE_FAULT, shift, state->table, mmu->code | ERR_P | ERR_RSVD));

	if (leaf) {
		uint64_t outcome = page(mmu, shift, state, entry, va);
		if (marking && !(outcome & FAILED))
			set_marks(at, entry, mmu->marks);
		return end(state, outcome);
	}
	if (marking)
		set_marks(at, entry, ACCESSED);
	state->rights &= entry ^ EXECUTE_DISABLE;
	state->table = entry & ADDRESS;
	return false;
}

INLINE uint64_t walk(const struct mmu *mmu, const int root_shift, const bool marking, uint64_t va)
{
	uint64_t top = (uint64_t)((int64_t)va >> (root_shift + 8));
	if (UNLIKELY(top - mmu->half > mmu->halves))
		return FAILED | (uint64_t)(top + 1 > 1 ? NON_CANONICAL : LASS) << 55;

	/* Level after level, not a loop: then each level has a leaf's end of its own. */
	struct state state = {.table = mmu->root, .rights = WRITABLE | USER | EXECUTE_DISABLE};
	(void)((root_shift == 48 && step(mmu, 48, marking, &state, va)) || step(mmu, 39, marking, &state, va) ||
	       step(mmu, 30, marking, &state, va) || step(mmu, 21, marking, &state, va) ||
	       step(mmu, 12, marking, &state, va));
	return state.outcome;
}

/*
 * mmu and outcomes are not `restrict`: what a walk needs of *mmu is then read from there, a first-level cache, each time.
 * It is too much for the registers; told that it does not change, gcc copies it around, which takes longer.
 */
#define WALKS(name, root_shift, marking)                                                                               \
	static __attribute__((noinline)) void name(const struct mmu *mmu, const uint64_t *addresses, uint64_t count,   \
						   uint64_t *outcomes)                                                 \
	{                                                                                                              \
		for (uint64_t i = 0; i < count; i++)                                                                   \
			outcomes[i] = walk(mmu, root_shift, marking, addresses[i]);                                    \
	}
WALKS(probe_4_levels, 39, false)
WALKS(probe_5_levels, 48, false)
WALKS(mark_4_levels, 39, true)
WALKS(mark_5_levels, 48, true)

/* The access of a job, and the parts of the processor's state that decide what it may reach. */
struct rule {
	bool user, write, fetch, shadow_stack;
	bool wp, smep, smap, lass, pke, pks, nxe;
	bool ac_counts; /* RFLAGS.AC is set, and the access is one that it speaks for */
	uint32_t pkru, pkrs;
};

static struct rule rule_of(const struct job *job)
{
	return (struct rule){
		.user = job->access & ERR_USER,
		.write = job->access & ERR_WRITE,
		.fetch = job->access & ERR_FETCH,
		.shadow_stack = job->access & ERR_SHADOW_STACK,
		.wp = job->cr0 & BIT(16),
		.smep = job->cr4 & BIT(20),
		.smap = job->cr4 & BIT(21),
		.pke = job->cr4 & BIT(22),
		.pks = job->cr4 & BIT(24),
		.lass = job->cr4 & BIT(27),
		.nxe = job->efer & BIT(11),
		.ac_counts = (job->rflags & BIT(18)) && !(job->access & IMPLICIT),
		.pkru = (uint32_t)job->pkru,
		.pkrs = (uint32_t)job->pkrs,
	};
}

/* 4.6.1: whether an access is allowed to a linear address with these rights. */
static bool is_permitted(const struct rule *rule, uint32_t rights)
{
	const bool writable = rights & W, user = rights & U, executable = rights & X;

	if (rule->shadow_stack)
		return (rights & SHADOW_STACK) && user == rule->user;
	if (rule->user)
		return user && (!rule->write || writable) && (!rule->fetch || executable);
	if (rule->fetch)
		return executable && !(user && rule->smep);
	if (user && rule->smap && !rule->ac_counts)
		return false;
	return !rule->write || writable || !rule->wp;
}

/*
 * 4.6.2: whether protection key `key` denies the access to user pages (PKRU decides) or supervisor pages (PKRS does,
 * which says nothing of user mode: that may not go there anyhow).
 */
static bool key_denies(const struct rule *rule, bool user_pages, uint32_t key)
{
	if (rule->fetch || !(user_pages ? rule->pke : rule->pks && !rule->user))
		return false;
	const uint32_t pair = (user_pages ? rule->pkru : rule->pkrs) >> (2 * key);
	const bool access_disable = pair & 1, write_disable = pair & 2;
	return access_disable || (write_disable && rule->write && (rule->user || rule->wp));
}

/* LASS: whether bit 63 of the address alone forbids the access. */
static bool is_lass_violation(const struct rule *rule, bool upper)
{
	if (!rule->lass)
		return false;
	if (rule->user)
		return upper;
	return !upper && (rule->fetch || (rule->smap && !rule->ac_counts));
}

static struct mmu mmu_of(const struct job *job, uint8_t *memory)
{
	const struct rule rule = rule_of(job);
	const bool lower = !is_lass_violation(&rule, false), upper = !is_lass_violation(&rule, true);
	struct mmu mmu = {
		.memory = memory,
		.last_frame = job->bytes - 4096,
		.root = job->cr3 & ADDRESS,
		.reserved = (ADDRESS & ~(BIT(job->maxphyaddr) - 1)) | (rule.nxe ? 0 : EXECUTE_DISABLE),
		.half = upper ? ~UINT64_C(0) : 0,
		.halves = lower && upper,
		.marks = ACCESSED | (rule.write ? DIRTY : 0),
		.code = (uint32_t)job->access & (ERR_WRITE | ERR_USER | ERR_SHADOW_STACK),
		.page_1g = job->page_1g,
		.root_shift = job->cr4 & BIT(12) ? 48 : 39,
	};
	mmu.reserved_top = mmu.reserved | PAGE_SIZE_BIT | (job->amd ? GLOBAL : 0);
	if (rule.fetch && (rule.nxe || rule.smep))
		mmu.code |= ERR_FETCH;
	for (uint32_t key = 0; key < 16; key++) {
		for (uint32_t user = 0; user < 2; user++)
			mmu.denied_by_key |= (uint32_t)key_denies(&rule, user, key) << (2 * key + user);
		for (uint32_t rights = 0; rights < 16; rights++)
			if (is_permitted(&rule, rights) && !key_denies(&rule, rights & U, key))
				mmu.permitted[key] |= 1u << rights;
	}
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

/* Whether some instruction makes this access. */
static bool is_access(uint64_t access)
{
	switch (access & ~(uint64_t)ERR_USER) {
	case 0:
	case ERR_WRITE:
	case ERR_FETCH:
	case ERR_SHADOW_STACK:
	case ERR_SHADOW_STACK | ERR_WRITE:
		return true;
	case IMPLICIT:
	case IMPLICIT | ERR_WRITE:
		return !(access & ERR_USER);
	default:
		return false;
	}
}

static struct job read_job(int fd)
{
	struct job job;
	read_all(fd, &job, sizeof job);
	if (memcmp(job.magic, "hwbench2", 8) != 0)
		die("job: expected the magic hwbench2");
	if (job.bytes < 4096 || job.bytes > BIT(40))
		die("job: expected 4096 to 2^40 bytes of memory");
	if (job.maxphyaddr < 36 || job.maxphyaddr > 52)
		die("job: expected a MAXPHYADDR from 36 to 52");
	if (!is_access(job.access))
		die("job: expected an access that an instruction can make");
	if (job.marking > MARK_ANEW)
		die("job: expected a marking from 0 to 2");
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

static void walk_all(const struct mmu *mmu, const struct job *job, const uint64_t *addresses, uint64_t *outcomes)
{
	const bool five = mmu->root_shift == 48;
	if (job->marking == PROBE)
		(five ? probe_5_levels : probe_4_levels)(mmu, addresses, job->count, outcomes);
	else
		(five ? mark_5_levels : mark_4_levels)(mmu, addresses, job->count, outcomes);
	__asm__ volatile("" ::: "memory"); /* what was written is needed, every time */
}

/* Clears A and D wherever an entry may have them. */
static void clear_marks(uint8_t *memory, uint64_t bytes)
{
	uint64_t *entries = (uint64_t *)memory;
	for (uint64_t i = 0; i < bytes / 8; i++)
		entries[i] &= ~(ACCESSED | DIRTY);
}

/* All addresses once, as the job wants it; in nanoseconds. */
static uint64_t pass(const struct mmu *mmu, const struct job *job, const uint64_t *addresses, uint64_t *outcomes)
{
	if (job->marking == MARK_ANEW)
		clear_marks(mmu->memory, job->bytes);
	uint64_t start = nanoseconds();
	walk_all(mmu, job, addresses, outcomes);
	return nanoseconds() - start;
}

/* All passes, in nanoseconds. One before them does not count: it brings back what others took from the caches. */
static uint64_t repetition(const struct mmu *mmu, const struct job *job, const uint64_t *addresses, uint64_t *outcomes)
{
	uint64_t sum = 0;
	pass(mmu, job, addresses, outcomes);
	for (uint64_t i = 0; i < job->passes; i++)
		sum += pass(mmu, job, addresses, outcomes);
	return sum;
}

/* FNV-1a over the 32-bit halves of the words: the order counts. Goes on from `sum`. */
static uint32_t checksum(uint32_t sum, const uint64_t *words, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		sum = (sum ^ (uint32_t)words[i]) * 0x01000193;
		sum = (sum ^ (uint32_t)(words[i] >> 32)) * 0x01000193;
	}
	return sum;
}

int main(int argc, char **argv)
{
	const bool once = argc == 2 && strcmp(argv[1], "--once") == 0;
	const bool from_file = argc == 3;
	if (argc > 3 || (argc == 2 && !once))
		die("usage: walk [--once | JOB REPETITIONS]");
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

	if (once) {
		pass(&mmu, &job, addresses, outcomes);
		fwrite(outcomes, 8, job.count, stdout);
		fwrite(memory, 1, job.bytes, stdout);
		return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
	}

	char request;
	while (from_file || read(STDIN_FILENO, &request, 1) == 1) {
		printf("{\"ns\":[");
		for (long i = 0; i < repetitions; i++)
			printf(i ? ",%" PRIu64 : "%" PRIu64, repetition(&mmu, &job, addresses, outcomes));
		uint32_t sum = checksum(0x811c9dc5, outcomes, job.count);
		if (job.marking != PROBE)
			sum = checksum(sum, (const uint64_t *)memory, job.bytes / 8);
		printf("],\"checksum\":%" PRIu32 "}\n", sum);
		fflush(stdout);
		if (from_file)
			break;
	}
	return 0;
}
