import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";

/** A verifier of a random password, as PostgreSQL stores it (RFC 5802, RFC 7677). */
export function scramVerifierText(iterations: number): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(randomBytes(32).toString("base64url"), salt, iterations, 32, "sha256");
  const keyed = (text: string): Buffer => createHmac("sha256", salted).update(text).digest();
  const stored = createHash("sha256").update(keyed("Client Key")).digest("base64");
  const server = keyed("Server Key").toString("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${stored}:${server}`;
}
