import { createHash } from "node:crypto";
import {
  durationSeconds,
  type BundleSource,
  type CallContext,
  type TrustRootName,
  matchesSpiffeId,
  parseSpiffeIdPattern,
  parseSpiffeId,
  type SpiffeId,
} from "@mayfly/spec";
import { agentKeys } from "./agent-keys.ts";
import { readBundleSequence } from "./bundle-sequence.ts";
import { fetchDocument, type FetchLimits } from "./fetch-document.ts";
import { createJwtProof, type JwtTrust } from "./jwt-verifier.ts";
import { inlineKeys, type KeySource } from "./key-source.ts";
import { isJsonMap, member, type JsonMap } from "./parse-compact-jwt.ts";
import { parseJwkSet, type JwkSetRules } from "./parse-jwk-set.ts";
import { Refusal } from "./refusal.ts";
import { createRemoteKeys, type FetchedKeys } from "./remote-keys.ts";
import { createRootVerifier, type RootVerifier } from "./root-verifier.ts";
import type { SpiffeConfig } from "./spiffe-config.ts";
import {
  attributeRules,
  membershipRules,
  requiredClaimRules,
  type VerifierParts,
} from "./verifier-parts.ts";
import { judgeServer } from "./x509/judge-server.ts";
import { createX509Proof, type X509Trust } from "./x509/x509-proof.ts";

/** JWT-SVID section 2: no other member may stand in the header. */
const HEADER_MEMBERS = ["alg", "kid", "typ"] as const;
const AGE_SECONDS_MIN = 10;
/** SPIFFE Trust Domain and Bundle section 4.1.2. */
const REFRESH_SECONDS_DEFAULT = 300;

/**
 * SVIDs of one trust domain. The bundle is chosen by the trust domain in `sub`, or in the
 * certificate's URI, and by nothing else; `iss` is not looked at. Bundles of two domains are never
 * one: an authority of a domain vouches for that domain alone.
 */
export function createSpiffeVerifier(
  name: TrustRootName,
  config: SpiffeConfig,
  parts: VerifierParts,
): RootVerifier {
  const keys = keySource(name, config, parts);
  return createRootVerifier(
    name,
    [
      createJwtProof(jwtTrust(name, config, keys, parts), parts.verified),
      createX509Proof(x509Trust(name, config, keys, parts)),
    ],
    keys,
    config.trust_domain,
  );
}

function jwtTrust(
  name: TrustRootName,
  config: SpiffeConfig,
  keys: KeySource,
  parts: VerifierParts,
): JwtTrust {
  const idOf = (claims: JsonMap): SpiffeId | null => {
    const sub = member(claims, "sub");
    const id = typeof sub === "string" ? parseSpiffeId(sub) : null;
    return id !== null && id.trustDomain === config.trust_domain ? id : null;
  };
  return {
    name,
    header: {
      algorithms: config.algorithms,
      members: HEADER_MEMBERS,
      typeAllowed: (typ) => typ === null || typ === "JWT" || typ === "JOSE",
    },
    keys,
    kidless: "any",
    audience: config.audience ?? parts.audience,
    allowOtherAudiences: config.unsafe_allow_other_audiences,
    times: {
      skewSeconds: parts.skewSeconds,
      ageSecondsMax: config.token_age_seconds_max ?? null,
    },
    ...sharedRules(config),
    oneTime: false,
    routes: (claims) => idOf(claims) !== null,
    identify: (claims) => {
      const id = idOf(claims);
      if (id === null) throw new Refusal("subject", "sub is not an id of the trust domain");
      // The trust domain's own id names its authority, not a workload.
      if (id.path === "") throw new Refusal("subject", "sub is the id of no workload");
      if (!admits(config, id)) throw new Refusal("subject", "sub is not an id that counts here");
      return { kind: "spiffe", issuer: `spiffe://${config.trust_domain}`, subject: id.id };
    },
  };
}

const x509Trust = (
  name: TrustRootName,
  config: SpiffeConfig,
  keys: KeySource,
  { skewSeconds, known }: VerifierParts,
): X509Trust => ({
  name,
  trustDomain: config.trust_domain,
  keys,
  known,
  skewSeconds,
  admits: (id) => admits(config, id),
  ...sharedRules(config),
});

function admits({ spiffe_ids: patterns }: SpiffeConfig, id: SpiffeId): boolean {
  if (patterns === undefined) return true;
  return patterns.some((text) => {
    const pattern = parseSpiffeIdPattern(text);
    return pattern !== null && matchesSpiffeId(pattern, id);
  });
}

const sharedRules = (config: SpiffeConfig) => ({
  attributes: attributeRules(config.attributes),
  memberships: membershipRules(config.memberships),
  requiredClaims: requiredClaimRules(config.required_claims),
  identityMaxAgeSeconds: durationSeconds(config.identity_max_age_seconds),
  mayInitiate: config.initiators,
  mayAdminister: config.administrators === true,
  mustProvePossession: config.proof_of_possession === "required",
});

