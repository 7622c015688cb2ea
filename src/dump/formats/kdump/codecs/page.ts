/** Bytes of a page. */
export const PAGE = 4096;
