import type { CallContext } from "./context.ts";
import type { Secret } from "./secret.ts";

/** Trust bundles as an agent told them last. Each state replaces all of an earlier one. */
export interface AgentBundles {
  /** By trust domain: certificates in DER, one after the other. */
  readonly x509: ReadonlyMap<string, Uint8Array>;
  /** By trust domain: a JWK set, JSON in UTF-8. */
  readonly jwt: ReadonlyMap<string, Uint8Array>;
}

/** An X509-SVID of this process, and its key. */
export interface AgentSvid {
  readonly spiffeId: string;
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** PKCS #8, PEM. */
  readonly privateKey: Secret;
}

/** What is followed of an agent: the newest, and since when the agent no longer tells. */
export interface Followed<T> {
  readonly newest: T;
  /** Of the monotonic clock; null while the stream is up. */
  readonly lostAtMs: number | null;
}

/**
 * The SPIFFE Workload API of the agent on this machine. Its streams are opened when they are first
 * asked for, and again whenever they break, until {@link close}.
 */
export interface WorkloadApi {
  /** W1. Without waiting; null until the agent has told for the first time. */
  bundles(): Followed<AgentBundles> | null;
  /**
   * W2. The same, after waiting for the first of them. Throws `backend_unavailable` where there is
   * none within the agent's time, or when the call is cancelled.
   */
  firstBundles(context: CallContext): Promise<Followed<AgentBundles>>;
  /** W3. Told at once of the SVID that there is, and of each that replaces it. */
  followSvid(changed: (svid: AgentSvid) => void): void;
  close(): Promise<void>;
}
