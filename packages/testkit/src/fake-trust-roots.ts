import { createHash } from "node:crypto";
import {
  BrokerError,
  durationSeconds,
  instantMs,
  parseTrustRootName,
  Secret,
  type CallContext,
  type Delegation,
  type IdentityVerifier,
  type PresentedIdentity,
  type TrustRoot,
  type TrustRoots,
  type VerifiedIdentity,
  type WorkloadAttribute,
} from "@mayfly/spec";

/** What a fake token says. Its signature is a hash that anybody can make. */
export interface FakeIdentity {
  readonly kind: "spiffe" | "oidc";
  /** The OIDC issuer, or `spiffe://<trust domain>`. */
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
  readonly expiresAt: number;
  readonly notBeforeAt?: number;
  readonly attributes?: Readonly<Record<string, WorkloadAttribute>>;
  /** Of a one-time token. */
  readonly jti?: string;
  /** As if the token had `act` or `may_act`. */
  readonly delegation?: Delegation;
  /** As if the caller had proven this key. */
  readonly confirmation?: string;
}

export interface FakeTrust {
  readonly name: string;
  readonly kind: TrustRoot["kind"];
  readonly issuer: string;
  /** Default 3600. */
  readonly identityMaxAgeSeconds?: number;
  /** Default false; then a token needs a `jti`. */
  readonly oneTimeTokens?: boolean;
  /** Default false. */
  readonly initiators?: boolean;
  /** Default false. */
  readonly administrators?: boolean;
}

/** A token that fake trust roots accept, if its issuer is theirs and its audience the broker. */
export function fakeIdentity(
  facts: FakeIdentity,
  signedBy: string = facts.issuer,
): PresentedIdentity {
  const body = Buffer.from(JSON.stringify(facts)).toString("base64url");
  return { kind: "jwt", token: Secret.of(`fake.${body}.${signature(body, signedBy)}`) };
}

export function fakeTrustRoot(trust: FakeTrust): TrustRoot {
  return {
    name: parseTrustRootName(trust.name, "name"),
    kind: trust.kind,
    config: {
      issuer: trust.issuer,
      identity_max_age_seconds: trust.identityMaxAgeSeconds ?? 3600,
      one_time_tokens: trust.oneTimeTokens ?? false,
      initiators: trust.initiators ?? false,
      administrators: trust.administrators ?? false,
    },
    enabled: true,
  };
}

/** Trust roots over {@link fakeIdentity} tokens: real rules, no cryptography, no network. */
export function createFakeTrustRoots(options: {
  /** The audience. */
  readonly issuer: string;
  readonly roots?: readonly TrustRoot[];
}): TrustRoots {
  let verifiers: readonly IdentityVerifier[] = [];
  const replace = (roots: readonly TrustRoot[]): void => {
    verifiers = roots
      .filter(({ enabled }) => enabled)
      .map((root) => createFakeVerifier(root, options.issuer));
  };
  replace(options.roots ?? []);
  const verify: TrustRoots["verify"] = async (presented, context) => {
    const claiming = verifiers.filter((verifier) => verifier.claims(presented));
    const [only] = claiming;
    if (only === undefined || claiming.length > 1) throw refused("no one root claims it");
    const identity = await only.verify(presented, context);
    if (!verifiers.includes(only)) throw refused("the root was removed");
    return identity;
  };
  return {
    parse: (name, kind, config) => {
      const { issuer, maxAge, oneTime, initiators, administrators } = readConfig(name, config);
      return fakeTrustRoot({
        name,
        kind,
        issuer,
        identityMaxAgeSeconds: maxAge,
        oneTimeTokens: oneTime,
        initiators,
        administrators,
      });
    },
    describe: (name, kind, config) => {
      const { issuer, oneTime } = readConfig(name, config);
      return {
        issuer,
        trustDomain: kind === "spiffe" ? issuer : null,
        audience: options.issuer,
        attributes: [],
        requirements: [],
        once: oneTime,
        traps: [],
      };
    },
    replace,
    look: async (root) => {
      const { issuer } = readConfig(root.name, root.config);
      const keys = [{ kid: issuer, algorithms: ["fake"] }];
      return { source: "configuration", fetched: false, keys, maxAgeSeconds: null, problem: null };
    },
    verify,
    verifyClient: async (client, context) => {
      if (!("token" in client)) throw refused("kind");
      const { type, token, clientId } = client;
      const identity = await verify({ kind: "jwt", token }, context);
      const { kind, subject } = identity.workload;
      if (type !== "jwt-spiffe" || kind !== "spiffe") throw refused("kind");
      if (clientId !== null && clientId !== subject) throw refused("client_id");
      return identity;
    },
  };
}

