import {
  BrokerError,
  unreachable,
  type CallContext,
  type TrustRoot,
  type TrustRootLook,
} from "@mayfly/spec";
import { parseOidcConfig } from "./oidc-config.ts";
import { fetchOidcKeys, oidcKeysRules } from "./oidc-verifier.ts";
import { parseJwkSet, type KeySet } from "./parse-jwk-set.ts";
import { Refusal } from "./refusal.ts";
import type { FetchedKeys } from "./remote-keys.ts";
import { parseSpiffeConfig, type SpiffeConfig } from "./spiffe-config.ts";
import {
  bundleSource,
  fetchSpiffeBundle,
  keysOfAgent,
  rolledBack,
  spiffeKeysRules,
} from "./spiffe-verifier.ts";
import type { VerifierParts } from "./verifier-parts.ts";
import { parseX509Config, readX509Clients } from "./x509-config.ts";

type LookParts = Pick<
  VerifierParts,
  | "http"
  | "audience"
  | "workloadApi"
  | "log"
  | "authoritiesOf"
  | "skewSeconds"
  | "sequences"
  | "ownSvid"
>;

const CONFIGURATION = "configuration";
const AGENT = "workload API";

/** One look of its own, past every cache; what fails is told, not thrown. */
export async function lookAtKeys(
  root: TrustRoot,
  parts: LookParts,
  context: CallContext,
): Promise<TrustRootLook> {
  try {
    switch (root.kind) {
      case "oidc":
        return await lookAtOidc(root, parts, context);
      case "spiffe":
        return await lookAtSpiffe(root, parts, context);
      case "x509":
        return lookAtAuthorities(root, context);
      default:
        return unreachable(root.kind);
    }
  } catch (error) {
    if (!BrokerError.is(error)) throw error;
    const problem = `Its configuration cannot be used: ${error.message}`;
    return { source: CONFIGURATION, fetched: false, keys: [], maxAgeSeconds: null, problem };
  }
}

function lookAtOidc(
  root: TrustRoot,
  { http, audience }: LookParts,
  context: CallContext,
): Promise<TrustRootLook> {
  const config = parseOidcConfig(root.name, audience, root.config);
  const { jwks, jwks_uri: uri, issuer } = config;
  return look(uri ?? issuer, async () =>
    jwks === undefined
      ? fetchOidcKeys(config, http, context)
      : parseJwkSet(jwks, oidcKeysRules(config)),
  );
}

function lookAtSpiffe(
  root: TrustRoot,
  parts: LookParts,
  context: CallContext,
): Promise<TrustRootLook> {
  const config = parseSpiffeConfig(root.name, root.config);
  if (config.workload_api === true) {
    const source = keysOfAgent(root.name, config, parts);
    return look(AGENT, async () => ({ keys: await source.current(context), maxAgeSeconds: null }));
  }
  const { bundle_endpoint: endpoint, bundle } = config;
  return look(endpoint?.url ?? CONFIGURATION, async () =>
    endpoint === undefined
      ? parseJwkSet(bundle, spiffeKeysRules(config))
      : lookAtBundle(root, config, endpoint, parts, context),
  );
}

/** It signs no tokens: what counts is whether a path may end in one of its authorities. */
function lookAtAuthorities(root: TrustRoot, { clock }: CallContext): TrustRootLook {
  const { authorities } = readX509Clients(root.name, parseX509Config(root.name, root.config));
  const now = clock.now();
  const isValid = authorities.some(
    ({ notBefore, notAfter }) => now >= notBefore && now <= notAfter,
  );
  const problem = isValid ? null : "None of its authorities' certificates is valid now.";
  return { source: CONFIGURATION, fetched: false, keys: [], maxAgeSeconds: null, problem };
}

/** Says of an older bundle what verifying says of it, and notes nothing. */
async function lookAtBundle(
  { name }: TrustRoot,
  config: SpiffeConfig,
  endpoint: NonNullable<SpiffeConfig["bundle_endpoint"]>,
  parts: LookParts,
  context: CallContext,
): Promise<FetchedKeys> {
  const { fetched, sequence } = await fetchSpiffeBundle(config, endpoint, parts, context);
  const newest = await parts.sequences.newest(bundleSource(name, config, endpoint));
  const refusal = rolledBack(sequence, newest);
  if (refusal !== null) throw refusal;
  return fetched;
}

async function look(
  from: string,
  read: () => Promise<FetchedKeys | KeySet>,
): Promise<TrustRootLook> {
  try {
    const found = await read();
    const isFetched = "maxAgeSeconds" in found;
    const { keys, authorities } = isFetched ? found.keys : found;
    const isEmpty = keys.length === 0 && authorities.length === 0;
    return {
      source: isFetched ? from : CONFIGURATION,
      fetched: isFetched,
      keys: keys.map(({ kid, algorithms }) => ({ kid, algorithms })),
      maxAgeSeconds: isFetched ? found.maxAgeSeconds : null,
      problem: isEmpty
        ? "There is no key in it with which a token could be verified: none of its keys is a " +
          "public signing key for one of the trust root's algorithms, RSA of at least 2048 bits."
        : null,
    };
  } catch (error) {
    return { source: from, fetched: false, keys: [], maxAgeSeconds: null, problem: wordsOf(error) };
  }
}

/** A refusal's text is fixed or our configuration's; of the outside world its kind is told. */
function wordsOf(error: unknown): string {
  if (error instanceof Refusal) {
    const cause = error.cause === undefined ? "" : ` (${wordsOf(error.cause)})`;
    return `${error.message}${cause}`;
  }
  if (!BrokerError.is(error)) return "the look failed";
  return "reason" in error && error.reason === "address"
    ? `${error.message}; private and loopback ones need unsafe_allow_private_addresses`
    : error.message;
}
