/** Of a length that is encoded in a byte of its own. */
const SHORT_MAX = 0x7f;

function element(tag: number, content: string): string {
  const { length } = content;
  const hex = length.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
  const size = length <= SHORT_MAX ? [length] : [0x80 | bytes.byteLength, ...bytes];
  return String.fromCharCode(tag, ...size) + content;
}

/** Of sound DER with tags of one byte. */
function split(elements: string): readonly { readonly whole: string; readonly content: string }[] {
  const found: { readonly whole: string; readonly content: string }[] = [];
  for (let at = 0; at < elements.length;) {
    const first = elements.charCodeAt(at + 1);
    const more = first <= SHORT_MAX ? 0 : first & 0x7f;
    const begin = at + 2 + more;
    const length =
      more === 0 ? first : Buffer.from(elements.slice(at + 2, begin), "latin1").readUIntBE(0, more);
    found.push({
      whole: elements.slice(at, begin + length),
      content: elements.slice(begin, begin + length),
    });
    at = begin + length;
  }
  return found;
}

/** X.690 as Latin-1, a character a byte: one element from its content, and elements apart. */
export const der = { element, split } as const;
