/*
 * What the matrix asks of the core under test. The host links these to the core's own exports, so that a call goes from
 * WebAssembly to WebAssembly; or translate to tlbTranslate, or to a function of its own that is wrong on purpose.
 */
export declare function setRegisters(
  cr0: u64,
  cr3: u64,
  cr4: u64,
  efer: u64,
  rflags: u64,
  pkru: u32,
  pkrs: u32,
  maxPhysicalAddress: u32,
  features: u32,
): void;
export declare function tableAt(physical: u64): usize;
export declare function translate(va: u64, access: u32): u64;
export declare function translateMany(
  addresses: usize,
  count: u32,
  access: u32,
  outcomes: usize,
  cache: usize,
  log2Slots: u32,
  epoch: u32,
): void;
export declare function invalidateAll(keepGlobal: bool): void;
