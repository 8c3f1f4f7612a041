import { hash } from "node:crypto";
import canonicalize from "canonicalize";
import type { LedgerEvent } from "@mayfly/spec";

/** What the log vouches for: an event as the API shows it, but for its place in the log. */
export type LoggedEvent = Omit<LedgerEvent, "logIndex">;

/** What the first entry's chain hash is made from: 32 zero bytes. */
export const CHAIN_START: Uint8Array = new Uint8Array(32);

const LEAF_PREFIX = 0;
const SALTED_PREFIX = 3;
const ERASED_PREFIX = 4;

/** Of a salt, in bytes. */
export const SALT_BYTES = 16;

/**
 * Version 1: SHA-256(0x00 ‖ canonical JSON of the event), the leaf hash of RFC 6962 section 2.1
 * over RFC 8785, so that anybody with the event as JSON can compute it. Version 2, with a salt:
 * SHA-256(0x03 ‖ salt ‖ canonical JSON), so that nobody without the salt can try a guess.
 */
export const leafHash = (event: LoggedEvent, salt: Uint8Array | null): Buffer =>
  salt === null
    ? hashEvent(LEAF_PREFIX, NO_SALT, event)
    : hashEvent(SALTED_PREFIX, bytesOfSalt(salt), event);

/** What an erasure says of an event as it left it: SHA-256(0x04 ‖ canonical JSON), in hex. */
export const erasedEventSha256 = (event: LoggedEvent): string =>
  hashEvent(ERASED_PREFIX, NO_SALT, event).toString("hex");

const NO_SALT = new Uint8Array(0);

function bytesOfSalt(salt: Uint8Array): Uint8Array {
  if (salt.length !== SALT_BYTES) throw new Error(`a salt has ${SALT_BYTES} bytes`);
  return salt;
}

/**
 * In one piece: a hash that is fed bit by bit is an object of OpenSSL's for each event. An event's
 * own keys are few and known, so only what stands under them is sorted.
 */
function hashEvent(prefix: number, salt: Uint8Array, event: LoggedEvent): Buffer {
  const text = canonicalEvent(event);
  const textAt = 1 + salt.length;
  const bytes = Buffer.allocUnsafe(textAt + Buffer.byteLength(text, "utf8"));
  bytes[0] = prefix;
  bytes.set(salt, 1);
  bytes.write(text, textAt, "utf8");
  return hash("sha256", bytes, "buffer");
}

/** As `canonicalize` writes the whole of it. */
export function canonicalEvent(event: LoggedEvent): string {
  const { actor, at, data, decisionId, id, kind, leaseId, taskId } = event;
  return (
    `{"actor":${canonical(actor)},"at":${canonical(at)},"data":${canonical(data)},` +
    `"decisionId":${canonical(decisionId)},"id":${canonical(id)},"kind":${canonical(kind)},` +
    `"leaseId":${canonical(leaseId)},"taskId":${canonical(taskId)}}`
  );
}

function canonical(value: LoggedEvent[keyof LoggedEvent]): string {
  const text = canonicalize(value);
  if (text === undefined) throw new Error("an event has no canonical form");
  return text;
}

/** SHA-256(previous chain hash ‖ leaf hash). */
export function chainHash(previous: Uint8Array, leaf: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(previous.length + leaf.length);
  bytes.set(previous, 0);
  bytes.set(leaf, previous.length);
  return hash("sha256", bytes, "buffer");
}
