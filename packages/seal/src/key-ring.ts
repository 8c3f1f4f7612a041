import { createSecretKey, type KeyObject } from "node:crypto";
import { BrokerError } from "@mayfly/spec";

/** A named key. A `KeyObject` shows nothing of itself in a log, an error or JSON. */
export interface RingKey {
  readonly id: string;
  readonly key: KeyObject;
}

/**
 * The keys of one installation.
 *
 * `sealing`: the first seals, all of them open. To rotate without downtime: add the new key as the
 * second everywhere, then move it to the front everywhere, then reseal what `keyIdOf` says is under
 * another, then drop the old one. `root`: what tags and fingerprints are made with; the first
 * makes tags, all of them verify. It is independent of the sealing keys, so that rotating those
 * orphans no tag on a backend and loses no fingerprint. A new root key makes old fingerprints
 * untraceable, so
 * rotate it only if it leaked.
 */
export interface KeyRing {
  readonly sealing: readonly [RingKey, ...RingKey[]];
  readonly root: readonly [RingKey, ...RingKey[]];
}

export const KEY_BYTES = 32;
/** More keys than this is a ring that nobody tidies. */
const MAX_KEYS = 16;
export const MAX_RING_TEXT = 16_384;
const KEY_ID = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;
const KEY_BASE64 = /^[A-Za-z0-9+/]{43}=$/;

/**
 * Reads the text of a ring. Strict: JSON with exactly the members shown, and no others.
 *
 * ```json
 * { "version": 1,
 *   "sealing": [{ "id": "2026-11", "key": "<32 bytes in base64>" }],
 *   "root": [{ "id": "root-1", "key": "<32 bytes in base64>" }] }
 * ```
 *
 * Throws `config_invalid` that names the place and never shows a key.
 */
export function parseKeyRing(text: string, source: string): KeyRing {
  if (text.length > MAX_RING_TEXT) throw invalid(source, `longer than ${MAX_RING_TEXT} characters`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, and the text is keys.
    throw invalid(source, "not JSON");
  }
  const ring = membersOf(json, source, ["version", "sealing", "root"]);
  if (ring["version"] !== 1) throw invalid(`${source}.version`, "expected 1");
  const sealing = parseKeys(ring["sealing"], `${source}.sealing`);
  const root = parseKeys(ring["root"], `${source}.root`);
  refuseRepeats([...sealing, ...root], source);
  return { sealing, root };
}

/** The text that {@link parseKeyRing} reads. It is secret: for a file of mode 0600 alone. */
export function formatKeyRing(ring: KeyRing): string {
  const keys = (list: readonly RingKey[]): readonly object[] =>
    list.map(({ id, key }) => ({ id, key: key.export().toString("base64") }));
  const members = { version: 1, sealing: keys(ring.sealing), root: keys(ring.root) };
  return `${JSON.stringify(members, null, 2)}\n`;
}

function parseKeys(input: unknown, where: string): readonly [RingKey, ...RingKey[]] {
  if (!Array.isArray(input)) throw invalid(where, "expected a list of keys");
  if (input.length > MAX_KEYS) throw invalid(where, `more than ${MAX_KEYS} keys`);
  const [first, ...rest] = input.map((item: unknown, at) => parseKey(item, `${where}[${at}]`));
  if (first === undefined) throw invalid(where, "expected at least one key");
  return [first, ...rest];
}

function parseKey(input: unknown, where: string): RingKey {
  const { id, key } = membersOf(input, where, ["id", "key"]);
  if (typeof id !== "string" || !KEY_ID.test(id)) {
    throw invalid(`${where}.id`, "expected 1 to 32 of a-z, 0-9 and inner dashes");
  }
  if (typeof key !== "string" || !KEY_BASE64.test(key)) {
    throw invalid(`${where}.key`, "expected 32 bytes in base64 (44 characters, padded)");
  }
  const bytes = Buffer.from(key, "base64");
  if (bytes.toString("base64") !== key) throw invalid(`${where}.key`, "not canonical base64");
  return { id, key: createSecretKey(bytes) };
}

function membersOf(
  input: unknown,
  where: string,
  names: readonly string[],
): Readonly<Record<string, unknown>> {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw invalid(where, "expected an object");
  }
  const members: Readonly<Record<string, unknown>> = { ...input };
  const unknown = Object.keys(members).find((name) => !names.includes(name));
  // A misplaced key may stand where a name is expected, so the name is shown only if it is one.
  if (unknown !== undefined) {
    const shown = /^[A-Za-z_]{1,24}$/.test(unknown) ? `"${unknown}"` : "(not shown)";
    throw invalid(where, `unknown member ${shown}; expected ${names.join(", ")}`);
  }
  const missing = names.find((name) => !(name in members));
  if (missing !== undefined) throw invalid(where, `missing member "${missing}"`);
  return members;
}

/** One id must name one key, and one key must serve one purpose. */
function refuseRepeats(keys: readonly RingKey[], source: string): void {
  for (const [at, one] of keys.entries()) {
    for (const other of keys.slice(at + 1)) {
      if (one.id === other.id) throw invalid(source, `the key id "${one.id}" stands twice`);
      if (one.key.equals(other.key)) {
        throw invalid(source, `"${one.id}" and "${other.id}" are the same key`);
      }
    }
  }
}

export function invalid(where: string, what: string): BrokerError {
  return new BrokerError(
    "config_invalid",
    `key ring: ${where}: ${what}; see "Sealing keys" in docs/config.md`,
    { where },
  );
}
