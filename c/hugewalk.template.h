/*
 * hugewalk: the x86-64 MMU in C. Exact 4-level and 5-level page walks with a TLB that you own.
 *
 * One struct hugewalk is one processor. It walks page tables in memory of yours, the window: up to 4 GiB from a pointer on, in which
 * guest-physical memory lies as one range, and beside it the TLBs. Nothing else is touched, nothing is allocated.
 *
 *	window                                                     window + up to 4 GiB
 *	| ............ guest-physical memory ............ | TLB | TLB | ...
 *	^ window + image_at = guest-physical 0
 *
 * Several processors may have one window; each has its own TLBs. A processor is for one thread at a time. Entries are read, and A and D
 * set, without atomic operations: guests of several threads need a lock around marking accesses.
 *
 * Made by scripts/build-c.mjs of hugewalk VERSION. MIT licence.
 */
#ifndef HUGEWALK_H
#define HUGEWALK_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* @CONSTANTS@ */

/* A processor. Its fields are its own: use the functions. */
typedef struct hugewalk {
	uint8_t *window;
	struct {
/* @STATE@ */
	} state;
} hugewalk;

/* What a walk depends on, as the processor has it. */
typedef struct hugewalk_registers {
	uint64_t cr0, cr3, cr4, efer, rflags;
	uint32_t pkru, pkrs;          /* where CR4.PKE, CR4.PKS are set */
	uint32_t max_physical_address; /* CPUID's MAXPHYADDR in bits, 36 to 52 */
	uint32_t features;             /* HUGEWALK_FEATURE_... */
} hugewalk_registers;

/* An entry that a walk has read. */
typedef struct hugewalk_load {
	uint64_t address; /* guest-physical */
	uint64_t entry;   /* as it was before A or D was set */
} hugewalk_load;

/* What hugewalk_walk_loads writes: HUGEWALK_LOADS_BYTES bytes. */
typedef struct hugewalk_loads {
	uint64_t outcome;
	hugewalk_load load[5]; /* from the root down */
} hugewalk_loads;

/*
 * A processor with all registers 0, over image_bytes of guest-physical memory (a multiple of 4096, at least that) from window + image_at
 * on. image_at + image_bytes is at most 4 GiB.
 */
void hugewalk_init(hugewalk *cpu, void *window, uint32_t image_at, uint64_t image_bytes);

/* Takes registers over. No TLB drops anything: see hugewalk_invalidate_... */
void hugewalk_set_registers(hugewalk *cpu, const hugewalk_registers *registers);

/* Walks one address for one kind of access, a sum of HUGEWALK_ACCESS_...; 0 is a supervisor's read. Answers with an outcome word. */
uint64_t hugewalk_translate(hugewalk *cpu, uint64_t va, uint32_t access);

/* The same, and writes which entries were read, to window + at. Answers with their number. */
uint32_t hugewalk_walk_loads(hugewalk *cpu, uint64_t va, uint32_t access, uint32_t at);

/* Makes an access, and answers with the page for a TLB of your own: an outcome word whose low 12 bits are D, G and the protection key. */
uint64_t hugewalk_fill_page(hugewalk *cpu, uint64_t va, uint32_t access);

/* What registers make of an access: bit n, 0 to 15, says whether a page with these rights (hugewalk_rights) permits it. */
uint32_t hugewalk_rule_of(hugewalk *cpu, uint32_t access);

/* Bytes of a TLB with 2^log2_pages entries for each page size and 2^log2_tables for each level of tables. */
uint32_t hugewalk_tlb_bytes(uint32_t log2_pages, uint32_t log2_tables);

/* Makes an empty TLB at window + at (a multiple of 64), and selects it. */
void hugewalk_make_tlb(hugewalk *cpu, uint32_t at, uint32_t log2_pages, uint32_t log2_tables);

/* The TLB at window + at, made before by this processor, is the one that is used from here on. */
void hugewalk_select_tlb(hugewalk *cpu, uint32_t at);

/* The selected TLB goes away. */
void hugewalk_drop_tlb(hugewalk *cpu);

/* Makes an access through the selected TLB: A and D are set. */
uint64_t hugewalk_tlb_translate(hugewalk *cpu, uint64_t va, uint32_t access);

/* Accesses through the selected TLB since it was made; those of them for which tables were read. */
uint64_t hugewalk_tlb_lookups(hugewalk *cpu);
uint64_t hugewalk_tlb_misses(hugewalk *cpu);

/* What drops entries of the selected TLB: INVLPG; INVPCID of types 0 and 1; types 2 and 3 (keep_global). */
void hugewalk_invalidate_page(hugewalk *cpu, uint64_t va);
void hugewalk_invalidate_pcid_page(hugewalk *cpu, uint64_t va, uint64_t pcid);
void hugewalk_invalidate_pcid(hugewalk *cpu, uint64_t pcid, bool keep_global);
void hugewalk_invalidate_all(hugewalk *cpu, bool keep_global);

/*
 * An outcome word.
 *
 *  translated   63 62 61 60    58  57 56 55 54  53  52 51                                           0
 *              +--+-----+--------+---+--+--+--+-------+----------------------------------------------+
 *              | 0|  0  |  PAT   |SS |X |U |W | level | physical address, offset in the page included |
 *              +--+-----+--------+---+--+--+--+-------+----------------------------------------------+
 *
 *  failed       63 62    58 57  55 54   52 51                                  12 11            0
 *              +--+--------+------+-------+--------------------------------------+---------------+
 *              | 1|    0   | kind | level | physical address of the table        | #PF error code|
 *              +--+--------+------+-------+--------------------------------------+---------------+
 */

/* Whether an access reached no page. */
static inline bool hugewalk_failed(uint64_t outcome)
{
	return (outcome & HUGEWALK_OUTCOME_FAILED) != 0;
}

/* Of an access that reached a page: the guest-physical address. */
static inline uint64_t hugewalk_physical(uint64_t outcome)
{
	return outcome & HUGEWALK_OUTCOME_ADDRESS_MASK;
}

/* Of an access that reached a page: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB. */
static inline uint32_t hugewalk_level(uint64_t outcome)
{
	return (uint32_t)(outcome >> HUGEWALK_OUTCOME_LEVEL_SHIFT) & 3;
}

/* Of an access that reached a page: 1 writable, 2 user, 4 executable, 8 a shadow-stack page; over all levels. */
static inline uint32_t hugewalk_rights(uint64_t outcome)
{
	return (uint32_t)(outcome >> HUGEWALK_OUTCOME_RIGHTS_SHIFT) & 15;
}

/* Of an access that reached none: HUGEWALK_KIND_... */
static inline uint32_t hugewalk_kind(uint64_t outcome)
{
	return (uint32_t)(outcome >> HUGEWALK_FAILURE_KIND_SHIFT) & 7;
}

/* Of HUGEWALK_KIND_PAGE_FAULT: the error code that the processor pushes. */
static inline uint32_t hugewalk_error_code(uint64_t outcome)
{
	return (uint32_t)(outcome & HUGEWALK_FAILURE_CODE_MASK);
}

/* Walks many addresses; outcomes may be the same array. */
static inline void hugewalk_translate_many(hugewalk *cpu, const uint64_t *va, uint64_t count, uint32_t access,
					   uint64_t *outcomes)
{
	for (uint64_t i = 0; i < count; i++)
		outcomes[i] = hugewalk_translate(cpu, va[i], access);
}

#ifdef __cplusplus
}
#endif
#endif
