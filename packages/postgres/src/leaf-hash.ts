import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import type { LedgerEvent } from "@mayfly/spec";

/** What the log vouches for: an event as the API shows it, but for its place in the log. */
export type LoggedEvent = Omit<LedgerEvent, "logIndex">;

/** What the first entry's chain hash is made from: 32 zero bytes. */
export const CHAIN_START: Uint8Array = new Uint8Array(32);

const LEAF_PREFIX = Uint8Array.of(0);

/**
 * SHA-256(0x00 ‖ canonical JSON of the event), the leaf hash of RFC 6962 section 2.1 over RFC 8785,
 * so that anybody with the event as JSON can compute it.
 */
export function leafHash({ id, kind, at, actor, taskId, leaseId, decisionId, data }: LoggedEvent) {
  const text = canonicalize({ id, kind, at, actor, taskId, leaseId, decisionId, data });
  if (text === undefined) throw new Error("an event has no canonical form");
  return createHash("sha256").update(LEAF_PREFIX).update(text, "utf8").digest();
}

/** SHA-256(previous chain hash ‖ leaf hash). */
export const chainHash = (previous: Uint8Array, leaf: Uint8Array): Buffer =>
  createHash("sha256").update(previous).update(leaf).digest();
