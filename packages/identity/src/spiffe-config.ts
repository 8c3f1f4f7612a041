import { z } from "zod";
import { SVID_ALGORITHMS } from "./algorithms.ts";
import { configInvalid, parseStrictly } from "./config-error.ts";
import { isTrustDomain } from "./spiffe-id.ts";
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

const schema = z.strictObject({
  ...commonMembers,
  trust_domain: trustDomain,
  /** A SPIFFE bundle given here. One without `jwt-svid` keys trusts no JWT-SVID. */
  bundle: inlineJwks.optional(),
  /** SPIFFE Federation section 5.2.1. `https_spiffe` is not offered. */
  bundle_endpoint: z.strictObject({ url: fetchUrl, profile: z.literal("https_web") }).optional(),
  algorithms: algorithmList(SVID_ALGORITHMS).default([...SVID_ALGORITHMS]),
  /** If set, an SVID needs an `iat`, which JWT-SVID does not ask for. */
  token_age_seconds_max: seconds(1, 86_400).optional(),
});
export type SpiffeConfig = z.output<typeof schema>;
export const spiffeConfigSchema = schema;

/** Strict; an SVID may be presented again (JWT-SVID has no required `jti`), so never one-time. */
export function parseSpiffeConfig(root: string, input: unknown): SpiffeConfig {
  const config = parseStrictly(schema, root, input);
  if ((config.bundle === undefined) === (config.bundle_endpoint === undefined)) {
    throw configInvalid(root, "bundle", "give either bundle or bundle_endpoint");
  }
  const url = config.bundle_endpoint?.url ?? "https://";
  if (needsUnsafe(url) && !config.unsafe_allow_private_addresses) {
    throw configInvalid(
      root,
      "bundle_endpoint.url",
      "expected https; http needs unsafe_allow_private_addresses",
    );
  }
  return config;
}
