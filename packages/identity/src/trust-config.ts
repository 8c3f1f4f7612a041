import { z } from "zod";
import { parseClaimPath } from "./claim-path.ts";
import { isPrivateJwk, readJwks } from "./parse-jwk-set.ts";
import { isJsonMap } from "./parse-compact-jwt.ts";

/** What both kinds of trust root share: written by platform teams, so in snake case. */

const ATTRIBUTES_MAX = 32;
const DAY_SECONDS = 86_400;

/** The ledger cannot keep every control character, and no token of use has one. */
const isPlain = (text: string): boolean => text.isWellFormed() && !/\p{Cc}/u.test(text);
const plainText = z
  .string()
  .refine(isPlain, { message: "has control characters or unpaired surrogates" });

const claimPath = z
  .string()
  .max(512)
  .refine((text) => isPlain(text) && parseClaimPath(text) !== null, {
    message: "expected a claim such as repository_id, or a JSON pointer such as /a.b/c",
  });

export const attributeSchema = z.strictObject({
  claim: claimPath,
  /** `immutable`: nobody else can ever have this value. */
  stability: z.enum(["immutable", "mutable"]),
  /**
   * Some of the issuer's tokens lack it: policies read it behind a test. Stored only if given: the
   * version before knows no such member.
   */
  optional: z.boolean().optional(),
});

const attributes = z
  .record(
    z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, "expected a name of a-z, 0-9 and underscores"),
    attributeSchema,
  )
  .refine((record) => Object.keys(record).length <= ATTRIBUTES_MAX, {
    message: `expected at most ${ATTRIBUTES_MAX} attributes`,
  });

const MEMBERSHIP_VALUES_MAX = 64;

/**
 * A claim that lists what its holder belongs to, such as `groups`. Each value of `of` that the
 * claim has becomes an attribute of its own, `groups:platform`; the others are nobody's business.
 * Unlike an attribute it may be absent: policies can only test for it.
 */
const memberships = z
  .record(
    z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, "expected a name of a-z, 0-9 and underscores"),
    z.strictObject({
      claim: claimPath,
      of: z.array(plainText.min(1).max(256)).min(1).max(MEMBERSHIP_VALUES_MAX),
      stability: z.enum(["immutable", "mutable"]),
    }),
  )
  .refine(
    (record) => Object.values(record).flatMap(({ of }) => of).length <= MEMBERSHIP_VALUES_MAX,
    { message: `expected at most ${MEMBERSHIP_VALUES_MAX} values in all` },
  );

const requiredClaims = z
  .record(claimPath, z.union([plainText.max(1024), z.number().int(), z.boolean()]))
  .refine((record) => Object.keys(record).length <= ATTRIBUTES_MAX, {
    message: `expected at most ${ATTRIBUTES_MAX} claims`,
  });

/** What a claim's text begins or ends with; no patterns, which could be made to take for ever. */
export const requiredText = z
  .record(
    claimPath,
    z
      .strictObject({
        starts_with: plainText.min(1).max(256).optional(),
        ends_with: plainText.min(1).max(256).optional(),
      })
      .refine(({ starts_with: start, ends_with: end }) => (start ?? end) !== undefined, {
        message: "expected starts_with, ends_with or both",
      }),
  )
  .refine((record) => Object.keys(record).length <= ATTRIBUTES_MAX, {
    message: `expected at most ${ATTRIBUTES_MAX} claims`,
  });

/** Claims that mark what is no workload's token, such as a person's. */
export const absentClaims = z.array(claimPath).max(ATTRIBUTES_MAX);

export const seconds = (min: number, max: number): z.ZodNumber =>
  z.number().int().min(min).max(max, `expected at most ${max} seconds`);

export const commonMembers = {
  /** Defaults to the broker's issuer. */
  audience: plainText.min(1).max(2048).optional(),
  identity_max_age_seconds: seconds(1, 30 * DAY_SECONDS).default(3600),
  stale_keys_seconds_max: seconds(0, DAY_SECONDS).default(3600),
  attributes: attributes.default({}),
  required_claims: requiredClaims.default({}),
  memberships: memberships.optional(),
  /**
   * Whether its identities may be initiators: for roots at which people log in. Of any other root,
   * whoever runs a second workload could show it as the person who asked.
   */
  initiators: z.boolean().default(false),
  /**
   * Whether its identities may call the administration and query APIs. What they may do there,
   * policies say: without one, nothing. Stored only if given: the version before knows no such
   * member.
   */
  administrators: z.boolean().optional(),
  /**
   * `required`: its identities count only with a DPoP proof, and so every task token of theirs is
   * bound to a key. Stored only if given, for the same reason.
   */
  proof_of_possession: z.enum(["optional", "required"]).optional(),
  /** Permits http and loopback or private addresses for this root's keys. */
  unsafe_allow_private_addresses: z.boolean().default(false),
  /** Whoever else a token is addressed to could present it here. */
  unsafe_allow_other_audiences: z.boolean().default(false),
} as const;

/** At least one, each once. */
export function algorithmList<const T extends readonly [string, ...string[]]>(
  allowed: T,
): z.ZodArray<z.ZodEnum<{ [K in T[number]]: K }>> {
  return z
    .array(z.enum(allowed))
    .min(1)
    .max(allowed.length)
    .refine((list) => new Set(list).size === list.length, { message: "an algorithm is repeated" });
}

/** A JWK set as its standard writes it; members we do not know are its business. */
export const inlineJwks = z
  .looseObject({ keys: z.array(z.looseObject({ kty: z.string() })) })
  .refine((set) => readJwks(set) !== null, { message: "expected at most 100 keys" })
  .refine((set) => set.keys.every((jwk) => !(isJsonMap(jwk) && isPrivateJwk(jwk))), {
    message: "holds a private or secret key: give public keys only, and replace this one",
  });

/**
 * An absolute URL as the fetcher will see it. http is for `unsafe_allow_private_addresses`, which
 * the caller checks with {@link needsUnsafe}.
 */
export const fetchUrl = z
  .string()
  .max(2048)
  .refine((text) => isFetchUrl(text), {
    message: "expected an https URL without user, fragment or spaces",
  });

function isFetchUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  return (
    url !== null &&
    (url.protocol === "https:" || url.protocol === "http:") &&
    url.username === "" &&
    url.password === "" &&
    /^[\x21-\x7e]+$/.test(text) &&
    !text.includes("#")
  );
}

export const needsUnsafe = (url: string): boolean => !url.startsWith("https://");
