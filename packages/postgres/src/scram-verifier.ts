import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import type { Random, Secret } from "@mayfly/spec";

const ITERATIONS = 4096;

/**
 * The stored form of a password (RFC 5803), made here so that the password itself is never in a
 * statement, and so in no server log. `password` is printable ASCII, for which SASLprep
 * (RFC 4013) changes nothing.
 */
export function scramVerifier(password: Secret, random: Random): string {
  const salt = random.bytes(16);
  const salted = pbkdf2Sync(password.expose("upstream"), salt, ITERATIONS, 32, "sha256");
  const keyOf = (label: string): Buffer => createHmac("sha256", salted).update(label).digest();
  const stored = createHash("sha256").update(keyOf("Client Key")).digest("base64");
  const server = keyOf("Server Key").toString("base64");
  return `SCRAM-SHA-256$${ITERATIONS}:${Buffer.from(salt).toString("base64")}$${stored}:${server}`;
}
