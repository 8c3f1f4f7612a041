import type { BackendKeys } from "./backend-keys.ts";
import type { JsonObject } from "./brand.ts";
import type { EndedLeases, EndedLeasesWanted } from "./ended-leases.ts";
import type { LeaseId } from "./ids.ts";
import type { Secret } from "./secret.ts";
import type { InstantMs } from "./time.ts";

/** What the installation vouches for with keys and records of its own, in one backend's name. */
export interface TokenHost {
  /** Issuer of this backend's tokens alone, a URL below the broker's own: RFC 8414 section 2. */
  readonly issuer: string;
  /** The broker's issuer, the audience of what is presented to it: never of what it mints. */
  readonly brokerIssuer: string;
  readonly keys: BackendKeys;
  /** What the ledger says of a lease of this backend at this moment, of its task included. */
  standingOf(leaseId: LeaseId): Promise<LeaseStanding>;
  /** What has to be refused, as `TaskLedger.endedLeases` says of this backend. */
  endedLeases(wanted: EndedLeasesWanted): Promise<EndedLeases>;
}

/** `live`: handed out, and no end of it or of a task above it was requested. */
export type LeaseStanding = "reserved" | "live" | "over" | "unknown";

export interface TokenVerification {
  /**
   * K1. Public keys, RFC 7517: each is among them well before it signs, and until its last token
   * died.
   */
  keys(): Promise<readonly JsonObject[]>;
  /** K2. Adds the next key when it is due; called by a timer, safe in many processes. */
  rotate(now: InstantMs): Promise<void>;
  /** K3. Reads a token that a key of this backend signed; null for all else, and once expired. */
  read(token: Secret): Promise<ReadToken | null>;
  /**
   * K4. As `read`, of a token that is to be revoked: also of one whose key was retired, which
   * vouches for nothing by then, so that nothing is trusted until the lease's fingerprint is the
   * token's; and of one that has expired by this clock, and perhaps by no other. What no key of
   * this backend signed is null before anything is looked up. Throws `NotKnownYet`.
   */
  readForEnd(token: Secret): Promise<ReadToken | null>;
}

export interface ReadToken {
  readonly leaseId: LeaseId;
  /** As signed: RFC 9068 section 2.2. */
  readonly claims: JsonObject;
  readonly confirmation: string | null;
  /** Whom it is for: a resource server of any of them may introspect it. */
  readonly audience: readonly string[];
}