/** One fake root's verifier. */
export function createFakeVerifier(root: TrustRoot, audience: string): IdentityVerifier {
  const config = readConfig(root.name, root.config);
  return {
    name: root.name,
    claims: (presented) => {
      const token = readToken(presented);
      return token?.facts.kind === root.kind && token.facts.issuer === config.issuer;
    },
    verify: async (presented, context) => {
      const token = readToken(presented);
      if (token === null) throw refused("not a fake token");
      const { facts, body, text } = token;
      if (facts.kind !== root.kind || facts.issuer !== config.issuer) throw refused("issuer");
      if (text !== `fake.${body}.${signature(body, config.issuer)}`) throw refused("signature");
      if (facts.audience !== audience) throw refused("audience");
      checkTime(facts, context);
      if (config.oneTime && facts.jti === undefined) throw refused("jti");
      return identityOf(root, facts, text, config, context);
    },
  };
}

interface FakeConfig {
  readonly issuer: string;
  readonly maxAge: number;
  readonly oneTime: boolean;
  readonly initiators: boolean;
  readonly administrators: boolean;
}

function identityOf(
  root: TrustRoot,
  facts: FakeIdentity,
  text: string,
  { maxAge, oneTime, initiators, administrators }: FakeConfig,
  { clock }: CallContext,
): VerifiedIdentity {
  const expiresAt = instantMs(facts.expiresAt);
  return {
    workload: {
      trustRoot: root.name,
      kind: facts.kind,
      issuer: facts.issuer,
      subject: facts.subject,
      attributes: facts.attributes ?? {},
    },
    expiresAt,
    identityMaxAgeSeconds: durationSeconds(maxAge),
    provenAt: clock.now(),
    tokenSha256: createHash("sha256").update(text).digest("hex"),
    oneTime:
      oneTime && facts.jti !== undefined
        ? { issuer: facts.issuer, jti: facts.jti, expiresAt }
        : null,
    confirmation: facts.confirmation ?? null,
    mayInitiate: initiators,
    mayAdminister: administrators,
    mustProvePossession: false,
    ...(facts.delegation === undefined ? {} : { delegation: facts.delegation }),
  };
}

function checkTime(facts: FakeIdentity, { clock }: CallContext): void {
  const now = clock.now();
  if (now >= facts.expiresAt) throw refused("expired");
  if (facts.notBeforeAt !== undefined && now < facts.notBeforeAt) throw refused("not valid yet");
}

function readToken(
  presented: PresentedIdentity,
): { readonly text: string; readonly body: string; readonly facts: FakeIdentity } | null {
  if (presented.kind !== "jwt") return null;
  const text = presented.token.expose("crypto");
  const [mark, body, seal, ...rest] = text.split(".");
  if (mark !== "fake" || body === undefined || seal === undefined || rest.length > 0) return null;
  try {
    const facts: unknown = JSON.parse(Buffer.from(body, "base64url").toString("utf8"));
    // Only fakeIdentity makes what starts with `fake.`; what it signed has this shape.
    return typeof facts === "object" && facts !== null
      ? { text, body, facts: facts as FakeIdentity }
      : null;
  } catch {
    return null;
  }
}

const FAKE_MEMBERS = [
  "issuer",
  "identity_max_age_seconds",
  "one_time_tokens",
  "initiators",
  "administrators",
];

function readConfig(name: string, config: unknown): FakeConfig {
  const members: Record<string, unknown> = { ...(typeof config === "object" ? config : {}) };
  const unknown = Object.keys(members).find((key) => !FAKE_MEMBERS.includes(key));
  const {
    issuer,
    identity_max_age_seconds: maxAge = 3600,
    one_time_tokens: oneTime = false,
    initiators = false,
    administrators = false,
  } = members;
  if (
    unknown !== undefined ||
    typeof issuer !== "string" ||
    typeof maxAge !== "number" ||
    typeof oneTime !== "boolean" ||
    typeof initiators !== "boolean" ||
    typeof administrators !== "boolean"
  ) {
    const where = `config.${unknown ?? "issuer"}`;
    throw new BrokerError("config_invalid", `trust root ${name}: ${where}: is not acceptable`, {
      where,
    });
  }
  return { issuer, maxAge, oneTime, initiators, administrators };
}

function signature(body: string, issuer: string): string {
  return createHash("sha256").update(`fake key of ${issuer}\n${body}`).digest("base64url");
}

function refused(cause: string): BrokerError {
  return new BrokerError("invalid_identity", "The identity could not be verified.", {
    cause: new Error(cause),
  });
}