function keySource(name: TrustRootName, config: SpiffeConfig, parts: VerifierParts): KeySource {
  const endpoint = config.bundle_endpoint;
  if (config.workload_api === true) return keysOfAgent(name, config, parts);
  if (endpoint === undefined) {
    return inlineKeys(parseJwkSet(config.bundle, spiffeKeysRules(config)));
  }
  const log = parts.log.child({ trustRoot: name });
  const source = bundleSource(name, config, endpoint);
  return createRemoteKeys({
    fetch: async (context): Promise<FetchedKeys> => {
      const { fetched, sequence } = await fetchSpiffeBundle(config, endpoint, parts, context);
      const { sequences } = parts;
      // Durable before it counts: what trusts this bundle knows from then on that it was there.
      const newest = await (sequence === null
        ? sequences.newest(source)
        : sequences.note(source, sequence));
      const refusal = rolledBack(sequence, newest);
      if (refusal === null) return fetched;
      log.error("a trust domain served an older bundle than before; it is ignored", {
        sequence: shownSequence(sequence),
        newestSequence: shownSequence(newest),
      });
      throw refusal;
    },
    ageSecondsMin: AGE_SECONDS_MIN,
    ageSecondsDefault: REFRESH_SECONDS_DEFAULT,
    staleSecondsMax: config.stale_keys_seconds_max,
    log,
  });
}

export const keysOfAgent = (
  name: TrustRootName,
  config: SpiffeConfig,
  { workloadApi: api, log }: Pick<VerifierParts, "workloadApi" | "log">,
): KeySource =>
  agentKeys({
    api,
    trustDomain: config.trust_domain,
    rules: spiffeKeysRules(config),
    staleSecondsMax: config.stale_keys_seconds_max,
    log: log.child({ trustRoot: name }),
  });

export const spiffeKeysRules = ({ algorithms }: SpiffeConfig): JwkSetRules => ({
  algorithms,
  profile: "spiffe",
});

type BundleEndpoint = NonNullable<SpiffeConfig["bundle_endpoint"]>;

/** One look at the bundle endpoint. */
export async function fetchSpiffeBundle(
  config: SpiffeConfig,
  endpoint: BundleEndpoint,
  parts: Pick<VerifierParts, "http" | "authoritiesOf" | "skewSeconds" | "ownSvid">,
  context: CallContext,
): Promise<{ readonly fetched: FetchedKeys; readonly sequence: bigint | null }> {
  const limits = {
    unsafeAllowPrivate: config.unsafe_allow_private_addresses,
    ...serverRules(endpoint, config, parts, context),
    ...(await clientRules(endpoint, parts, context)),
  };
  const { body, text } = await fetchDocument(parts.http, endpoint.url, limits, context);
  const keys = parseJwkSet(body, spiffeKeysRules(config));
  const maxAgeSeconds = numberIn(body, "spiffe_refresh_hint");
  return { fetched: { keys, maxAgeSeconds }, sequence: readBundleSequence(text) };
}

/** Whom the endpoint has to be: by its name (`https_web`), or by its SPIFFE ID. */
function serverRules(
  endpoint: BundleEndpoint,
  config: SpiffeConfig,
  { authoritiesOf, skewSeconds }: Pick<VerifierParts, "authoritiesOf" | "skewSeconds">,
  { clock }: CallContext,
): Pick<FetchLimits, "judgeServer"> {
  if (endpoint.profile === "https_web") return {};
  const spiffeId = endpoint.endpoint_spiffe_id;
  const domain = parseSpiffeId(spiffeId)?.trustDomain ?? "";
  const anchors =
    authoritiesOf(domain) ??
    parseJwkSet(endpoint.bootstrap_bundle, spiffeKeysRules(config)).authorities;
  return {
    judgeServer: (chain) =>
      judgeServer(chain, { spiffeId, anchors, now: clock.now(), skewSeconds }),
  };
}

/** Taken for each look: one that was replaced meanwhile is shown no more. */
async function clientRules(
  endpoint: BundleEndpoint,
  { ownSvid }: Pick<VerifierParts, "ownSvid">,
  context: CallContext,
): Promise<Pick<FetchLimits, "clientSvid">> {
  if (endpoint.profile === "https_web" || endpoint.client_svid !== true) return {};
  return { clientSvid: await ownSvid.current(context) };
}

export const bundleSource = (
  trustRoot: TrustRootName,
  config: Pick<SpiffeConfig, "trust_domain">,
  { url }: Pick<BundleEndpoint, "url">,
): BundleSource => ({
  trustRoot,
  sourceSha256: createHash("sha256").update(`${config.trust_domain} ${url}`).digest("hex"),
});

/**
 * Why a bundle does not count after the newest one that was seen, or null. An older one could bring
 * back a key that was taken out because it leaked; and one without a sequence, where there was one
 * before, may be any of the older ones: whoever serves it would only have to leave the number out.
 */
export function rolledBack(sequence: bigint | null, newest: bigint | null): Refusal | null {
  if (newest === null || (sequence !== null && sequence >= newest)) return null;
  const why = sequence === null ? "is missing, where there was one before" : "went back";
  return new Refusal(
    "keys_unavailable",
    `the bundle is older than one already seen, or may be: its spiffe_sequence ${why}`,
  );
}

const shownSequence = (sequence: bigint | null): string | null =>
  sequence === null ? null : String(sequence);

function numberIn(document: unknown, name: string): number | null {
  const value = isJsonMap(document) ? member(document, name) : undefined;
  return typeof value === "number" && value >= 0 ? value : null;
}
