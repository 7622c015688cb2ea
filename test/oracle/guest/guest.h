/*
 * What boot.S, access.S and guest.c agree on. LEVELS is 4 or 5 and given by the build.
 *
 * The guest lives in one slot of the root table (PML4 or PML5), chosen so that it is no address a case is likely to want:
 *
 *   KERNEL_BASE + p             physical address p, for the first 8 GiB: 2 MiB pages, supervisor, key KERNEL_KEY
 *   KERNEL_BASE + 511 GiB       one page of code for CPL 3: user, executable, not writable
 *
 * All test roots have that slot filled in, so the guest survives whatever a case does to the other 511.
 */
#define KERNEL_SLOT 0x155
#if LEVELS == 5
#define KERNEL_BASE 0xff55000000000000
#else
#define KERNEL_BASE 0xffffaa8000000000
#endif
#define KERNEL_GIB 8
#define KERNEL_KEY 15

#define USER_GIB 511
#define USER_BASE (KERNEL_BASE + 0x7fc0000000)

/* Selectors. */
#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_DS 0x1b
#define USER_CS 0x23
#define TSS_SELECTOR 0x28
#define LDT_SELECTOR 0x38
/* Entry 0 of the LDT, requested privilege 3. */
#define LDT_ENTRY_0 0x07

/* A case ends in this interrupt unless it ends in an exception. */
#define DONE_VECTOR 0x20
#define VECTORS 0x21

#define DEBUG_PORT 0xe9
#define EXIT_PORT 0xf4
