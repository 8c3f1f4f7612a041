import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  timingSafeEqual,
} from "node:crypto";
import { BrokerError, Secret, type Sealer } from "@mayfly/spec";

/**
 * A sealer whose keys are made of their names and whose output is the same in every run: for tests
 * and the simulator, worthless as protection. The first name seals, all of them open.
 *
 * Layout: 8 bytes of key name hash, 12 of nonce, the ciphertext, 16 of authentication tag.
 */
export function createFakeSealer(keyNames: readonly [string, ...string[]] = ["fake"]): Sealer {
  let sealedCount = 0;
  const keys = new Map(keyNames.map((name) => [hash(`name:${name}`).toString("hex", 0, 8), name]));
  const hmac = (domain: string, text: string): Buffer =>
    createHmac("sha256", `fake-root/${domain}`).update(text).digest();

  return {
    seal: async (plain, binding) => {
      const name = keyNames[0];
      const nonce = hash(`nonce:${name}:${sealedCount++}`).subarray(0, 12);
      const cipher = createCipheriv("aes-256-gcm", keyNamed(name), nonce);
      cipher.setAAD(Buffer.from(binding));
      const body = Buffer.concat([cipher.update(plain.expose("seal"), "utf8"), cipher.final()]);
      const mark = hash(`name:${name}`).subarray(0, 8);
      return new Uint8Array(Buffer.concat([mark, nonce, body, cipher.getAuthTag()]));
    },
    open: async (sealed, binding) => {
      const bytes = Buffer.from(sealed);
      const name = keys.get(bytes.toString("hex", 0, 8));
      if (name === undefined || bytes.length < 36) throw cannotOpen();
      const decipher = createDecipheriv("aes-256-gcm", keyNamed(name), bytes.subarray(8, 20), {
        authTagLength: 16,
      });
      decipher.setAAD(Buffer.from(binding)).setAuthTag(bytes.subarray(-16));
      try {
        const plain = Buffer.concat([decipher.update(bytes.subarray(20, -16)), decipher.final()]);
        return Secret.of(plain.toString("utf8"));
      } catch {
        throw cannotOpen();
      }
    },
    keyIds: keyNames,
    keyIdOf: (sealed) => {
      const mark = Buffer.from(sealed).toString("hex", 0, 8);
      const known = keys.get(mark);
      if (sealed.length < 36) throw cannotOpen();
      return known ?? mark;
    },
    fingerprint: (secret) => hmac("fingerprint", secret.expose("crypto")).toString("hex"),
    fingerprints: (secret) => [hmac("fingerprint", secret.expose("crypto")).toString("hex")],
    tag: (text) => hmac("tag", text).toString("hex"),
    verifyTag: (text, tag) =>
      /^[0-9a-f]{64}$/.test(tag) && timingSafeEqual(Buffer.from(tag, "hex"), hmac("tag", text)),
  };
}

const knownKeys = new Map<string, Buffer>();
/** Made once: a simulation seals a million times under one name. */
function keyNamed(name: string): Buffer {
  const known = knownKeys.get(name) ?? hash(`key:${name}`);
  knownKeys.set(name, known);
  return known;
}

function hash(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function cannotOpen(): BrokerError {
  return new BrokerError("internal", "a sealed value cannot be opened");
}
