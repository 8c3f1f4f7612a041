import {
  unreachable,
  type BundleSequences,
  type CallContext,
  type JsonObject,
  type Log,
  type OutboundHttp,
  type PresentedIdentity,
  type TokenReviews,
  type TrustRoot,
  type TrustRootName,
  type TrustRoots,
  type VerifiedIdentity,
  type WorkloadApi,
} from "@mayfly/spec";
import { configInvalid } from "./config-error.ts";
import { SKEW_SECONDS_MAX } from "./check-times.ts";
import { describeTrust } from "./describe-trust.ts";
import { lookAtKeys } from "./look-at-keys.ts";
import { createOidcVerifier, reviewedBy } from "./oidc-verifier.ts";
import { parseOidcConfig } from "./oidc-config.ts";
import { createOwnSvid } from "./own-svid.ts";
import { parsePresented, type Presented, type PresentedClient } from "./presented.ts";
import { invalidIdentity, Refusal } from "./refusal.ts";
import type { RootVerifier } from "./root-verifier.ts";
import { createSeenSequences } from "./seen-sequences.ts";
import { createSpiffeVerifier } from "./spiffe-verifier.ts";
import { parseSpiffeConfig } from "./spiffe-config.ts";
import type { VerifierParts } from "./verifier-parts.ts";
import { verifyClient } from "./verify-client.ts";
import { createVerifiedTokens } from "./verified-tokens.ts";
import { parseX509Config } from "./x509-config.ts";
import { createX509Verifier } from "./x509-verifier.ts";
import { createKnownCertificates } from "./x509/known-certificates.ts";

export interface TrustRootsSettings {
  /** Most that an issuer's clock may differ from ours: at most 60. */
  readonly skewSeconds: number;
  /** Bound of the cache of verified signatures; 0 turns it off. About 2 KiB each. */
  readonly verifiedTokensMax: number;
}
export const defaultTrustRootsSettings: TrustRootsSettings = {
  skewSeconds: SKEW_SECONDS_MAX,
  verifiedTokensMax: 10_000,
};

export interface TrustRootsOptions {
  readonly http: OutboundHttp;
  /** The SPIFFE agent beside this process. Default: none. */
  readonly workloadApi?: WorkloadApi | null;
  /** Default: what this process has seen. */
  readonly sequences?: BundleSequences;
  /** The broker's issuer: the audience that tokens must have. */
  readonly issuer: string;
  readonly settings: TrustRootsSettings;
  /** Default: none, so that no trust root may ask for it. */
  readonly reviews?: TokenReviews;
  readonly log: Log;
}

interface Loaded {
  /** Of kind and configuration: the same text is the same trust. */
  readonly digest: string;
  readonly kind: TrustRoot["kind"];
  readonly isClient: boolean;
  readonly verifier: RootVerifier;
}

/**
 * All trust roots of a process. A root whose stored configuration cannot be read (a newer
 * version's, say) is left out and logged: it trusts nothing and stops no other.
 */
