/** 1 for a core over sparse physical memory, 0 for one over flat memory; the build gives it: asc --use SPARSE=n. */
declare const SPARSE: u32;

/** 1 for a core over memory that several threads share, else 0: asc --use SHARED=n. */
declare const SHARED: u32;
