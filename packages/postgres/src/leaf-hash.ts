import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import type { LedgerEvent } from "@mayfly/spec";

/** What the log vouches for: an event as the API shows it, but for its place in the log. */
export type LoggedEvent = Omit<LedgerEvent, "logIndex">;

/** What the first entry's chain hash is made from: 32 zero bytes. */
export const CHAIN_START: Uint8Array = new Uint8Array(32);

const LEAF_PREFIX = Uint8Array.of(0);
const SALTED_PREFIX = Uint8Array.of(3);
const ERASED_PREFIX = Uint8Array.of(4);

/** Of a salt, in bytes. */
export const SALT_BYTES = 16;

/**
 * Version 1: SHA-256(0x00 ‖ canonical JSON of the event), the leaf hash of RFC 6962 section 2.1
 * over RFC 8785, so that anybody with the event as JSON can compute it. Version 2, with a salt:
 * SHA-256(0x03 ‖ salt ‖ canonical JSON), so that nobody without the salt can try a guess.
 */
export const leafHash = (event: LoggedEvent, salt: Uint8Array | null): Buffer =>
  salt === null
    ? hashEvent([LEAF_PREFIX], event)
    : hashEvent([SALTED_PREFIX, bytesOfSalt(salt)], event);

/** What an erasure says of an event as it left it: SHA-256(0x04 ‖ canonical JSON), in hex. */
export const erasedEventSha256 = (event: LoggedEvent): string =>
  hashEvent([ERASED_PREFIX], event).toString("hex");

function bytesOfSalt(salt: Uint8Array): Uint8Array {
  if (salt.length !== SALT_BYTES) throw new Error(`a salt has ${SALT_BYTES} bytes`);
  return salt;
}

function hashEvent(
  before: readonly Uint8Array[],
  { id, kind, at, actor, taskId, leaseId, decisionId, data }: LoggedEvent,
): Buffer {
  const text = canonicalize({ id, kind, at, actor, taskId, leaseId, decisionId, data });
  if (text === undefined) throw new Error("an event has no canonical form");
  const hash = createHash("sha256");
  for (const bytes of before) hash.update(bytes);
  return hash.update(text, "utf8").digest();
}

/** SHA-256(previous chain hash ‖ leaf hash). */
export const chainHash = (previous: Uint8Array, leaf: Uint8Array): Buffer =>
  createHash("sha256").update(previous).update(leaf).digest();
