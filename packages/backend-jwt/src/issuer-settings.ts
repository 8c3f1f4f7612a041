import { z } from "zod";
import { parseStrict, plainObject, toJsonSchema } from "@mayfly/backend-kit";
import { BACKEND_KEY_ALGORITHMS, type JsonObject, type JsonSchema } from "@mayfly/spec";

/** RFC 7519 section 2, StringOrURI: printable ASCII without a space, so it has one spelling. */
const AUDIENCE = /^[\x21-\x7e]{1,512}$/;
export const audience = (): z.ZodString =>
  z.string().regex(AUDIENCE, "expected 1 to 512 printable characters without a space");

/** The most that a verifier's clock leeway may be: each second of it is one of exposure. */
export const LEEWAY_SECONDS_MAX = 300;

const schema = z.strictObject({
  audiences: z
    .array(audience())
    .min(1)
    .max(64)
    .transform((names) => [...new Set(names)].toSorted())
    .describe(
      "All that tokens of this backend may be for, each as its API compares it with `aud`; a role " +
        "names some of them.",
    ),
  algorithm: z
    .enum(BACKEND_KEY_ALGORITHMS)
    .default("ES256")
    .describe(
      "What the next key signs with. A change takes an hour: the new key is published before it " +
        "signs. RS256 is what every verifier of RFC 9068 has.",
    ),
  verifier_leeway_seconds: z
    .int()
    .min(0)
    .max(LEEWAY_SECONDS_MAX)
    .default(60)
    .describe(
      "How long after a token's `exp` its verifiers may still accept it, for their clocks' sake: " +
        "until then an ended lease counts as exposed.",
    ),
});
export type IssuerSettings = z.infer<typeof schema>;

export const ISSUER_SCHEMA: JsonSchema = toJsonSchema(schema);

export const issuerSettings = (input: unknown): IssuerSettings =>
  parseStrict(schema, input, "config");

/** Of a backend on record, also where another version of the broker registered it. */
export const audiencesOfConfig = (input: unknown): readonly string[] =>
  parseStrict(z.looseObject({ audiences: z.array(z.string()) }), input, "config").audiences;

export const parseConfig = (input: unknown): JsonObject => plainObject(issuerSettings(input));
