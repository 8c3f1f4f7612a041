/** A secret that went through the system, and that must be found nowhere but where it belongs. */
export interface Canary {
  /** What it is, for the message: the secret itself is never shown. */
  readonly name: string;
  readonly bytes: Buffer;
}

export const canary = (name: string, text: string): Canary => ({ name, bytes: Buffer.from(text) });

/** A token as a whole, and its signature: that alone makes its public half into it. */
export function tokenCanaries(name: string, token: string): readonly Canary[] {
  const signature = token.split(".")[2] ?? token;
  return [canary(name, token), canary(`${name}'s signature`, signature)];
}

/** Shorter ones would be found by chance. */
const BYTES_MIN = 12;

/**
 * The forms in which bytes are written down: as they are, in a JSON text, percent-encoded as a URL
 * and as a form have it, in hex, and in base64 of either alphabet, alone or at any place in
 * something longer.
 */
function formsOf(bytes: Buffer): readonly string[] {
  const text = bytes.toString("utf8");
  const hex = bytes.toString("hex");
  const base64 = [0, 1, 2].map((shift) => innerBase64(bytes, shift));
  return [
    ...(Buffer.from(text).equals(bytes) ? writtenAs(text) : []),
    hex,
    hex.toUpperCase(),
    ...base64,
    ...base64.map((form) => form.replaceAll("+", "-").replaceAll("/", "_")),
  ];
}

function writtenAs(text: string): readonly string[] {
  const json = JSON.stringify(text).slice(1, -1);
  return [
    text,
    json,
    json.replaceAll("/", String.raw`\/`),
    json.replaceAll(
      /[^\x20-\x7e]/g,
      (one) => String.raw`\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
    ),
    encodeURIComponent(text),
    new URLSearchParams({ text }).toString().slice("text=".length),
  ];
}

/** The base64 digits that the bytes alone decide, when `shift` bytes of something stand before. */
function innerBase64(bytes: Buffer, shift: number): string {
  const digits = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
  const from = Math.ceil((shift * 8) / 6);
  const to = Math.floor(((shift + bytes.length) * 8) / 6);
  return digits.slice(from, to);
}

/** The names of the canaries that are in the text, in any form. */
export function findCanaries(text: string, canaries: readonly Canary[]): readonly string[] {
  return canaries
    .filter(({ name, bytes }) => {
      if (bytes.length < BYTES_MIN) throw new Error(`the canary ${name} is too short to be sought`);
      return formsOf(bytes).some((form) => text.includes(form));
    })
    .map(({ name }) => name);
}
