/*
 * The access itself, and how it is survived.
 *
 * A case is one instruction of those at the end of this file, run at CPL 0 or 3. It ends in an exception, or else in
 * interrupt DONE_VECTOR: right after the instruction, or, for a fetch, from the target page (guest.c fills the pages).
 */
#include "guest.h"

	.text

/* The state of the CPU when the case ended. */
	.comm seen_vector, 8, 8
	.comm seen_error, 8, 8
	.comm seen_rip, 8, 8
	.comm seen_cs, 8, 8
	.comm seen_rax, 8, 8
	.comm seen_cr2, 8, 8
	.comm resume_rsp, 8, 8
	/* 1 while a case is under way; an exception at any other time is a fault of the guest. */
	.comm armed, 1, 1

	.macro save
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	pushfq
	mov %rsp, resume_rsp(%rip)
	mov %rdi, %r8
	mov %rsi, %rdi
	mov %rsi, %rbp
	mov %rdx, %rsi
	xor %eax, %eax
	movb $1, armed(%rip)
	.endm

/* void access_at_cpl0(instruction, va, value, rflags) */
	.globl access_at_cpl0
access_at_cpl0:
	save
	push %rcx
	popfq
	jmp *%r8

/* void access_at_cpl3(instruction, va, value, rflags) */
	.globl access_at_cpl3
access_at_cpl3:
	save
	push $USER_DS
	push $0
	push %rcx
	push $USER_CS
	push %r8
	iretq

/* One entry for each vector, 16 bytes apart. Where the processor pushes no error code, a 0 takes its place. */
	.balign 16
	.globl vector_entries
vector_entries:
	.irp vector, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32
	.balign 16
	.if !((\vector >= 10 && \vector <= 14) || \vector == 8 || \vector == 17 || \vector == 21 || \vector == 29 || \vector == 30)
	push $0
	.endif
	push $\vector
	jmp ended
	.endr

ended:
	cmpb $0, armed(%rip)
	je 1f
	movb $0, armed(%rip)
	mov %rax, seen_rax(%rip)
	mov %cr2, %rax
	mov %rax, seen_cr2(%rip)
	popq seen_vector(%rip)
	popq seen_error(%rip)
	popq seen_rip(%rip)
	popq seen_cs(%rip)
	mov resume_rsp(%rip), %rsp
	popfq
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	cld
	ret
1:	mov %rsp, %rdi
	call unexpected

/* The instructions, twice: va is in rdi and rbp, the value to write in rsi, what was read is left in rax. */
	.macro instructions prefix
	.globl \prefix\()_read, \prefix\()_write, \prefix\()_fetch, \prefix\()_stack_read, \prefix\()_stack_write
\prefix\()_read:
	mov (%rdi), %rax
	int $DONE_VECTOR
\prefix\()_write:
	mov %rsi, (%rdi)
	int $DONE_VECTOR
\prefix\()_fetch:
	jmp *%rdi
\prefix\()_stack_read:
	mov (%rbp), %rax
	int $DONE_VECTOR
\prefix\()_stack_write:
	mov %rsi, (%rbp)
	int $DONE_VECTOR
	.endm

	instructions cpl0

	.section .user, "ax"
	.globl user_page
user_page:
	instructions cpl3
/* Reads a descriptor out of the LDT, which lies at va: a supervisor access, though the CPL is 3. */
	.globl cpl3_implicit, cpl3_implicit_done
cpl3_implicit:
	mov $LDT_ENTRY_0, %eax
	lar %eax, %eax
cpl3_implicit_done:
	int $DONE_VECTOR
