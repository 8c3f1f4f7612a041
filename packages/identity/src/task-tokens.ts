import { compactVerify, SignJWT } from "jose";
import {
  bindingOf,
  BrokerError,
  CERTIFICATE_CONFIRMATION,
  actClaim,
  confirmationClaim,
  clientIdOf,
  holderOf,
  instantMs,
  nameOfClientId,
  parseId,
  plusSeconds,
  RETIRED_BEFORE_SECONDS,
  Secret,
  type Clock,
  type InstantMs,
  type JsonObject,
  type Random,
  type Sealer,
  type SigningKeyStore,
  type TaskTokenClaims,
  type TaskTokens,
  type TaskTokenToEnd,
} from "@mayfly/spec";
import { checkAudience } from "./check-audience.ts";
import { checkHeader } from "./check-header.ts";
import {
  isJsonMap,
  member,
  parseCompactJwt,
  parseJsonObject,
  type JsonMap,
} from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";
import {
  createSigningKeys,
  RELOAD_SECONDS,
  type SigningKeys,
  type StoredKey,
} from "./signing-keys.ts";
import type { TaskTokensSettings } from "./task-tokens-settings.ts";

export interface TaskTokensOptions {
  readonly issuer: string;
  readonly store: SigningKeyStore;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: TaskTokensSettings;
}

/** Many times what a process goes without reading the keys; an older version reads every minute. */
const PUBLISH_AHEAD_SECONDS_MIN = 120;
const TYPE = "at+jwt";
const HEADER_RULES = {
  algorithms: ["ES256"],
  members: ["alg", "kid", "typ"],
  typeAllowed: (typ: string | null): boolean => typ === TYPE,
} as const;
const CLAIMS = [
  "iss",
  "sub",
  "aud",
  "client_id",
  "exp",
  "iat",
  "jti",
  "task",
  "act",
  "cnf",
  "authorization_details",
] as const;
/** Depth of tasks, and of what an initiator's token tells, with room for more. */
const ACTORS_MAX = 64;
/** RFC 7638: SHA-256 in base64url. */
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;
/** A key is named by its thumbprint. */
const KID_CHARACTERS = 43;
/** RFC 7518 section 3.4: 64 bytes. */
const SIGNATURE_CHARACTERS = 86;
const JTI_BYTES = 16;

/**
 * Task tokens as RFC 9068 access tokens, signed with ES256 (the cheapest to sign). `rotate` must
 * have run once before the first `sign`.
 */
export function createTaskTokens(options: TaskTokensOptions): TaskTokens {
  const { issuer, clock, random, settings } = options;
  if (settings.publishAheadSeconds < PUBLISH_AHEAD_SECONDS_MIN) {
    // Below it, a process could verify with keys read before a key was added that signs by now.
    throw new BrokerError(
      "config_invalid",
      `publishAheadSeconds: expected at least ${PUBLISH_AHEAD_SECONDS_MIN}`,
    );
  }
  if (settings.keySignsSeconds <= settings.publishAheadSeconds) {
    throw new BrokerError(
      "config_invalid",
      "keySignsSeconds: expected more than publishAheadSeconds",
    );
  }
  const keys = createSigningKeys({ ...options, binding: bindingOf.signingKey });
  return {
    sign: async (claims) => {
      if (claims.expiresAt - claims.issuedAt > settings.tokenSecondsMax * 1000) {
        throw new Error("a task token would outlive the key that signs it");
      }
      const { kid, key } = await keys.signer(clock.now());
      const jti = jtiOf(claims, random.bytes(JTI_BYTES));
      const text = await new SignJWT(payloadOf(claims, issuer, jti))
        .setProtectedHeader(headerOf(kid))
        .sign(key);
      return Secret.of(text);
    },
    lengthOf: (claims) => {
      const jti = jtiOf(claims, new Uint8Array(JTI_BYTES));
      return AROUND_PAYLOAD + encodedLength(payloadOf(claims, issuer, jti));
    },
    verify: async (token, now) => {
      let claims: JsonMap;
      try {
        claims = await verifyOwn(token, now, keys);
      } catch (error) {
        // A failure of the ledger stays what it is: the caller may try again.
        throw BrokerError.is(error) ? error : unauthenticated(error);
      }
      try {
        return readClaims(claims, issuer, now, settings.skewSeconds);
      } catch (error) {
        throw unauthenticated(error);
      }
    },
    readForEnd: (token, now) => readForEnd(token, now, keys, options),
    jwks: async () => ({ keys: await keys.published() }),
    rotate: (now) => keys.rotate(now),
  };
}

