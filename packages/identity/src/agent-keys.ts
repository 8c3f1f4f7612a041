import { X509Certificate } from "node:crypto";
import type { AgentBundles, CallContext, Followed, Log, WorkloadApi } from "@mayfly/spec";
import type { KeySource } from "./key-source.ts";
import { isJsonMap, parseJsonObject, type JsonMap } from "./parse-compact-jwt.ts";
import { parseJwkSet, readJwks, type JwkSetRules, type KeySet } from "./parse-jwk-set.ts";
import { Refusal } from "./refusal.ts";

export interface AgentKeysOptions {
  /** Null where the process was told of no agent. */
  readonly api: WorkloadApi | null;
  readonly trustDomain: string;
  readonly rules: JwkSetRules;
  /** How long the keys are still used after the agent no longer tells. */
  readonly staleSecondsMax: number;
  readonly log: Log;
}

const CERTIFICATES_MAX = 100;

/**
 * The keys of one trust domain, its own or a federated one, as the agent tells them now. A domain
 * that the agent's newest message leaves out is one of which nothing is trusted.
 */
export function agentKeys(options: AgentKeysOptions): KeySource {
  let closed = false;
  let parsed: { readonly from: AgentBundles; readonly keys: KeySet } | null = null;

  const keysIn = (followed: Followed<AgentBundles>, context: CallContext | null): KeySet | null => {
    const { newest, lostAtMs } = followed;
    const now = context?.clock.monotonicMs() ?? Number.NEGATIVE_INFINITY;
    if (lostAtMs !== null && now >= lostAtMs + options.staleSecondsMax * 1000) return null;
    if (parsed?.from !== newest) parsed = { from: newest, keys: keysOf(newest, options) };
    return parsed.keys;
  };
  const known = (context: CallContext | null): KeySet | null => {
    const followed = closed ? null : (options.api?.bundles() ?? null);
    return followed === null ? null : keysIn(followed, context);
  };

  return {
    held: () => known(null),
    fresh: known,
    current: async (context) => {
      const { api } = options;
      if (closed) throw new Refusal("withdrawn", "the trust root was removed");
      if (api === null) {
        throw new Refusal("keys_unavailable", "this process was told of no SPIFFE agent");
      }
      try {
        const keys = keysIn(await api.firstBundles(context), context);
        if (keys !== null) return keys;
      } catch (error) {
        throw new Refusal("keys_unavailable", "the SPIFFE agent tells nothing", { cause: error });
      }
      throw new Refusal("keys_unavailable", "the SPIFFE agent has told nothing for too long");
    },
    // What changed, the agent has told already.
    lookAgain: async () => null,
    close: () => {
      closed = true;
      parsed = null;
    },
  };
}

/** The two halves of a bundle, put together as the one document that a bundle endpoint serves. */
function keysOf({ x509, jwt }: AgentBundles, options: AgentKeysOptions): KeySet {
  const { trustDomain, rules, log } = options;
  const half = (what: string, read: () => readonly unknown[]): readonly unknown[] => {
    try {
      return read();
    } catch (error) {
      log.error("a bundle of the SPIFFE agent cannot be read", { what }, error);
      return [];
    }
  };
  const certificates = x509.get(trustDomain);
  const jwks = jwt.get(trustDomain);
  const keys = [
    ...half("x509", () => (certificates === undefined ? [] : authoritiesIn(certificates))),
    ...half("jwt", () => (jwks === undefined ? [] : jwtKeysIn(jwks))),
  ];
  return parseJwkSet({ keys }, rules);
}

/** SPIFFE Workload API section 6.2.2: plain JWKs, whose use is what they were asked for. */
function jwtKeysIn(bytes: Uint8Array): readonly JsonMap[] {
  const keys = readJwks(parseJsonObject(bytes, "the bundle")) ?? [];
  return keys.filter(isJsonMap).map((jwk) => ({ use: "jwt-svid", ...jwk }));
}

/** Certificates in DER, one after the other (SPIFFE Workload API section 5.2.2). */
function authoritiesIn(bytes: Uint8Array): readonly JsonMap[] {
  const found: JsonMap[] = [];
  let left = Buffer.from(bytes);
  while (left.length > 0) {
    if (found.length === CERTIFICATES_MAX) throw new Refusal("too_large", "too many certificates");
    const { raw, publicKey } = new X509Certificate(left);
    if (!left.subarray(0, raw.length).equals(raw)) {
      throw new Refusal("malformed", "the bundle is not certificates in DER");
    }
    found.push({
      ...publicKey.export({ format: "jwk" }),
      use: "x509-svid",
      x5c: [raw.toString("base64")],
    });
    left = left.subarray(raw.length);
  }
  return found;
}
