/*
 * Makes every access of a list for real and notes what the processor did.
 *
 * In: a multiboot module, struct module followed by struct test_case's. Out, through the debug port: struct report
 * followed by struct answer's. test/oracle/README.md describes the run, test/oracle/cases.mjs writes the module.
 *
 * Whatever the guest does not expect ends the run with a message and a failing exit code: no answer is better than a
 * wrong one.
 */
#include <stddef.h>
#include <stdint.h>

#include "guest.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* ---- Formats, shared with cases.mjs and scripts/record-oracle.mjs ---- */

enum { MAX_FRAMES = 64, MAX_RANGES = 4, MAX_LEVELS = 5 };

struct range {
	u64 start, end;
};

struct module {
	char magic[8];
	u32 levels;
	u32 count;
	/* Of the frames, so many at the start may be root tables. */
	u32 roots;
	u32 frames;
	u32 ranges;
	u32 zero;
	/* Physical address where the answers are collected. */
	u64 answers;
	/* Page-table frames. */
	u64 frame[MAX_FRAMES];
	/* Memory that leaves may map. */
	struct range range[MAX_RANGES];
};

/* Bits of test_case.registers. */
enum { WP = 1, SMEP = 2, SMAP = 4, PKE = 8, PKS = 16, NXE = 32, AC = 64 };
/* Bits of test_case.access: those of an error code, and how the access is made. */
enum { WRITE = 1 << 1, USER = 1 << 2, FETCH = 1 << 4, STACK = 1 << 6, IMPLICIT = 1 << 7 };

/* Arrays by level: [0] is the PTE, [3] the PML4E. */
struct test_case {
	u64 va;
	u64 entry[MAX_LEVELS];
	u32 pkru;
	u32 pkrs;
	/* Which frame is the table of that level. */
	u8 table[MAX_LEVELS];
	u8 registers;
	u8 access;
	u8 zero;
};

struct answer {
	/* Physical address that was read, written or executed, or NOWHERE. */
	u64 physical;
	u64 cr2;
	u32 index;
	u32 error;
	u8 vector;
	/* Bits 7:0 of each entry that the access changed; a change of other bits ends the run. */
	u8 changed[MAX_LEVELS];
	u16 zero;
};

#define NOWHERE (~0ull)

struct report {
	char magic[8];
	u32 levels;
	u32 count;
	u32 physical_bits;
	u32 linear_bits;
	/* CPUID: 1 = 1 GiB pages, 2 = NX, 4 = SMEP, 8 = SMAP, 16 = PKU, 32 = PKS, 64 = LA57. */
	u32 features;
	u32 zero;
};

_Static_assert(sizeof(struct test_case) == 64, "format");
_Static_assert(sizeof(struct answer) == 32, "format");
_Static_assert(sizeof(struct report) == 32, "format");

/* ---- access.S ---- */

/* No global offset table: everything is in this image. */
#pragma GCC visibility push(hidden)

typedef void access_function(u64 instruction, u64 va, u64 value, u64 rflags);
access_function access_at_cpl0, access_at_cpl3;
extern const char vector_entries[];
extern const char cpl0_read[], cpl0_write[], cpl0_fetch[], cpl0_stack_read[], cpl0_stack_write[];
extern const char cpl3_read[], cpl3_write[], cpl3_fetch[], cpl3_stack_read[], cpl3_stack_write[];
extern const char cpl3_implicit[], cpl3_implicit_done[], user_page[];
extern u64 seen_vector, seen_error, seen_rip, seen_cs, seen_rax, seen_cr2;

/* Used by boot.S. */
static u8 stack[16384] __attribute__((aligned(16), used));
__asm__(".globl stack_top\n.set stack_top, stack + 16384");
static u8 interrupt_stack[16384] __attribute__((aligned(16)));

/* ---- The processor ---- */

