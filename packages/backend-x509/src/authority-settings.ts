import { z } from "zod";
import { parseStrict, plainObject, toJsonSchema } from "@mayfly/backend-kit";
import type { JsonObject, JsonSchema } from "@mayfly/spec";
import { dnsName } from "./certified-names.ts";

/** The most that a verifier's clock may be off: each second of it is one of exposure. */
const LEEWAY_SECONDS_MAX = 120;
/** Servers hang on to a connection, which no list of revoked certificates closes. */
const CONNECTION_SECONDS_MAX = 180;

const schema = z.strictObject({
  domains: z
    .array(dnsName())
    .min(1)
    .max(64)
    .transform((names) => [...new Set(names)].toSorted())
    .describe(
      "Domains that all names lie in, themselves or below: DNS names, hosts of URIs (the trust " +
        "domain of a SPIFFE ID), and what stands behind the @ of e-mail addresses. The authority's " +
        "own certificate has them as name constraints.",
    ),
  algorithm: z
    .enum(["RS256", "EdDSA"])
    .default("RS256")
    .describe(
      "What the next key of the authority is: RSA of 3,072 bits, which every TLS library verifies, " +
        "or Ed25519. Not ECDSA: an authority's own certificate is made anew wherever it is asked " +
        "for, and has to be the same each time.",
    ),
  crl_seconds: z
    .int()
    .min(1)
    .max(3_600)
    .default(120)
    .describe(
      "How long after it was made a list of revoked certificates counts (`nextUpdate`): servers " +
        "fetch the next one before, or refuse everybody. A revoked certificate is refused " +
        "everywhere so long after its end.",
    ),
  servers_check_crl: z
    .boolean()
    .default(true)
    .describe(
      "Whether every server of this authority checks the list, refuses certificates once its own " +
        "is too old, and resumes no TLS session, at which it would look at neither. Say false " +
        "where one does not: leases then end at their expiry alone.",
    ),
  connection_seconds_max: z
    .int()
    .min(0)
    .max(CONNECTION_SECONDS_MAX)
    .default(60)
    .describe(
      "How long a server keeps a connection at most: TLS looks at a certificate only when a " +
        "connection begins, so one that is open outlives the end by up to this.",
    ),
  leeway_seconds: z
    .int()
    .min(0)
    .max(LEEWAY_SECONDS_MAX)
    .default(60)
    .describe(
      "How far servers' clocks may be off: certificates and lists count so long before they were " +
        "made, and what has ended is exposed so much longer.",
    ),
});
export type AuthoritySettings = z.infer<typeof schema>;

export const AUTHORITY_SCHEMA: JsonSchema = toJsonSchema(schema);

export const authoritySettings = (input: unknown): AuthoritySettings =>
  parseStrict(schema, input, "config");

export const parseConfig = (input: unknown): JsonObject => plainObject(authoritySettings(input));
