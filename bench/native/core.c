/*
 * The core as C (npm run build:c), with the jobs of walk.c and its answers: for tests, and to measure one beside the other.
 *
 *   core            reads a job from stdin; then, for each further byte that arrives, makes a repetition and answers with a line
 *   core --once     reads a job from stdin, walks all addresses once, writes the outcome words, then the memory
 *
 * walk.c has the layout of a job. With -DTLB the accesses go through a TLB.
 */
#define _POSIX_C_SOURCE 200809L
#include "hugewalk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct job {
	char magic[8];
	uint64_t cr0, cr3, cr4, efer, rflags, pkru, pkrs, maxphyaddr, page_1g, amd, access, marking, bytes, count, passes;
};

static void *read_all(void *to, uint64_t bytes)
{
	uint8_t *at = to;
	while (bytes > 0) {
		const ssize_t got = read(STDIN_FILENO, at, bytes);
		if (got <= 0) {
			fputs("job: ended early\n", stderr);
			exit(2);
		}
		at += got;
		bytes -= (uint64_t)got;
	}
	return to;
}

static uint64_t nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void clear_marks(uint8_t *memory, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += 8)
		memory[at] &= (uint8_t)~0x60;
}

/* All addresses once; in nanoseconds. */
static uint64_t pass(hugewalk *cpu, const struct job *job, uint8_t *memory, const uint64_t *va, uint64_t *outcomes)
{
	if (job->marking == 2)
		clear_marks(memory, job->bytes);
	const uint32_t access = (uint32_t)job->access | (job->marking ? HUGEWALK_ACCESS_MARK : 0);
	const uint64_t start = nanoseconds();
#ifdef TLB
	for (uint64_t i = 0; i < job->count; i++)
		outcomes[i] = hugewalk_tlb_translate(cpu, va[i], access);
#else
	hugewalk_translate_many(cpu, va, job->count, access, outcomes);
#endif
	return nanoseconds() - start;
}

static uint32_t checksum(uint32_t sum, const void *words, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += 4) {
		uint32_t half;
		memcpy(&half, (const uint8_t *)words + at, 4);
		sum = (sum ^ half) * 0x01000193;
	}
	return sum;
}

int main(int argc, char **argv)
{
	struct job job;
	read_all(&job, sizeof job);
	const uint32_t tlb = (uint32_t)(job.bytes + 63) & ~UINT32_C(63);
	uint8_t *memory = aligned_alloc(1 << 21, (tlb + hugewalk_tlb_bytes(10, 5) + (1u << 21) - 1) & ~((UINT64_C(1) << 21) - 1));
	uint64_t *va = malloc(job.count * 8), *outcomes = malloc(job.count * 8);
	if (memcmp(job.magic, "hwbench2", 8) != 0 || !memory || !va || !outcomes)
		return 2;
	read_all(memory, job.bytes);
	read_all(va, job.count * 8);

	hugewalk cpu;
	hugewalk_init(&cpu, memory, 0, job.bytes);
	const hugewalk_registers registers = {
		.cr0 = job.cr0,
		.cr3 = job.cr3,
		.cr4 = job.cr4,
		.efer = job.efer,
		.rflags = job.rflags,
		.pkru = (uint32_t)job.pkru,
		.pkrs = (uint32_t)job.pkrs,
		.max_physical_address = (uint32_t)job.maxphyaddr,
		.features = (job.page_1g ? HUGEWALK_FEATURE_PAGE_1G : 0) | (job.amd ? HUGEWALK_FEATURE_AMD : 0),
	};
	hugewalk_set_registers(&cpu, &registers);
	hugewalk_make_tlb(&cpu, tlb, 10, 5);

	if (argc == 2 && strcmp(argv[1], "--once") == 0) {
		pass(&cpu, &job, memory, va, outcomes);
		fwrite(outcomes, 8, job.count, stdout);
		fwrite(memory, 1, job.bytes, stdout);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	char request;
	while (read(STDIN_FILENO, &request, 1) == 1) {
		uint64_t ns = 0;
		pass(&cpu, &job, memory, va, outcomes);
		for (uint64_t i = 0; i < job.passes; i++)
			ns += pass(&cpu, &job, memory, va, outcomes);
		uint32_t sum = checksum(0x811c9dc5, outcomes, job.count * 8);
		if (job.marking)
			sum = checksum(sum, memory, job.bytes);
		printf("{\"ns\":[%" PRIu64 "],\"checksum\":%" PRIu32 "}\n", ns, sum);
		fflush(stdout);
	}
	return 0;
}
