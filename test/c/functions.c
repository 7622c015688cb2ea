/* What hugewalk.h says of its functions, one after the other. Prints what does not hold; nothing, and status 0, if all does. */
#include "hugewalk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RAM = 1 << 20, AT = 1 << 16, TLB = 0x2000 };
#define RIGHTS (HUGEWALK_PRESENT | HUGEWALK_WRITABLE | HUGEWALK_USER)

static int status;

static void expect(const char *what, uint64_t found, uint64_t wanted)
{
	if (found == wanted)
		return;
	printf("%s: expected 0x%" PRIx64 ", found 0x%" PRIx64 "\n", what, wanted, found);
	status = 1;
}

static uint64_t entry_at(const uint8_t *window, uint64_t at)
{
	uint64_t entry;
	memcpy(&entry, window + AT + at, 8);
	return entry;
}

static void set_entry(uint8_t *window, uint64_t at, uint64_t entry)
{
	memcpy(window + AT + at, &entry, 8);
}

static void begin(hugewalk *cpu, uint8_t *window, uint32_t tlb)
{
	const hugewalk_registers registers = {
		.cr0 = HUGEWALK_CR0_PG | HUGEWALK_CR0_WP | 1,
		.cr3 = 0x1000,
		.cr4 = 0x20 | HUGEWALK_CR4_PGE | HUGEWALK_CR4_PCIDE,
		.efer = 0xd00,
		.max_physical_address = 46,
		.features = HUGEWALK_FEATURE_PAGE_1G,
	};
	hugewalk_init(cpu, window, AT, RAM);
	hugewalk_set_registers(cpu, &registers);
	hugewalk_make_tlb(cpu, tlb, 4, 2);
}

/* Whether the page at va is cached: the tables no longer have it. */
static bool is_cached(hugewalk *cpu, uint8_t *window, uint64_t va, uint64_t at)
{
	const uint64_t entry = entry_at(window, at);
	set_entry(window, at, 0);
	const bool found = !hugewalk_failed(hugewalk_tlb_translate(cpu, va, 0));
	set_entry(window, at, entry);
	return found;
}

int main(void)
{
	/* A window with TLBs before the guest's memory. */
	uint8_t *window = calloc(1, AT + RAM);
	if (window == NULL)
		return 1;
	set_entry(window, 0x1000, 0x2000 | RIGHTS);
	set_entry(window, 0x2000, 0x3000 | RIGHTS);
	set_entry(window, 0x3000, 0x4000 | RIGHTS);
	set_entry(window, 0x4008, 0x8000 | RIGHTS);
	set_entry(window, 0x4010, 0x9000 | RIGHTS | HUGEWALK_GLOBAL);

	hugewalk cpu, other;
	begin(&cpu, window, TLB);
	begin(&other, window, 2 * TLB);

	expect("a walk", hugewalk_physical(hugewalk_translate(&cpu, 0x1234, 0)), 0x8234);
	expect("a probe leaves A", entry_at(window, 0x4008) & HUGEWALK_ACCESSED, 0);

	expect("loads", hugewalk_walk_loads(&cpu, 0x1234, HUGEWALK_ACCESS_MARK | HUGEWALK_ACCESS_WRITE, 0), 4);
	hugewalk_loads loads;
	memcpy(&loads, window, sizeof loads);
	expect("the loads' outcome", hugewalk_physical(loads.outcome), 0x8234);
	expect("the first load", loads.load[0].address, 0x1000);
	expect("the last load", loads.load[3].address, 0x4008);
	expect("what it held", loads.load[3].entry, 0x8000 | RIGHTS);
	expect("A and D", entry_at(window, 0x4008), 0x8000 | RIGHTS | HUGEWALK_ACCESSED | HUGEWALK_DIRTY);

	const uint64_t page = hugewalk_fill_page(&cpu, 0x2abc, HUGEWALK_ACCESS_MARK);
	expect("a page's address", hugewalk_physical(page) & ~UINT64_C(0xfff), 0x9000);
	expect("a page's G and D", page & 0xfff, HUGEWALK_TLB_GLOBAL);
	expect("its level", hugewalk_level(page), 1);
	expect("its rights", hugewalk_rights(page), 7);
	expect("who may write", hugewalk_rule_of(&cpu, HUGEWALK_ACCESS_WRITE) & 0xffff, 0xaa); /* a shadow-stack page has W clear */

	expect("a miss", hugewalk_physical(hugewalk_tlb_translate(&cpu, 0x1000, 0)), 0x8000);
	expect("a hit", hugewalk_physical(hugewalk_tlb_translate(&cpu, 0x1008, 0)), 0x8008);
	expect("lookups", hugewalk_tlb_lookups(&cpu), 2);
	expect("misses", hugewalk_tlb_misses(&cpu), 1);
	expect("the other's lookups", hugewalk_tlb_lookups(&other), 0);
	expect("the other's caches", is_cached(&other, window, 0x1000, 0x4008), false);

	expect("cached", is_cached(&cpu, window, 0x1000, 0x4008), true);
	hugewalk_invalidate_page(&cpu, 0x1000);
	expect("INVLPG", is_cached(&cpu, window, 0x1000, 0x4008), false);
	hugewalk_tlb_translate(&cpu, 0x1000, 0);
	hugewalk_invalidate_pcid_page(&cpu, 0x1000, 5);
	expect("another context's page", is_cached(&cpu, window, 0x1000, 0x4008), true);
	hugewalk_invalidate_pcid_page(&cpu, 0x1000, 0);
	expect("this context's page", is_cached(&cpu, window, 0x1000, 0x4008), false);
	hugewalk_tlb_translate(&cpu, 0x1000, 0);
	hugewalk_tlb_translate(&cpu, 0x2000, 0);
	hugewalk_invalidate_pcid(&cpu, 0, true);
	expect("a context", is_cached(&cpu, window, 0x1000, 0x4008), false);
	expect("its global page", is_cached(&cpu, window, 0x2000, 0x4010), true);
	hugewalk_invalidate_all(&cpu, true);
	expect("all but global pages", is_cached(&cpu, window, 0x2000, 0x4010), true);
	hugewalk_invalidate_all(&cpu, false);
	expect("all", is_cached(&cpu, window, 0x2000, 0x4010), false);

	hugewalk_tlb_translate(&cpu, 0x1000, 0);
	hugewalk_make_tlb(&cpu, 3 * TLB, 4, 2);
	expect("an empty TLB", is_cached(&cpu, window, 0x1000, 0x4008), false);
	hugewalk_select_tlb(&cpu, TLB);
	expect("the first again", is_cached(&cpu, window, 0x1000, 0x4008), true);
	hugewalk_drop_tlb(&cpu);

	const uint64_t fault = hugewalk_translate(&cpu, 0x3000, HUGEWALK_ACCESS_WRITE | HUGEWALK_ACCESS_USER);
	expect("a fault's kind", hugewalk_kind(fault), HUGEWALK_KIND_PAGE_FAULT);
	expect("a fault's code", hugewalk_error_code(fault), 6);
	expect("not canonical", hugewalk_kind(hugewalk_translate(&cpu, UINT64_C(1) << 63, 0)), HUGEWALK_KIND_NON_CANONICAL);
	free(window);
	return status;
}
