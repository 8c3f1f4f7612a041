import { createHash, createHmac, pbkdf2, pbkdf2Sync } from "node:crypto";
import { promisify } from "node:util";

const inPool = promisify(pbkdf2);
/** Some microseconds: less than it costs to hand the work to another thread. */
const ROUNDS_AT_ONCE_MAX = 64;

const KEY_BYTES = 32;

export interface ScramInput {
  /** ASCII without control characters: SASLprep (RFC 4013) leaves it as it is. */
  readonly password: string;
  readonly salt: Uint8Array;
  readonly iterations: number;
}

/**
 * The verifier that PostgreSQL stores for SCRAM-SHA-256 (RFC 5802 section 3, RFC 7677), in the form
 * that `PASSWORD '…'` takes as ready-made, so that the password itself never goes to the server.
 */
export async function scramVerifier({ password, salt, iterations }: ScramInput): Promise<string> {
  if (!/^[\x20-\x7e]+$/.test(password)) throw new RangeError("the password has to be plain ASCII");
  const stretch = iterations > ROUNDS_AT_ONCE_MAX ? inPool : pbkdf2Sync;
  const salted = await stretch(password, salt, iterations, KEY_BYTES, "sha256");
  const keyed = (text: string): Buffer => createHmac("sha256", salted).update(text).digest();
  const storedKey = createHash("sha256").update(keyed("Client Key")).digest("base64");
  const serverKey = keyed("Server Key").toString("base64");
  const saltText = Buffer.from(salt).toString("base64");
  return `SCRAM-SHA-256$${iterations}:${saltText}$${storedKey}:${serverKey}`;
}
