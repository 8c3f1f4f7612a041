import { parseSpiffeIdPattern, isTrustDomain, parseSpiffeId } from "@mayfly/spec";
import { z } from "zod";
import { SVID_ALGORITHMS } from "./algorithms.ts";
import { configInvalid, parseStrictly } from "./config-error.ts";
import {
  algorithmList,
  commonMembers,
  fetchUrl,
  inlineJwks,
  needsUnsafe,
  seconds,
} from "./trust-config.ts";

const trustDomain = z.string().refine(isTrustDomain, {
  message: "expected a trust domain such as acme.test: lower case, without spiffe://",
});

const endpointId = z.string().refine((text) => (parseSpiffeId(text)?.path ?? "") !== "", {
  message: "expected a SPIFFE ID with a path, such as spiffe://acme.test/spire/server",
});

const SPIFFE_IDS_MAX = 100;
const idPattern = z.string().refine((text) => parseSpiffeIdPattern(text) !== null, {
  message: "expected a SPIFFE ID of a workload, or one with /* behind it for all below",
});

const schema = z.strictObject({
  ...commonMembers,
  trust_domain: trustDomain,
  /** A SPIFFE bundle given here. One without `jwt-svid` keys trusts no JWT-SVID. */
  bundle: inlineJwks.optional(),
  /** SPIFFE Federation section 5.2. */
  bundle_endpoint: z
    .discriminatedUnion("profile", [
      z.strictObject({ url: fetchUrl, profile: z.literal("https_web") }),
      z.strictObject({
        url: fetchUrl,
        profile: z.literal("https_spiffe"),
        /** Whose X509-SVID the endpoint serves with, of this trust domain or another. */
        endpoint_spiffe_id: endpointId,
        /** Of that id's trust domain, for the first look; then its newest bundle counts. */
        bootstrap_bundle: inlineJwks,
        /**
         * Whether the broker shows its own X509-SVID, of `MAYFLY_WORKLOAD_API`, as its client
         * certificate: for an endpoint that asks for one. Stored only if given.
         */
        client_svid: z.literal(true).optional(),
      }),
    ])
    .optional(),
  /**
   * The bundle as the SPIFFE agent beside the broker tells it, of its own trust domain or of one
   * that is federated with it. `MAYFLY_WORKLOAD_API` says where the agent is.
   */
  workload_api: z.literal(true).optional(),
  /**
   * Who counts of the trust domain: an id, or one with `/*` behind it for all below. Absent: all.
   */
  spiffe_ids: z.array(idPattern).min(1).max(SPIFFE_IDS_MAX).optional(),
  algorithms: algorithmList(SVID_ALGORITHMS).default([...SVID_ALGORITHMS]),
  /** If set, an SVID needs an `iat`, which JWT-SVID does not ask for. */
  token_age_seconds_max: seconds(1, 86_400).optional(),
});
export type SpiffeConfig = z.output<typeof schema>;
export const spiffeConfigSchema = schema;

/** Strict; an SVID may be presented again (JWT-SVID has no required `jti`), so never one-time. */
export function parseSpiffeConfig(root: string, input: unknown): SpiffeConfig {
  const config = parseStrictly(schema, root, input);
  const sources = [config.bundle, config.bundle_endpoint, config.workload_api];
  if (sources.filter((each) => each !== undefined).length !== 1) {
    throw configInvalid(root, "bundle", "give one of bundle, bundle_endpoint and workload_api");
  }
  const foreign = (config.spiffe_ids ?? []).findIndex(
    (text) => parseSpiffeIdPattern(text)?.id.trustDomain !== config.trust_domain,
  );
  if (foreign >= 0) {
    throw configInvalid(root, `spiffe_ids.${foreign}`, "is not of the trust domain");
  }
  const { url, profile } = config.bundle_endpoint ?? { url: "https://", profile: null };
  if (needsUnsafe(url) && profile === "https_spiffe") {
    throw configInvalid(root, "bundle_endpoint.url", "expected https: the server shows an SVID");
  }
  if (needsUnsafe(url) && !config.unsafe_allow_private_addresses) {
    throw configInvalid(
      root,
      "bundle_endpoint.url",
      "expected https; http needs unsafe_allow_private_addresses",
    );
  }
  return config;
}
