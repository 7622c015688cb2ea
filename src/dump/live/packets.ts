/**
 * Packets of GDB's remote serial protocol: GDB's manual, "Overview" of "Remote Protocol".
 *
 *   $ m1000,800 # 2a          a packet: its text, and the sum of the text's bytes, modulo 256, in hexadecimal
 *     }]  stands for }        } escapes the character behind it, which is XORed with 0x20
 *     0*, stands for 0000000000000000   * repeats the character before it, as often as the character behind it says, less 29
 *   + and -                   packet received; packet damaged
 *   % ... # 9a                a notification, which nobody answers
 */

/** A packet with its frame. */
export function framed(text: string): string {
  return `$${text}#${checksumOf(text)}`;
}

function checksumOf(text: string): string {
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum += text.charCodeAt(i);
  return (sum & 0xff).toString(16).padStart(2, '0');
}

/** What a piece of what came in turned out to be. */
export type Received =
  | { readonly kind: 'packet'; readonly text: string }
  | { readonly kind: 'damaged'; readonly why: string }
  /** What is no packet: another protocol's greeting. */
  | { readonly kind: 'noise'; readonly text: string };

/** A packet longer than this is no answer to anything that is asked. */
const LONGEST = 2 ** 20;

/** Takes what comes in, in pieces of any length, and gives packets. */
export class PacketReader {
  #text = '';

  /** What is complete with this piece; characters are bytes. */
  take(piece: string): Received[] {
    this.#text += piece;
    const received: Received[] = [];
    for (let at = 0; ; ) {
      at = passAcknowledgements(this.#text, at);
      const end = this.#text.indexOf('#', at);
      const start = this.#text.charAt(at);
      if (start !== '' && start !== '$' && start !== '%') {
        received.push({ kind: 'noise', text: this.#text.slice(at) });
        this.#text = '';
        return received;
      }
      if (end < 0 || end + 3 > this.#text.length) {
        this.#text = this.#text.slice(at);
        if (this.#text.length > LONGEST) {
          received.push({ kind: 'damaged', why: `a packet of at most 0x${LONGEST.toString(16)} bytes, found no end` });
          this.#text = '';
        }
        return received;
      }
      if (start === '$') received.push(opened(this.#text.slice(at + 1, end), this.#text.slice(end + 1, end + 3)));
      at = end + 3;
    }
  }
}

function passAcknowledgements(text: string, at: number): number {
  while (text.charAt(at) === '+' || text.charAt(at) === '-') at++;
  return at;
}

function opened(text: string, checksum: string): Received {
  const expected = checksumOf(text);
  if (checksum.toLowerCase() !== expected) {
    return { kind: 'damaged', why: `the checksum ${expected} of a packet, found ${JSON.stringify(checksum)}` };
  }
  const plain = unpacked(text);
  return plain === undefined
    ? { kind: 'damaged', why: 'escapes and repetitions that fit, found others in a packet' }
    : { kind: 'packet', text: plain };
}

/** Without escapes and repetitions; undefined where those stand for nothing. */
function unpacked(text: string): string | undefined {
  if (!/[}*]/.test(text)) return text;
  let plain = '';
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (character !== '}' && character !== '*') {
      plain += character;
      continue;
    }
    if (++i === text.length) return undefined;
    const code = text.charCodeAt(i);
    if (character === '}') {
      plain += String.fromCharCode(code ^ 0x20);
    } else {
      if (code < 32 || code > 126 || plain === '') return undefined;
      plain += plain.charAt(plain.length - 1).repeat(code - 29);
    }
  }
  return plain;
}
