import { z } from "zod";
import { plainObject, readLeaseName } from "@mayfly/backend-kit";
import {
  actClaim,
  CERTIFICATE_CONFIRMATION,
  type InstallationId,
  type JsonObject,
  type LeaseId,
  type TaskId,
} from "@mayfly/spec";
import type { TokenGrant } from "./role-settings.ts";

/** RFC 9068 section 2.1. */
export const TYPE = "at+jwt";
/** Our own claim: the task that the token was issued for. */
const TASK_CLAIM = "mayfly_task";

export interface TokenFacts {
  readonly issuer: string;
  /** The lease's name at the backend, by which it is found again. */
  readonly jti: string;
  readonly taskId: TaskId;
  readonly grant: TokenGrant;
  /** Seconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** RFC 9068 section 2.2. What the broker says stands last, so that no fixed claim replaces it. */
export function claimsOf(facts: TokenFacts): JsonObject {
  const { grant } = facts;
  const [sole, ...others] = grant.audience;
  return {
    ...plainObject(grant.claims),
    iss: facts.issuer,
    sub: grant.subject,
    aud: sole !== undefined && others.length === 0 ? sole : grant.audience,
    client_id: grant.client_id,
    iat: facts.issuedAt,
    exp: facts.expiresAt,
    jti: facts.jti,
    // RFC 6749 section 3.3: a list of at least one.
    ...(grant.scope.length === 0 ? {} : { scope: grant.scope.join(" ") }),
    ...actClaim(grant),
    ...(grant.cnf === null ? {} : { cnf: grant.cnf }),
    [TASK_CLAIM]: facts.taskId,
  };
}

const signed = z.looseObject({
  iss: z.string(),
  aud: z.union([z.string().transform((one) => [one]), z.array(z.string())]),
  exp: z.int(),
  jti: z.string(),
  cnf: z
    .union([
      z.strictObject({ jkt: z.string() }).transform(({ jkt }) => jkt),
      z
        .strictObject({ "x5t#S256": z.string() })
        .transform((cnf) => `${CERTIFICATE_CONFIRMATION}${cnf["x5t#S256"]}`),
    ])
    .optional(),
});

export interface OwnToken {
  readonly leaseId: LeaseId;
  readonly audience: readonly string[];
  readonly confirmation: string | null;
}

/** What a token says, by whomever it is signed; null for one of another issuer, or expired. */
export function readClaims(
  claims: JsonObject,
  of: {
    readonly issuer: string;
    readonly installation: InstallationId;
    /** Null: of any age. */
    readonly nowMs: number | null;
  },
): OwnToken | null {
  const parsed = signed.safeParse(claims);
  if (!parsed.success) return null;
  const { iss, aud, exp, jti, cnf } = parsed.data;
  const name = readLeaseName(jti);
  if (iss !== of.issuer || name?.installation !== of.installation) return null;
  if (of.nowMs !== null && of.nowMs >= exp * 1000) return null;
  return { leaseId: name.leaseId, audience: aud, confirmation: cnf ?? null };
}
