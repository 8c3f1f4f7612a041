import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  timingSafeEqual,
  type KeyObject,
} from "node:crypto";
import { Secret, type Random, type Sealer } from "@mayfly/spec";
import { KEY_BYTES, type KeyRing, type RingKey } from "./key-ring.ts";
import {
  cannotOpen,
  formatSealedValue,
  parseSealedValue,
  SALT_BYTES,
  TAG_BYTES,
} from "./sealed-value.ts";

const CIPHER = "aes-256-gcm";
/** Safe because each key encrypts one message; see the layout in `sealed-value.ts`. */
const NONCE = Buffer.alloc(12);
const PURPOSE = {
  wrap: "mayfly/seal/v1/wrap",
  data: "mayfly/seal/v1/data",
  fingerprint: "mayfly/root/v1/fingerprint",
  tag: "mayfly/root/v1/tag",
} as const;
type Purpose = (typeof PURPOSE)[keyof typeof PURPOSE];

/**
 * Envelope encryption under the ring's keys: AES-256-GCM for the data under a fresh data key, and
 * for that key under a key derived (HKDF-SHA-256, RFC 5869) from the sealing key. Both are bound to
 * purpose, key id and `binding`, so that a value moved to another row does not open.
 */
export function createSealer(options: { readonly keys: KeyRing; readonly random: Random }): Sealer {
  const { keys, random } = options;
  const byId = new Map(keys.sealing.map((key) => [key.id, key]));
  const [current] = keys.sealing;
  const fingerprintKeys = keys.root.map(({ key }) => derive(key, PURPOSE.fingerprint));
  const tagKeys = keys.root.map(({ key }) => derive(key, PURPOSE.tag));
  const [tagKey] = tagKeys;
  const [fingerprintKey] = fingerprintKeys;
  if (tagKey === undefined || fingerprintKey === undefined)
    throw new Error("a key ring has at least one root key");

  return {
    seal: async (plain, binding) => sealUnder(current, plain, binding, random),
    open: async (sealed, binding) => {
      const keyId = parseSealedValue(sealed).keyId;
      const key = byId.get(keyId);
      if (key === undefined) throw cannotOpen();
      return openUnder(key, sealed, binding);
    },
    keyIds: [current.id, ...keys.sealing.slice(1).map(({ id }) => id)],
    keyIdOf: (sealed) => parseSealedValue(sealed).keyId,
    fingerprint: (secret) => hmac(fingerprintKey, secret.expose("crypto")).toString("hex"),
    fingerprints: (secret) =>
      fingerprintKeys.map((key) => hmac(key, secret.expose("crypto")).toString("hex")),
    tag: (text) => hmac(tagKey, text).toString("hex"),
    verifyTag: (text, tag) => {
      if (!/^[0-9a-f]{64}$/.test(tag)) return false;
      const shown = Buffer.from(tag, "hex");
      return tagKeys.some((key) => timingSafeEqual(shown, hmac(key, text)));
    },
  };
}

function sealUnder(key: RingKey, plain: Secret, binding: string, random: Random): Uint8Array {
  const salt = random.bytes(SALT_BYTES);
  const dataKey = Buffer.from(random.bytes(KEY_BYTES));
  const text = Buffer.from(plain.expose("seal"), "utf8");
  const wrapped = encrypt(
    derive(key.key, PURPOSE.wrap, salt),
    dataKey,
    context(PURPOSE.wrap, key.id, binding),
  );
  const data = encrypt(createSecretKey(dataKey), text, context(PURPOSE.data, key.id, binding));
  dataKey.fill(0);
  text.fill(0);
  return formatSealedValue({
    keyId: key.id,
    salt,
    wrappedKey: wrapped.bytes,
    wrapTag: wrapped.tag,
    data: data.bytes,
    dataTag: data.tag,
  });
}

function openUnder(key: RingKey, sealed: Uint8Array, binding: string): Secret {
  const value = parseSealedValue(sealed);
  const dataKey = decrypt(
    derive(key.key, PURPOSE.wrap, value.salt),
    { bytes: value.wrappedKey, tag: value.wrapTag },
    context(PURPOSE.wrap, key.id, binding),
  );
  const text = decrypt(
    createSecretKey(dataKey),
    { bytes: value.data, tag: value.dataTag },
    context(PURPOSE.data, key.id, binding),
  );
  dataKey.fill(0);
  const secret = Secret.of(text.toString("utf8"));
  text.fill(0);
  return secret;
}

interface Encrypted {
  readonly bytes: Uint8Array;
  readonly tag: Uint8Array;
}

function encrypt(key: KeyObject, plain: Uint8Array, aad: Uint8Array): Encrypted {
  const cipher = createCipheriv(CIPHER, key, NONCE, { authTagLength: TAG_BYTES }).setAAD(aad);
  const bytes = Buffer.concat([cipher.update(plain), cipher.final()]);
  return { bytes, tag: cipher.getAuthTag() };
}

function decrypt(key: KeyObject, value: Encrypted, aad: Uint8Array): Buffer {
  const decipher = createDecipheriv(CIPHER, key, NONCE, { authTagLength: TAG_BYTES })
    .setAAD(aad)
    .setAuthTag(value.tag);
  try {
    return Buffer.concat([decipher.update(value.bytes), decipher.final()]);
  } catch {
    throw cannotOpen();
  }
}

/** Each part with its length before it, so that no two lists of parts read the same. */
function context(...parts: readonly string[]): Uint8Array {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part, "utf8");
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

function derive(key: KeyObject, purpose: Purpose, salt: Uint8Array = new Uint8Array(0)): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync("sha256", key, salt, purpose, KEY_BYTES)));
}

function hmac(key: KeyObject, text: string): Buffer {
  return createHmac("sha256", key).update(text, "utf8").digest();
}