#define REGISTER(name)                                                                                                 \
	static inline u64 read_##name(void)                                                                            \
	{                                                                                                              \
		u64 value;                                                                                             \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value));                                                 \
		return value;                                                                                          \
	}                                                                                                              \
	static inline void write_##name(u64 value)                                                                     \
	{                                                                                                              \
		__asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory");                                          \
	}
REGISTER(cr0)
REGISTER(cr2)
REGISTER(cr3)
REGISTER(cr4)

enum { MSR_EFER = 0xc0000080, MSR_PKRS = 0x6e1 };
#define CR0_WP (1ull << 16)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)
#define CR4_PKE (1ull << 22)
#define CR4_PKS (1ull << 24)
#define EFER_NXE (1ull << 11)
#define RFLAGS_FIXED 2ull
#define RFLAGS_AC (1ull << 18)

static inline void write_msr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 read_msr(u32 msr)
{
	u32 low, high;
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (u64)high << 32;
}

static inline void write_pkru(u32 value)
{
	__asm__ volatile(".byte 0x0f, 0x01, 0xef" /* wrpkru */ ::"a"(value), "c"(0), "d"(0) : "memory");
}

static void cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

/* ---- Output and the end ---- */

static void send(const void *data, size_t bytes)
{
	__asm__ volatile("rep outsb" : "+S"(data), "+c"(bytes) : "d"((u16)DEBUG_PORT) : "memory");
}

static void send_text(const char *text)
{
	size_t length = 0;
	while (text[length])
		length++;
	send(text, length);
}

static void send_number(const char *name, u64 value)
{
	char digits[16];
	for (int i = 15; i >= 0; i--, value >>= 4)
		digits[i] = "0123456789abcdef"[value & 15];
	send_text(name);
	send(digits, 16);
}

/* QEMU ends with status value * 2 + 1. */
static void __attribute__((noreturn)) leave(u32 value)
{
	for (;;)
		__asm__ volatile("outl %0, %1" ::"a"(value), "d"((u16)EXIT_PORT));
}

static u32 current;

static void __attribute__((noreturn)) die(const char *message, u64 detail)
{
	send_text("\nguest: ");
	send_text(message);
	send_number(", detail ", detail);
	send_number(", case ", current);
	send_number(", vector ", seen_vector);
	send_number(", error ", seen_error);
	send_number(", rip ", seen_rip);
	send_number(", cs ", seen_cs);
	send_number(", cr2 ", seen_cr2);
	send_text("\n");
	leave(1);
}

/* An exception outside of a case. frame: vector, error code, rip, cs, ... */
void __attribute__((noreturn)) unexpected(const u64 *frame);
void unexpected(const u64 *frame)
{
	send_number("\nguest: exception out of turn, vector ", frame[0]);
	send_number(", error ", frame[1]);
	send_number(", rip ", frame[2]);
	send_number(", cr2 ", read_cr2());
	send_number(", case ", current);
	send_text("\n");
	leave(2);
}

/* ---- Memory ---- */

static inline void *at(u64 physical)
{
	return (void *)(KERNEL_BASE + physical);
}

static inline u64 *word_at(u64 physical)
{
	return at(physical);
}

static const struct module *module;

static int in_ranges(u64 physical)
{
	for (u32 i = 0; i < module->ranges; i++)
		if (physical >= module->range[i].start && physical + 8 <= module->range[i].end)
			return 1;
	return 0;
}

/*
 * What every aligned 8 bytes of the ranges hold: code that names its own physical address, so that an access tells where
 * it went, whether it reads the word or executes it.
 *
 *   B8 imm32   mov $(address / 8), %eax
 *   CD 20      int $DONE_VECTOR
 *   90
 */
#define PATTERN (0x90ull << 56 | (u64)DONE_VECTOR << 48 | 0xcdull << 40 | 0xb8)
#define PATTERN_MASK 0xffffff00000000ffull

static inline u64 pattern_at(u64 physical)
{
	return PATTERN | physical << 5;
}

static inline u64 address_in(u64 word)
{
	return (word & PATTERN_MASK) == PATTERN ? (word & ~PATTERN_MASK) >> 5 : NOWHERE;
}

static void fill_ranges(void)
{
	for (u32 i = 0; i < module->ranges; i++)
		for (u64 p = module->range[i].start; p < module->range[i].end; p += 8)
			*(volatile u64 *)at(p) = pattern_at(p);
}

static void check_ranges(void)
{
	for (u32 i = 0; i < module->ranges; i++)
		for (u64 p = module->range[i].start; p < module->range[i].end; p += 8)
			if (*word_at(p) != pattern_at(p))
				die("a page that leaves map has changed", p);
}

/* The frames hold nothing between cases but the kernel's slot in the roots. */
static void check_frames(u64 kernel_entry)
{
	for (u32 i = 0; i < module->frames; i++)
		for (u32 j = 0; j < 512; j++)
			if (word_at(module->frame[i])[j] != (i < module->roots && j == KERNEL_SLOT ? kernel_entry : 0))
				die("a table was changed where no walk should be", module->frame[i] + j * 8);
}

/* ---- Descriptor tables ---- */

static u64 gdt[9] = {
	0,
	0x00af9b000000ffff, /* KERNEL_CS */
	0x00cf93000000ffff, /* KERNEL_DS */
	0x00cff3000000ffff, /* USER_DS */
	0x00affb000000ffff, /* USER_CS */
};
static struct {
	u64 low, high;
} idt[VECTORS];
static struct {
	u32 zero;
	u64 rsp[3];
	u64 zero2;
	u64 ist[7];
	u64 zero3;
	u16 zero4;
	u16 io_map;
} __attribute__((packed)) tss;

struct __attribute__((packed)) table_pointer {
	u16 limit;
	u64 base;
};

static void set_system_descriptor(u32 selector, u32 type, u64 base, u32 limit)
{
	gdt[selector / 8] = limit | (base & 0xffffff) << 16 | (u64)type << 40 | (base >> 24 & 0xff) << 56;
	gdt[selector / 8 + 1] = base >> 32;
}

static void set_descriptor_tables(void)
{
	for (u32 i = 0; i < VECTORS; i++) {
		/* Interrupt gate, present; from CPL 3 only DONE_VECTOR. */
		u64 handler = (u64)vector_entries + 16 * i;
		u64 type = i == DONE_VECTOR ? 0xee : 0x8e;
		idt[i].low = (handler & 0xffff) | KERNEL_CS << 16 | type << 40 | (handler >> 16 & 0xffff) << 48;
		idt[i].high = handler >> 32;
	}
	tss.rsp[0] = (u64)interrupt_stack + sizeof interrupt_stack;
	tss.io_map = sizeof tss;
	set_system_descriptor(TSS_SELECTOR, 0x89, (u64)&tss, sizeof tss - 1);
	struct table_pointer gdt_pointer = { sizeof gdt - 1, (u64)gdt };
	struct table_pointer idt_pointer = { sizeof idt - 1, (u64)idt };
	__asm__ volatile("lgdt %0" ::"m"(gdt_pointer));
	__asm__ volatile("lidt %0" ::"m"(idt_pointer));
	__asm__ volatile("ltr %w0" ::"r"(TSS_SELECTOR));
}

static void put_ldt_at(u64 va)
{
	set_system_descriptor(LDT_SELECTOR, 0x82, va, 7);
	__asm__ volatile("lldt %w0" ::"r"(LDT_SELECTOR) : "memory");
}

/* ---- One case ---- */

/* Registers as they are now; base: as they are when no bit of a case is set. */
static struct {
	u64 cr0, cr4, efer, pkru, pkrs;
} now, base;

static void read_registers(void)
{
	base.cr0 = read_cr0() & ~CR0_WP;
	base.cr4 = read_cr4() & ~(CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS);
	base.efer = read_msr(MSR_EFER) & ~EFER_NXE;
	now.cr0 = now.cr4 = now.efer = now.pkru = now.pkrs = ~0ull;
}

static void set_cr4(u64 value)
{
	if (now.cr4 != value)
		write_cr4(value);
	now.cr4 = value;
}

static void set_registers(const struct test_case *c)
{
	if (now.pkru != c->pkru) {
		/* WRPKRU exists only while CR4.PKE is set. */
		set_cr4(now.cr4 == ~0ull ? base.cr4 | CR4_PKE : now.cr4 | CR4_PKE);
		write_pkru(c->pkru);
		now.pkru = c->pkru;
	}
	if (now.pkrs != c->pkrs) {
		if (c->pkrs >> (2 * KERNEL_KEY))
			die("PKRS would lock the guest out", c->pkrs);
		write_msr(MSR_PKRS, c->pkrs);
		now.pkrs = c->pkrs;
	}
	u64 efer = base.efer | (c->registers & NXE ? EFER_NXE : 0);
	if (now.efer != efer)
		write_msr(MSR_EFER, efer);
	now.efer = efer;
	u64 cr0 = base.cr0 | (c->registers & WP ? CR0_WP : 0);
	if (now.cr0 != cr0)
		write_cr0(cr0);
	now.cr0 = cr0;
	set_cr4(base.cr4 | (c->registers & SMEP ? CR4_SMEP : 0) | (c->registers & SMAP ? CR4_SMAP : 0) |
		(c->registers & PKE ? CR4_PKE : 0) | (c->registers & PKS ? CR4_PKS : 0));
}

static u64 entry_address(const struct test_case *c, u32 level)
{
	return module->frame[c->table[level - 1]] + (c->va >> (3 + 9 * level) & 511) * 8;
}

/* Where a page of that level would put va: bits 51:12, 51:21 or 51:30 of the entry. */
static u64 page_address(const struct test_case *c, u32 level)
{
	u64 offset = (1ull << (3 + 9 * level)) - 1;
	return (c->entry[level - 1] & 0x000fffffffffffff & ~offset) | (c->va & offset);
}

/* Finds the value that a case has written, and puts the pattern back. */
static u64 undo_write(const struct test_case *c, u64 value)
{
	u64 found = NOWHERE;
	for (u32 level = 1; level <= 3; level++) {
		u64 physical = page_address(c, level);
		if (in_ranges(physical) && *word_at(physical) == value) {
			found = physical;
			*word_at(physical) = pattern_at(physical);
		}
	}
	return found;
}

struct way {
	const char *instruction;
	/* How far from there rip is when the instruction has been done, `int` included. */
	u32 length;
};

static struct way way_of(u32 access)
{
	int user = access & USER;
	if (access & IMPLICIT)
		return (struct way){ cpl3_implicit, 0 };
	if (access & FETCH)
		return (struct way){ user ? cpl3_fetch : cpl0_fetch, 0 };
	if (access & STACK) {
		if (access & WRITE)
			return (struct way){ user ? cpl3_stack_write : cpl0_stack_write, 6 };
		return (struct way){ user ? cpl3_stack_read : cpl0_stack_read, 6 };
	}
	if (access & WRITE)
		return (struct way){ user ? cpl3_write : cpl0_write, 5 };
	return (struct way){ user ? cpl3_read : cpl0_read, 5 };
}

/* rip where a case may end: after the access, or before it. */
static void check_rip(const struct test_case *c, u64 instruction, u32 length)
{
	int done = seen_vector == DONE_VECTOR;
	u64 rip = seen_rip;
	if (c->access & IMPLICIT) {
		u64 lar = instruction + 5, end = instruction + (cpl3_implicit_done - cpl3_implicit) + 2;
		if (rip == (done ? end : lar))
			return;
	} else if (c->access & FETCH) {
		/* A jump to an address that is not canonical may fault before or after it. */
		if (done ? rip == c->va + 7 : rip == c->va || (seen_vector == 13 && rip == instruction))
			return;
	} else if (rip == (done ? instruction + length : instruction)) {
		return;
	}
	die("the case ended at an unforeseen place", instruction);
}

#define CR2_BEFORE 0x5a5a5a5a5a5a5a5aull

static void run(const struct test_case *c, struct answer *answer)
{
	/* The tables. */
	for (u32 level = 1; level <= module->levels; level++) {
		if (c->table[level - 1] >= module->frames)
			die("no such frame", level);
		*word_at(entry_address(c, level)) = c->entry[level - 1];
	}
	if (c->table[module->levels - 1] >= module->roots)
		die("the kernel is not mapped by that root", c->table[module->levels - 1]);
	if ((c->va >> (3 + 9 * module->levels) & 511) == KERNEL_SLOT)
		die("the address belongs to the kernel", c->va);

	/* The registers. CR3 comes last: QEMU's and any TLB forgets everything, as CR4.PGE is off. */
	if (c->access & IMPLICIT)
		put_ldt_at(c->va);
	set_registers(c);
	write_cr3(module->frame[c->table[module->levels - 1]]);
	write_cr2(CR2_BEFORE);

	/* The access. */
	int cpl3 = c->access & (USER | IMPLICIT);
	struct way way = way_of(c->access);
	u64 instruction = cpl3 ? USER_BASE + (u64)(way.instruction - user_page) : (u64)way.instruction;
	u64 value = 0x1111000000000000ull | current;
	u64 rflags = RFLAGS_FIXED | (c->registers & AC ? RFLAGS_AC : 0);
	(cpl3 ? access_at_cpl3 : access_at_cpl0)(instruction, c->va, value, rflags);

	/* What came of it. */
	if (seen_vector != 12 && seen_vector != 13 && seen_vector != 14 && seen_vector != DONE_VECTOR)
		die("unforeseen exception", seen_vector);
	if (seen_cs != (cpl3 ? USER_CS : KERNEL_CS))
		die("the case ended at another privilege", seen_cs);
	check_rip(c, instruction, way.length);

	answer->index = current;
	answer->vector = (u8)seen_vector;
	answer->error = (u32)seen_error;
	answer->cr2 = seen_cr2;
	answer->physical = NOWHERE;
	answer->zero = 0;
	if (seen_vector == DONE_VECTOR) {
		if (c->access & FETCH)
			answer->physical = (u64)(u32)seen_rax << 3;
		else if (c->access & WRITE)
			answer->physical = undo_write(c, value);
		else if (!(c->access & IMPLICIT))
			answer->physical = address_in(seen_rax);
	}
	for (u32 level = 1; level <= MAX_LEVELS; level++) {
		answer->changed[level - 1] = 0;
		if (level > module->levels)
			continue;
		u64 changed = *word_at(entry_address(c, level)) ^ c->entry[level - 1];
		if (changed >> 8)
			die("an entry has changed beyond its low byte", changed);
		answer->changed[level - 1] = (u8)changed;
	}
	for (u32 level = 1; level <= module->levels; level++)
		*word_at(entry_address(c, level)) = 0;
}

/* ---- The run ---- */

static void describe_processor(struct report *report)
{
	u32 r[4];
	cpuid(0x80000008, 0, r);
	report->physical_bits = r[0] & 0xff;
	report->linear_bits = r[0] >> 8 & 0xff;
	cpuid(0x80000001, 0, r);
	u32 features = (r[3] >> 26 & 1) | (r[3] >> 20 & 1) << 1;
	cpuid(7, 0, r);
	features |= (r[1] >> 7 & 1) << 2 | (r[1] >> 20 & 1) << 3;
	features |= (r[2] >> 3 & 1) << 4 | (r[2] >> 31 & 1) << 5 | (r[2] >> 16 & 1) << 6;
	report->features = features;
}

void __attribute__((noreturn)) main(u32 multiboot_information);
void main(u32 multiboot_information)
{
	const u32 *information = at(multiboot_information);
	if (!(information[0] & 8) || information[5] == 0)
		die("no module", information[0]);
	const u32 *first_module = at(information[6]);
	module = at(first_module[0]);
	const struct test_case *cases = (const struct test_case *)(module + 1);
	u64 module_bytes = first_module[1] - first_module[0];
	static const char magic[8] = "HWCASES1";
	for (int i = 0; i < 8; i++)
		if (module->magic[i] != magic[i])
			die("not a list of cases", (u64)i);
	if (module->levels != LEVELS || module->frames > MAX_FRAMES || module->ranges > MAX_RANGES)
		die("a list for another guest", module->levels);
	if (module_bytes != sizeof *module + module->count * sizeof *cases)
		die("the list has another length than it says", module_bytes);
	if (first_module[1] > module->answers)
		die("the answers would overwrite the list", first_module[1]);

	set_descriptor_tables();
	read_registers();

	u64 kernel_entry = word_at(read_cr3() & ~0xfffull)[KERNEL_SLOT];
	for (u32 i = 0; i < module->frames; i++)
		for (u32 j = 0; j < 512; j++)
			word_at(module->frame[i])[j] = i < module->roots && j == KERNEL_SLOT ? kernel_entry : 0;
	fill_ranges();
	check_frames(kernel_entry);

	struct answer *answers = at(module->answers);
	for (current = 0; current < module->count; current++)
		run(&cases[current], &answers[current]);

	check_frames(kernel_entry);
	check_ranges();

	struct report report = { .magic = "HWREPORT", .levels = LEVELS, .count = module->count };
	describe_processor(&report);
	send(&report, sizeof report);
	send(answers, module->count * sizeof *answers);
	leave(0x10);
}