const headerOf = (kid: string) => ({ alg: "ES256", kid, typ: TYPE });

/** Begins with the task's id, so that a log of jtis alone leads back to the task. */
const jtiOf = ({ taskId }: TaskTokenClaims, own: Uint8Array): string =>
  `${taskId.slice("task_".length)}.${Buffer.from(own).toString("base64url")}`;

/** Base64url without padding (RFC 7515 section 2). */
const encodedLength = (value: unknown): number =>
  Math.ceil((Buffer.byteLength(JSON.stringify(value)) * 4) / 3);

/** Header, signature and two dots are as long in each. */
const AROUND_PAYLOAD =
  encodedLength(headerOf("k".repeat(KID_CHARACTERS))) + SIGNATURE_CHARACTERS + 2;

function unauthenticated(cause: unknown): BrokerError {
  return new BrokerError("unauthenticated", "The task token is not valid.", { cause });
}

function payloadOf(claims: TaskTokenClaims, issuer: string, jti: string): Record<string, unknown> {
  return {
    iss: issuer,
    sub: claims.subject,
    aud: issuer,
    client_id: clientIdOf(holderOf(claims)),
    iat: Math.floor(claims.issuedAt / 1000),
    exp: Math.floor(claims.expiresAt / 1000),
    jti,
    task: claims.taskId,
    ...actClaim(claims),
    ...(claims.confirmation === null ? {} : { cnf: confirmationClaim(claims.confirmation) }),
    authorization_details: claims.authorizationDetails,
  };
}

async function verifyOwn(token: Secret, now: InstantMs, keys: SigningKeys): Promise<JsonMap> {
  const jwt = parseCompactJwt(token.expose("crypto"));
  const { algorithm, kid } = checkHeader(jwt.header, HEADER_RULES);
  if (kid === null) throw new Refusal("header", "a task token names its key");
  const key = await keys.verifier(kid, now);
  if (key === null)
    throw new Refusal("unknown_key", "the task token's key is not, or no more, ours");
  const { payload } = await compactVerify(jwt.compact, key.key, { algorithms: [algorithm] });
  return parseJsonObject(payload, "the task token's payload");
}

/** Null for what is refused, whatever it is: none of ours. What the ledger throws stays that. */
async function readForEnd(
  token: Secret,
  now: InstantMs,
  keys: SigningKeys,
  { issuer, settings: { skewSeconds } }: TaskTokensOptions,
): Promise<TaskTokenToEnd | null> {
  const parsed = parseOwn(token, issuer);
  const signer = parsed === null ? null : await keys.stored(parsed.kid);
  if (parsed === null || signer === null) return null;
  try {
    const { compact, algorithm } = parsed;
    await compactVerify(compact, signer.key, { algorithms: [algorithm] });
  } catch {
    return null;
  }
  const standingAt = (expiresAt: InstantMs) => standingOf(expiresAt, signer, now, skewSeconds);
  try {
    // Of any age: what has expired was ours all the same.
    const claims = readClaims(parsed.claims, issuer, instantMs(0), Number.POSITIVE_INFINITY);
    return { claims, standing: standingAt(claims.expiresAt) };
  } catch {
    if (countsNowhere(parsed.claims, standingAt)) return null;
    throw ofAnotherVersion();
  }
}

/** Of a token that our key signed, and whose other claims are none that we know. */
function countsNowhere(
  claims: JsonMap,
  standingAt: (expiresAt: InstantMs) => TaskTokenToEnd["standing"],
): boolean {
  try {
    const standing = standingAt(instant(claims, "exp"));
    return standing === "dead" || standing === "retired";
  } catch {
    return false;
  }
}

/** A newer broker made it, and this one is not replaced yet: nobody may say that it is none. */
const ofAnotherVersion = (): BrokerError =>
  new BrokerError(
    "busy",
    "The token is ours, and says what this version of the broker cannot read.",
    {
      retryAfterSeconds: RELOAD_SECONDS,
      public: { hint: "Try again; brokers of the version that made the token can end its task." },
    },
  );

/** Nothing of it is verified yet: no key of ours is looked for that it does not name. */
function parseOwn(token: Secret, issuer: string) {
  try {
    const { header, claims, compact } = parseCompactJwt(token.expose("crypto"));
    const { algorithm, kid } = checkHeader(header, HEADER_RULES);
    if (kid === null || member(claims, "iss") !== issuer) return null;
    return { compact, claims, algorithm, kid };
  } catch {
    return null;
  }
}

