/*
 * From the multiboot loader (32 bits, paging off) to long mode with the guest's own tables.
 *
 * This part is linked where it is loaded, at 1 MiB; everything else at KERNEL_BASE + its physical address (guest.ld).
 */
#include "guest.h"

#define MULTIBOOT_MAGIC 0x1badb002
/* Modules on page boundaries; the load addresses are in this header, so that a flat binary will do. */
#define MULTIBOOT_FLAGS 0x00010001

#define P 0x01
#define W 0x02
#define U 0x04
#define A 0x20
#define D 0x40
#define PS 0x80

	.section .boot, "awx"
	.code32
	.balign 4
multiboot_header:
	.long MULTIBOOT_MAGIC
	.long MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
	.long multiboot_header
	.long multiboot_header
	.long image_end_physical
	.long bss_end_physical
	.long start

	.globl start
start:
	cli
	cld
	mov %ebx, multiboot_information

	/* The direct map: 2 MiB pages. */
	mov $directories, %edi
	xor %ecx, %ecx
1:	mov %ecx, %eax
	shl $21, %eax
	or $(P | W | A | D | PS), %eax
	mov %eax, (%edi)
	mov %ecx, %eax
	shr $11, %eax
	or $(KERNEL_KEY << 27), %eax
	mov %eax, 4(%edi)
	add $8, %edi
	inc %ecx
	cmp $(KERNEL_GIB * 512), %ecx
	jne 1b

	mov $pointers, %edi
	mov $(directories + (P | W | A)), %eax
	mov $KERNEL_GIB, %ecx
1:	mov %eax, (%edi)
	add $4096, %eax
	add $8, %edi
	loop 1b

	/* The page for CPL 3. */
	movl $(user_directory + (P | W | U | A)), pointers + USER_GIB * 8
	movl $(user_table + (P | W | U | A)), user_directory
	movl $(user_page_physical + (P | U | A)), user_table

	/* The kernel's slot; slot 0 is the same, until start64 is left. */
#if LEVELS == 5
	movl $(pointers + (P | W | U | A)), level4
	mov $(level4 + (P | W | U | A)), %eax
#else
	mov $(pointers + (P | W | U | A)), %eax
#endif
	mov %eax, boot_root
	mov %eax, boot_root + KERNEL_SLOT * 8

	mov %cr4, %eax
	or $(1 << 5), %eax		/* PAE */
#if LEVELS == 5
	or $(1 << 12), %eax		/* LA57 */
#endif
	mov %eax, %cr4
	mov $boot_root, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx		/* EFER */
	rdmsr
	or $(1 << 8), %eax		/* LME */
	wrmsr
	mov %cr0, %eax
	and $~(1 << 18), %eax		/* AM: RFLAGS.AC is to mean SMAP alone */
	or $(1 << 31 | 1 << 16 | 1), %eax	/* PG, WP, PE */
	mov %eax, %cr0
	lgdt boot_gdt_pointer
	ljmp $KERNEL_CS, $start64

	.code64
start64:
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov multiboot_information, %edi
	movabs $start_high, %rax
	jmp *%rax

	.balign 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* KERNEL_CS: 64-bit code */
	.quad 0x00cf93000000ffff	/* KERNEL_DS */
boot_gdt_pointer:
	.word . - boot_gdt - 1
	.long boot_gdt
multiboot_information:
	.long 0

	.balign 4096
boot_root:
	.fill 4096
#if LEVELS == 5
level4:
	.fill 4096
#endif
pointers:
	.fill 4096
user_directory:
	.fill 4096
user_table:
	.fill 4096
directories:
	.fill 4096 * KERNEL_GIB

	.text
start_high:
	lea stack_top(%rip), %rsp
	call main
1:	hlt
	jmp 1b
