import type { JsonObject } from "./brand.ts";
import type { CallContext } from "./context.ts";
import type { TrustRootName } from "./ids.ts";
import type { Secret } from "./secret.ts";
import type { DurationSeconds, InstantMs } from "./time.ts";
import type { AgentSvid } from "./workload-api.ts";

export interface WorkloadAttribute {
  readonly value: string;
  /** `repository` can be renamed and taken by somebody else; `repository_id` cannot. */
  readonly stability: "immutable" | "mutable";
}

/** A verified identity. */
export interface Workload {
  readonly trustRoot: TrustRootName;
  readonly kind: "spiffe" | "oidc" | "x509";
  /** The OIDC issuer, `spiffe://<trust domain>`, or `x509:<trust root>`. */
  readonly issuer: string;
  /** The SPIFFE ID, the token's `sub`, or the registered client. */
  readonly subject: string;
  readonly attributes: Readonly<Record<string, WorkloadAttribute>>;
}

/**
 * How policies, queries and people name a workload: the SPIFFE ID, or `<issuer>#<subject>` (an
 * issuer has no fragment, OpenID Connect Discovery section 3, so the first `#` splits it).
 */
export const workloadName = (workload: Pick<Workload, "kind" | "issuer" | "subject">): string =>
  workload.kind === "spiffe" ? workload.subject : `${workload.issuer}#${workload.subject}`;

/**
 * The OAuth client identifier of whoever is so named (RFC 9068 section 2.2, RFC 7662 section 2.2):
 * what it authenticates itself as. That is its SPIFFE ID; of a registered client the URL that is
 * issuer and subject of its assertions. Whoever is no client of OAuth has its name for it, which is
 * nobody else's.
 */
export function clientIdOf(name: string): string {
  const split = name.indexOf("#");
  const issuer = name.slice(0, Math.max(0, split));
  return split > 0 && issuer === name.slice(split + 1) ? issuer : name;
}

/** Whose client identifier it is: the reverse of {@link clientIdOf}. */
export const nameOfClientId = (clientId: string): string =>
  clientId.includes("#") || clientId.startsWith("spiffe://") ? clientId : `${clientId}#${clientId}`;

/** What a token says of who acts for its subject (RFC 8693 sections 4.1 and 4.4). */
export interface Delegation {
  /**
   * Names ({@link workloadName}) of who acted for the subject, the latest first. History: it grants
   * nothing, and whoever presents the token is in it or not.
   */
  readonly actors: readonly string[];
  /** Who alone may act for it, or null: the token does not say, which permits nobody. */
  readonly mayAct: {
    /** Null: of the token's own issuer, or a SPIFFE ID. */
    readonly issuer: string | null;
    readonly subject: string;
    /** Whether it asks for nothing but issuer and subject: what else it asks is not known here. */
    readonly isComparable: boolean;
  } | null;
}

/** What verification established; only a verifier makes one. */
export interface VerifiedIdentity {
  readonly workload: Workload;
  /** The token's `exp`. */
  readonly expiresAt: InstantMs;
  /** Fresh proof is needed again this long after `provenAt`. Set per trust root. */
  readonly identityMaxAgeSeconds: DurationSeconds;
  readonly provenAt: InstantMs;
  /** Hex SHA-256 of the presented token; the token itself is not kept. */
  readonly tokenSha256: string;
  /** Set where this trust root's tokens may be used once. */
  readonly oneTime: {
    readonly issuer: string;
    readonly jti: string;
    readonly expiresAt: InstantMs;
  } | null;
  /** RFC 7638 thumbprint of the key that the caller proved, or null for a bearer. */
  readonly confirmation: string | null;
  /**
   * Whether the trust root is meant for people (`initiators`): only then may the identity stand as
   * the initiator of a task that another identity opens.
   */
  readonly mayInitiate: boolean;
  /** Whether the trust root is one of administrators (`administrators`): policies say of what. */
  readonly mayAdminister: boolean;
  /** Whether the trust root's identities count only with proof of a key. */
  readonly mustProvePossession: boolean;
  /** Absent where the token says nothing of the kind. */
  readonly delegation?: Delegation;
}

export type PresentedIdentity =
  | { readonly kind: "jwt"; readonly token: Secret }
  /** DER certificates, leaf first; the TLS layer proved possession of the leaf's key. */
  | { readonly kind: "x509"; readonly chain: readonly Uint8Array[] };

/** With which tokens may be signed, where a trust root names no fewer: none is symmetric. */
export const TOKEN_ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "ES256",
  "ES384",
  "ES512",
  "PS256",
  "PS384",
  "PS512",
  "EdDSA",
] as const;

/** How a client authenticates itself. */
export type ClientAuthentication = ClientAssertion | ClientCertificate;

/** By the client certificate of the connection, which the request has to say. */
export interface ClientCertificate {
  /**
   * `spiffe-x509`: an X509-SVID (draft-ietf-oauth-spiffe-client-auth section 3.2). `tls-client`: a
   * certificate of a registered authority (RFC 8705 section 2.1). Neither is taken for the other.
   */
  readonly type: "spiffe-x509" | "tls-client";
  /** As {@link PresentedIdentity} has it. */
  readonly chain: readonly Uint8Array[];
  /** The certificate's SPIFFE ID; of a registered client `x509:<trust root>#<client>`. */
  readonly clientId: string;
}