/** By the clock of any broker, which may differ from this one's. */
function standingOf(
  expiresAt: InstantMs,
  { verifiesUntilAt }: StoredKey,
  now: InstantMs,
  skewSeconds: number,
): TaskTokenToEnd["standing"] {
  if (now >= plusSeconds(expiresAt, skewSeconds)) return "dead";
  if (verifiesUntilAt === null || now < verifiesUntilAt) return "counts";
  const trustSeconds = RETIRED_BEFORE_SECONDS + RELOAD_SECONDS + skewSeconds;
  return now < plusSeconds(verifiesUntilAt, trustSeconds) ? "retiring" : "retired";
}

/** Closed-world: we made it, so anything else in it is not ours. */
function readClaims(
  claims: JsonMap,
  issuer: string,
  now: InstantMs,
  skewSeconds: number,
): TaskTokenClaims & { readonly jti: string } {
  const names: readonly string[] = CLAIMS;
  if (Object.keys(claims).some((name) => !names.includes(name))) {
    throw new Refusal("claims", "the task token has a claim that task tokens do not have");
  }
  if (member(claims, "iss") !== issuer) throw new Refusal("issuer", "not of this issuer");
  checkAudience(claims, issuer, false);
  const subject = text(claims, "sub");
  const parties = readParties(claims, subject);
  const issuedAt = instant(claims, "iat");
  const expiresAt = instant(claims, "exp");
  // Our own clocks made both: no leniency at the end, a little at the start.
  if (now >= expiresAt) throw new Refusal("time", "the task token has expired");
  if (issuedAt > now + skewSeconds * 1000) throw new Refusal("time", "issued in the future");
  return {
    taskId: parseId("task", member(claims, "task"), "task"),
    subject,
    ...parties,
    issuedAt,
    expiresAt,
    confirmation: readConfirmation(member(claims, "cnf")),
    authorizationDetails: readDetails(member(claims, "authorization_details")),
    jti: text(claims, "jti"),
  };
}

/** Who acts is the client; without `act`, one that is not the subject impersonates it. */
function readParties(
  claims: JsonMap,
  subject: string,
): Pick<TaskTokenClaims, "actors" | "impersonates"> {
  const client = text(claims, "client_id");
  const actors = readActors(member(claims, "act"));
  const [holder = subject] = actors;
  // Versions before this one wrote a registered client's name, and their tokens may live.
  if (client === clientIdOf(holder) || client === holder) {
    return actors.length === 0 ? {} : { actors };
  }
  if (actors.length > 0) throw new Refusal("claims", "client_id is not who acts");
  return { actors: [nameOfClientId(client)], impersonates: true };
}

function readActors(outermost: unknown): readonly string[] {
  const actors: string[] = [];
  let act = outermost;
  while (act !== undefined) {
    if (!isJsonMap(act) || actors.length === ACTORS_MAX) {
      throw new Refusal("claims", "act is not a chain of ours");
    }
    if (Object.keys(act).some((name) => name !== "sub" && name !== "act")) {
      throw new Refusal("claims", "act has a member that ours do not have");
    }
    actors.push(text(act, "sub"));
    act = member(act, "act");
  }
  return actors;
}

function text(claims: JsonMap, name: string): string {
  const value = member(claims, name);
  if (typeof value !== "string" || value === "") throw new Refusal("claims", `${name} is no text`);
  return value;
}

function instant(claims: JsonMap, name: string): InstantMs {
  const value = member(claims, name);
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    throw new Refusal("time", `${name} is not a time`);
  }
  return instantMs(value * 1000);
}

/** RFC 9449 section 6.1, RFC 8705 section 3.1: of a key, or of a certificate. */
function readConfirmation(cnf: unknown): string | null {
  if (cnf === undefined) return null;
  const [one, ...more] = isJsonMap(cnf) ? Object.entries(cnf) : [];
  const [name, value] = one ?? [];
  if (typeof value !== "string" || !THUMBPRINT.test(value) || more.length > 0) {
    throw new Refusal("claims", "cnf is not one thumbprint");
  }
  if (name === "jkt") return value;
  if (name === "x5t#S256") return `${CERTIFICATE_CONFIRMATION}${value}`;
  throw new Refusal("claims", "cnf is neither of a key nor of a certificate");
}

/** They came out of JSON: an object there is a JSON object. */
function readDetails(details: unknown): readonly JsonObject[] {
  if (!Array.isArray(details) || !details.every(isJsonMap)) {
    throw new Refusal("claims", "authorization_details is not a list of objects");
  }
  return details as readonly JsonObject[];
}