export function createTrustRoots(options: TrustRootsOptions): TrustRoots {
  const { settings, log } = options;
  if (!(settings.skewSeconds >= 0 && settings.skewSeconds <= SKEW_SECONDS_MAX)) {
    throw configInvalid("(all)", "skew_seconds", `expected 0 to ${SKEW_SECONDS_MAX}`);
  }
  const verified = createVerifiedTokens(settings.verifiedTokensMax);
  let loaded: ReadonlyMap<TrustRootName, Loaded> = new Map();
  const parts: VerifierParts = {
    http: options.http,
    workloadApi: options.workloadApi ?? null,
    ownSvid: createOwnSvid(options.workloadApi ?? null),
    sequences: options.sequences ?? createSeenSequences(),
    authoritiesOf: (trustDomain) => {
      const verifiers = [...loaded.values()].map(({ verifier }) => verifier);
      const held = verifiers.map((each) => each.authoritiesOf(trustDomain));
      const [one, ...others] = held.filter((each) => each !== null);
      // Of two roots of one domain neither is the right one.
      return one === undefined || others.length > 0 ? null : one;
    },
    audience: options.issuer,
    skewSeconds: settings.skewSeconds,
    verified,
    known: createKnownCertificates(),
    ...(options.reviews === undefined ? {} : { reviews: options.reviews }),
    log,
  };

  /** A client's assertion counts as that alone, and what identifies a workload not as one. */
  const verifyBy = async (
    presented: PresentedIdentity | PresentedClient,
    isOfClient: boolean,
    context: CallContext,
  ): Promise<VerifiedIdentity> => {
    try {
      const parsed = parsePresented(presented);
      const roots = [...loaded.values()].filter(({ isClient }) => isClient === isOfClient);
      return await route(parsed, roots).verifyParsed(parsed, context);
    } catch (error) {
      throw invalidIdentity(error);
    }
  };

  return {
    parse: (name, kind, config) => ({
      name,
      kind,
      config: parseConfig(name, kind, config, options),
      enabled: true,
    }),
    describe: (name, kind, config) => describeTrust(name, kind, config, options.issuer),
    replace: (roots) => {
      const next = new Map<TrustRootName, Loaded>();
      for (const root of roots.filter(({ enabled }) => enabled)) {
        const entry = load(root, loaded.get(root.name), options.issuer, parts);
        if (entry !== null) next.set(root.name, entry);
      }
      const kept = new Set([...next.values()].map(({ verifier }) => verifier));
      for (const { verifier } of loaded.values()) if (!kept.has(verifier)) verifier.close();
      loaded = next;
      verified.clear();
    },
    look: (root, context) => lookAtKeys(root, parts, context),
    verify: (presented, context) => verifyBy(presented, false, context),
    verifyClient: (client, context) =>
      verifyClient(client, options.issuer, (presented, isOfClient) =>
        verifyBy(presented, isOfClient, context),
      ),
  };
}

/** A5. The one root that claims it; a SPIFFE trust domain goes before an issuer. */
function route(presented: Presented, loaded: readonly Loaded[]): RootVerifier {
  const claiming = loaded.filter(({ verifier }) => verifier.routes(presented));
  const spiffe = claiming.filter(({ kind }) => kind === "spiffe");
  const [first, second] = spiffe.length > 0 ? spiffe : claiming;
  if (first === undefined) {
    throw new Refusal("unknown_issuer", "no enabled trust root claims the identity");
  }
  // Which of two roots vouches must not depend on their order: neither does.
  if (second !== undefined) {
    const names = `${first.verifier.name} and ${second.verifier.name}`;
    throw new Refusal("ambiguous_issuer", `the trust roots ${names} both claim the identity`);
  }
  return first.verifier;
}

function load(
  root: TrustRoot,
  before: Loaded | undefined,
  ownIssuer: string,
  parts: VerifierParts,
): Loaded | null {
  const digest = `${root.kind} ${JSON.stringify(root.config)}`;
  if (before?.digest === digest) return before;
  try {
    const verifier = createVerifier(root, ownIssuer, parts);
    const isClient = root.kind === "x509" || root.config["client"] === true;
    return { digest, kind: root.kind, isClient, verifier };
  } catch (error) {
    parts.log.error("a trust root cannot be used", { trustRoot: root.name }, error);
    return null;
  }
}

function createVerifier(root: TrustRoot, ownIssuer: string, parts: VerifierParts): RootVerifier {
  switch (root.kind) {
    case "oidc":
      return createOidcVerifier(
        root.name,
        parseOidcConfig(root.name, ownIssuer, root.config),
        parts,
      );
    case "spiffe":
      return createSpiffeVerifier(root.name, parseSpiffeConfig(root.name, root.config), parts);
    case "x509":
      return createX509Verifier(root.name, parseX509Config(root.name, root.config), parts);
    default:
      return unreachable(root.kind);
  }
}

function parseConfig(
  name: TrustRootName,
  kind: TrustRoot["kind"],
  config: unknown,
  { issuer, reviews }: TrustRootsOptions,
): JsonObject {
  switch (kind) {
    case "oidc": {
      const parsed = parseOidcConfig(name, issuer, config);
      reviewedBy(name, parsed, reviews ?? null);
      return asJson(parsed);
    }
    case "spiffe":
      return asJson(parseSpiffeConfig(name, config));
    case "x509":
      return asJson(parseX509Config(name, config));
    default:
      return unreachable(kind);
  }
}

/** Drops absent members; what was parsed strictly is JSON. */
function asJson(config: object): JsonObject {
  return JSON.parse(JSON.stringify(config)) as JsonObject;
}