/** RFC 7521 section 4.2. */
export interface ClientAssertion {
  /**
   * `jwt-spiffe`: a JWT-SVID, as draft-ietf-oauth-spiffe-client-auth has it. `jwt-bearer`: signed
   * with the key of a client that is registered (RFC 7523). Neither is taken for the other.
   */
  readonly type: "jwt-spiffe" | "jwt-bearer";
  readonly token: Secret;
  /** The `client_id` that the request names, which must be the assertion's; or null. */
  readonly clientId: string | null;
  /** What the connection showed by mTLS: not to be another client's X509-SVID. */
  readonly chain?: readonly Uint8Array[] | null;
}

/** Turns what is presented into who it is. One per trust root, never one per vendor. */
export interface IdentityVerifier {
  readonly name: TrustRootName;
  /** A1. Routing on unverified bytes: cheap, synchronous, and never a reason to trust. */
  claims(presented: PresentedIdentity): boolean;
  /**
   * A2. Verifies signature, issuer, audience and time in this call; one that returns has vouched.
   * A3. Fails with `invalid_identity` and one message for all causes; the cause is for the log.
   */
  verify(presented: PresentedIdentity, context: CallContext): Promise<VerifiedIdentity>;
}

/** A registered trust root: `config` is parsed by the identity package according to `kind`. */
export interface TrustRoot {
  readonly name: TrustRootName;
  readonly kind: "spiffe" | "oidc" | "x509";
  readonly config: JsonObject;
  readonly enabled: boolean;
}

/** What a look at a trust root's keys saw. */
export interface TrustRootLook {
  /** Where the keys come from: an address, or "configuration". */
  readonly source: string;
  readonly fetched: boolean;
  /** Those that can verify a token. */
  readonly keys: readonly { readonly kid: string | null; readonly algorithms: readonly string[] }[];
  /** How long their publisher lets them be kept; null: it does not say. */
  readonly maxAgeSeconds: number | null;
  /** Why no token of it can be verified now, or null. Public text. */
  readonly problem: string | null;
}

/** What a trust root's configuration means, for whoever is about to register it. Public text. */
export interface TrustRootFacts {
  /** The OIDC issuer, `spiffe://<trust domain>`, or `x509:<trust root>`. */
  readonly issuer: string;
  /** Of its workloads' SPIFFE IDs, or null: an issuer's subjects are no SPIFFE IDs. */
  readonly trustDomain: string | null;
  readonly audience: string;
  readonly attributes: readonly {
    readonly name: string;
    readonly claim: string;
    readonly stability: WorkloadAttribute["stability"];
    /** Whether some tokens lack it. */
    readonly optional: boolean;
  }[];
  /** What a token must or must not have besides, a phrase each. */
  readonly requirements: readonly string[];
  /** Whether each token counts once. */
  readonly once: boolean;
  /** What is easily done wrong with this kind of issuer, a sentence each. */
  readonly traps: readonly string[];
}

/** What the identity package offers: strict parsing of trust configuration, and verification. */
export interface TrustRoots {
  parse(name: TrustRootName, kind: TrustRoot["kind"], config: unknown): TrustRoot;
  /** A7. What the same input means, in words; throws as `parse` does. */
  describe(name: TrustRootName, kind: TrustRoot["kind"], config: unknown): TrustRootFacts;
  /** A4. Replaces all verifiers at once; keys of removed roots are forgotten. */
  replace(roots: readonly TrustRoot[]): void;
  /**
   * A6. Looks for the keys of a root as if for the first time, enabled or not, and forgets them: no
   * token counts or ceases to count by it. What fails is a problem in the answer.
   */
  look(root: TrustRoot, context: CallContext): Promise<TrustRootLook>;
  /** A5. An identity that no enabled root claims is refused before any fetch. */
  verify(presented: PresentedIdentity, context: CallContext): Promise<VerifiedIdentity>;
  /**
   * A7. Who a client is, by an assertion whose audience is the broker's issuer and nothing else,
   * whatever its trust root allows of other tokens.
   */
  verifyClient(client: ClientAuthentication, context: CallContext): Promise<VerifiedIdentity>;
}

/** The only outbound HTTP: deadline, size cap, redirect and address policy. Port of `net`. */
export interface OutboundHttp {
  /**
   * GET of a JSON document. N1. Never follows a redirect off the host. N2. Bounded in time and
   * size.
   */
  getJson(url: string, options: OutboundOptions, context: CallContext): Promise<OutboundJson>;
}
/** A call with a body and a bearer token, to an address that operators configured. */
export interface OutboundPost {
  /** POST of a JSON document, under the rules of `getJson`; any 2xx is an answer. */
  postJson(
    url: string,
    request: { readonly body: JsonObject; readonly bearer: Secret },
    options: OutboundOptions,
    context: CallContext,
  ): Promise<OutboundJson>;
}
export interface OutboundOptions {
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /**
   * Judges the certificates that the server shows (DER, leaf first) instead of the platform's
   * authorities and the host's name; throws to refuse. Each call then has a connection of its own,
   * and http is not permitted.
   */
  readonly judgeServer?: (chain: readonly Uint8Array[]) => void;
  /**
   * Shown as the client certificate, to a server that asks for one. Only with `judgeServer`: no
   * connection that has shown it serves another call.
   */
  readonly clientSvid?: Pick<AgentSvid, "chain" | "privateKey">;
  /** Conspicuous: permits http and loopback or private addresses (demo, tests, in-cluster). */
  readonly unsafeAllowPrivate: boolean;
}
export interface OutboundJson {
  readonly status: number;
  readonly body: unknown;
  /** What `body` was parsed from, with the digits that no double holds. "" without a body. */
  readonly text: string;
  /** Seconds from `Cache-Control: max-age`, or null. */
  readonly maxAgeSeconds: number | null;
}
