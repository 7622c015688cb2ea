import { describe, expect, test } from 'vitest';
import { parseVmcoreinfo, vmcoreinfoIn } from '../../../src/dump/roots/vmcoreinfo.ts';
import { rawImage, register } from './support.ts';

/** Lines of boot a: see test/fixtures/dumps. */
const LINES = [
  'OSRELEASE=6.1.0-57-cloud-amd64',
  'SYMBOL(swapper_pg_dir)=ffffffffb8e10000',
  'NUMBER(phys_base)=-851443712',
  'SYMBOL(init_top_pgt)=ffffffffb8e10000',
  'NUMBER(pgtable_l5_enabled)=0',
  'KERNELOFFSET=36400000',
  'NUMBER(sme_mask)=0',
];

describe('VMCOREINFO', () => {
  test('names the root: the symbol, less where the image is mapped, plus phys_base, which is decimal and may be negative', () => {
    expect(parseVmcoreinfo(LINES.join('\n'))).toEqual({
      osRelease: '6.1.0-57-cloud-amd64',
      root: 0x6210000n,
      levels: 4,
      kernelOffset: 0x3640_0000n,
      physBase: -0x32c0_0000n,
      cBit: undefined,
    });
  });

  test('without swapper_pg_dir has the root in init_top_pgt', () => {
    const lines = LINES.filter((line) => !line.includes('swapper'));
    expect(parseVmcoreinfo(lines.join('\n')).root).toBe(0x6210000n);
  });

  test('tells of five levels and of the C-bit, which sme_mask has in decimal', () => {
    const text = `NUMBER(pgtable_l5_enabled)=1\nNUMBER(sme_mask)=${2n ** 47n}\n`;
    expect(parseVmcoreinfo(text)).toMatchObject({ levels: 5, cBit: 47 });
  });

  test.each([
    ['no phys_base', LINES.filter((line) => !line.includes('phys_base')).join('\n')],
    ['a symbol that is no number', LINES.join('\n').replaceAll('=ffffffffb8e10000', '=swapper')],
    ['a symbol below the image', LINES.join('\n').replaceAll('=ffffffffb8e10000', '=1000')],
    ['a root within a frame', LINES.join('\n').replaceAll('b8e10000', 'b8e10008')],
    ['phys_base that leads above all memory', LINES.join('\n').replace('=-851443712', '=99999999999999999999')],
    ['nothing', ''],
    ['a line without an end', 'A'.repeat(2 ** 20)],
  ])('with %s names no root', (_, text) => {
    expect(parseVmcoreinfo(text).root).toBeUndefined();
  });

  test('with a mask of several bits, or of a bit that is no C-bit, tells of none', () => {
    for (const mask of [3, 1, 2 ** 31, -4096]) expect(parseVmcoreinfo(`NUMBER(sme_mask)=${mask}`).cBit).toBeUndefined();
  });

  test('stands in memory twice: in a page, and behind the header of a note', () => {
    const image = rawImage('a');
    const texts: string[] = [];
    for (let at = 0; at < image.length; at += 4096) {
      const text = vmcoreinfoIn(new Int32Array(image.buffer, image.byteOffset + at, 1024));
      if (text !== undefined) texts.push(text);
    }
    expect(texts.length).toBe(2);
    expect(texts[0]).toBe(texts[1]);
    const { root } = parseVmcoreinfo(texts[0]!);
    /* The kernel's upper half is that of the process which QEMU's monitor named. */
    const upper = (at: bigint): Uint8Array => image.subarray(Number(at) + 2048, Number(at) + 4096);
    expect(Buffer.compare(upper(root!), upper(register('a.registers.txt', 'CR3')))).toBe(0);
  });
});
