/*
 * A kernel that goes to long mode and touches a few pages, with one mistake of twelve in its paging: -DMISTAKE=1 to 12, 0 for none.
 * docs/osdev.md shows how each is found. MIT, as all of hugewalk.
 *
 *   gcc -m32 -c -DMISTAKE=3 kernel.S -o kernel.o && ld -m elf_i386 -n -Ttext=0x100000 -o kernel.elf kernel.o
 *   qemu-system-x86_64 -cpu max,phys-bits=40 -m 32 -nodefaults -display none -kernel kernel.elf -no-reboot -no-shutdown \
 *     -gdb unix:/tmp/gdb.sock,server=on,wait=off
 *
 *   0x0000000000000000  2 MiB of the kernel, as they lie in memory    PML4[0]   > PDPT low [0]    > PD[0]
 *   0x0000000000200000  2 MiB of data                                                             > PD[1]
 *   0x0000000000400000  page A, page B or A again, a user's page                                  > PD[2] > PT[0], [1], [2]
 *   0xffffffff80000000  all of that again                             PML4[511] > PDPT high [510] > the same PD
 *
 * There is no IDT: what faults is a triple fault, and QEMU stops there.
 */
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define P 1
#define RW 2
#define US 4
#define PS 0x80
#define XD_HIGH 0x80000000              /* bit 63, in the upper half of an entry */
#define HIGH_HALF 0xffffffff80000000

#if MISTAKE == 1
#define ROOT pml4 + 0x80000000          /* the address that the kernel is linked at, not where the table lies */
#else
#define ROOT pml4
#endif
.irp n, 3, 4, 5, 6, 7, 8, 12
.set is\n, -(MISTAKE == \n)              /* 1 for the mistake that is made, else 0 */
.endr

/* An entry of a table, in halves. */
#define ENTRY(table, index, low, high) movl $(low), table + 8 * index; movl $(high), table + 8 * index + 4

.text
.code32
.long 0x1badb002, 0, -0x1badb002        /* multiboot */
.globl _start
_start:
    cli
    lidt no_idt
#if MISTAKE != 9                        /* 9: paging is on, and the next instruction is nowhere */
    ENTRY(pml4, 0, pdpt_low + P + RW + US, 0)
#endif
    ENTRY(pml4, 511, pdpt_high + P + RW + is6 * PS, 0)
    ENTRY(pdpt_low, 0, pd + P + RW + US, 0)
#if MISTAKE != 2                        /* 2: the upper half has no table of level 2 */
    ENTRY(pdpt_high, 510, pd + P + RW, 0)
#endif
    ENTRY(pd, 0, 0 + P + RW + PS, 0)
    ENTRY(pd, 1, 0x200000 + P + RW + PS + is8 * 0x2000, 0)
    ENTRY(pd, 2, pt + P + RW + (1 - is3) * US, 0)
    ENTRY(pt, 0, page_a + P + (1 - is4) * RW, XD_HIGH + is5 * (1 << 13))
    ENTRY(pt, 1, page_a + P + RW, 0)
    ENTRY(pt, 2, user + P + US, 0)
    movl $0x20 + is12 * 0x200000, %eax
    movl %eax, %cr4                     /* PAE; 12: and SMAP */
    movl $ROOT, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    movl $0x100 + (1 - is7) * 0x800, %eax
    xorl %edx, %edx
    wrmsr                               /* EFER: LME and NXE; 7: without NXE */
    movl $0x80010001, %eax
    movl %eax, %cr0                     /* PG, WP, PE */
    lgdt gdt_pointer
    ljmp $8, $long_mode

.code64
long_mode:
    movl $stack, %esp
    movq $HIGH_HALF + 0x100000, %rax
    movl (%rax), %ebx                   /* the kernel's upper half */
    movl $1, 0x400008                   /* page A */
    movl 0x200000, %ebx                 /* 2 MiB of data */
    movl 0x401000, %ebx                 /* page A again */
    movl $page_b + P + RW, %eax
    movl $pt, %edi
    movl %eax, 8(%rdi)
#if MISTAKE != 10                       /* 10: the TLB still knows page A */
    invlpg 0x401000
#endif
    movl 0x401000, %ebx                 /* page B */
    cmpl $0xb, %ebx
    jne panic
#if MISTAKE == 11
    movq $0x800000000000, %rax
    movl (%rax), %ebx                   /* the first address that is none */
#elif MISTAKE == 12
    movl 0x402000, %ebx                 /* a user's page, with AC clear */
#endif
    pushq $0x23                         /* SS, RSP, RFLAGS, CS, RIP of a user */
    pushq $0
    pushq $2
    pushq $0x1b
    pushq $0x402000
    iretq
panic:
    ud2

.balign 8
gdt:
    .quad 0, 0x00209a0000000000, 0, 0x0020fa0000000000, 0x0000f20000000000
gdt_pointer:
    .word . - gdt - 1
    .long gdt
no_idt:
    .word 0
    .long 0

.data
.balign 4096
page_a: .long 0xa
.balign 4096
page_b: .long 0xb
.balign 4096
user:   jmp user
.balign 4096
pml4:      .fill 512, 8
pdpt_low:  .fill 512, 8
pdpt_high: .fill 512, 8
pd:        .fill 512, 8
pt:        .fill 512, 8
           .fill 512, 8
stack:
