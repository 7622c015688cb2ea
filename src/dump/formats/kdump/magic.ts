/**
 * How the files begin. makedumpfile, diskdump_mod.h and makedumpfile.h.
 */

/** A kdump-compressed file. */
export const KDUMP_MAGIC = 'KDUMP   ';
/** One of its predecessor, diskdump. */
export const DISKDUMP_MAGIC = 'DISKDUMP';
/** The flattened form of either. */
export const FLATTENED_MAGIC = 'makedumpfile\0\0\0\0';
