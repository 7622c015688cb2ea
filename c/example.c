/* One page at 0x400000, and an address where there is none: cc -O2 -o example example.c hugewalk.c && ./example */
#include "hugewalk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM (1u << 20)

static void set_entry(uint8_t *ram, uint64_t at, uint64_t entry)
{
	memcpy(ram + at, &entry, sizeof entry);
}

int main(void)
{
	/* The guest's memory first, the TLB behind it. */
	const uint32_t tlb = RAM;
	uint8_t *window = calloc(1, RAM + hugewalk_tlb_bytes(6, 4));
	if (window == NULL)
		return 1;
	set_entry(window, 0x1000, 0x2000 | HUGEWALK_PRESENT | HUGEWALK_WRITABLE | HUGEWALK_USER);
	set_entry(window, 0x2000, 0x3000 | HUGEWALK_PRESENT | HUGEWALK_WRITABLE | HUGEWALK_USER);
	set_entry(window, 0x3010, 0x4000 | HUGEWALK_PRESENT | HUGEWALK_WRITABLE | HUGEWALK_USER);
	set_entry(window, 0x4000, 0x8000 | HUGEWALK_PRESENT | HUGEWALK_USER);

	hugewalk cpu;
	hugewalk_init(&cpu, window, 0, RAM);
	const hugewalk_registers registers = {
		.cr0 = HUGEWALK_CR0_PG | HUGEWALK_CR0_WP | 1,
		.cr3 = 0x1000,
		.cr4 = 0x20, /* PAE */
		.efer = 0xd00, /* NXE, LMA, LME */
		.max_physical_address = 46,
		.features = HUGEWALK_FEATURE_PAGE_1G,
	};
	hugewalk_set_registers(&cpu, &registers);
	hugewalk_make_tlb(&cpu, tlb, 6, 4);

	const uint64_t read = hugewalk_tlb_translate(&cpu, 0x400123, HUGEWALK_ACCESS_USER);
	printf("read  0x400123: 0x%" PRIx64 "\n", hugewalk_physical(read));
	const uint64_t write = hugewalk_tlb_translate(&cpu, 0x400123, HUGEWALK_ACCESS_USER | HUGEWALK_ACCESS_WRITE);
	printf("write 0x400123: #PF, error code 0x%" PRIx32 "\n", hugewalk_error_code(write));
	free(window);
	return hugewalk_failed(read) || !hugewalk_failed(write);
}
