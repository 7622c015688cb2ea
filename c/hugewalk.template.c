/*
 * hugewalk's core as C: see hugewalk.h. Made by scripts/build-c.mjs of hugewalk VERSION, through WebAssembly: the functions below are what
 * wasm2c made of the compiled core. MIT licence.
 *
 * Memory is little-endian, as the guest's is. Needs C11 and nothing else.
 */
#include "hugewalk.h"

#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "hugewalk.c: expected a little-endian machine"
#endif

typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

static inline u32 i32_load(const uint8_t *window, u64 at)
{
	u32 value;
	memcpy(&value, window + at, sizeof value);
	return value;
}

static inline u64 i64_load(const uint8_t *window, u64 at)
{
	u64 value;
	memcpy(&value, window + at, sizeof value);
	return value;
}

static inline void i32_store(uint8_t *window, u64 at, u32 value)
{
	memcpy(window + at, &value, sizeof value);
}

static inline void i64_store(uint8_t *window, u64 at, u64 value)
{
	memcpy(window + at, &value, sizeof value);
}

/* Divisors are constants. */
#define DIV_U(x, y) ((x) / (y))
/* Behind loops without end. */
#define UNREACHABLE abort()

/* @FUNCTIONS@ */

void hugewalk_init(hugewalk *cpu, void *window, uint32_t image_at, uint64_t image_bytes)
{
	memset(cpu, 0, sizeof *cpu);
	cpu->window = (uint8_t *)window;
/* @INITIAL@ */
	core_setFlatMemory(cpu, image_at, image_bytes);
}

void hugewalk_set_registers(hugewalk *cpu, const hugewalk_registers *r)
{
	core_setRegisters(cpu, r->cr0, r->cr3, r->cr4, r->efer, r->rflags, r->pkru, r->pkrs, r->max_physical_address,
			  r->features);
}

uint64_t hugewalk_translate(hugewalk *cpu, uint64_t va, uint32_t access)
{
	return core_translate(cpu, va, access);
}

uint32_t hugewalk_walk_loads(hugewalk *cpu, uint64_t va, uint32_t access, uint32_t at)
{
	return core_walkLoads(cpu, va, access, at);
}

uint64_t hugewalk_fill_page(hugewalk *cpu, uint64_t va, uint32_t access)
{
	return core_fillPage(cpu, va, access);
}

uint32_t hugewalk_rule_of(hugewalk *cpu, uint32_t access)
{
	return core_ruleOf(cpu, access);
}

uint32_t hugewalk_tlb_bytes(uint32_t log2_pages, uint32_t log2_tables)
{
	return core_tlbBytes(0, log2_pages, log2_tables);
}

void hugewalk_make_tlb(hugewalk *cpu, uint32_t at, uint32_t log2_pages, uint32_t log2_tables)
{
	core_makeTlb(cpu, at, log2_pages, log2_tables);
}

void hugewalk_select_tlb(hugewalk *cpu, uint32_t at)
{
	core_selectTlb(cpu, at);
}

void hugewalk_drop_tlb(hugewalk *cpu)
{
	core_dropTlb(cpu);
}

uint64_t hugewalk_tlb_translate(hugewalk *cpu, uint64_t va, uint32_t access)
{
	return core_tlbTranslate(cpu, va, access);
}

uint64_t hugewalk_tlb_lookups(hugewalk *cpu)
{
	return core_tlbLookups(cpu);
}

uint64_t hugewalk_tlb_misses(hugewalk *cpu)
{
	return core_tlbMisses(cpu);
}

void hugewalk_invalidate_page(hugewalk *cpu, uint64_t va)
{
	core_invalidatePage(cpu, va);
}

void hugewalk_invalidate_pcid_page(hugewalk *cpu, uint64_t va, uint64_t pcid)
{
	core_invalidatePcidPage(cpu, va, pcid);
}

void hugewalk_invalidate_pcid(hugewalk *cpu, uint64_t pcid, bool keep_global)
{
	core_invalidatePcid(cpu, pcid, keep_global);
}

void hugewalk_invalidate_all(hugewalk *cpu, bool keep_global)
{
	core_invalidateAll(cpu, keep_global);
}
