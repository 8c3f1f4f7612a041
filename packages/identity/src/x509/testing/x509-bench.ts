import {
  BrokerError,
  parseTrustRootName,
  type PresentedIdentity,
  type TrustRootName,
  type TrustRoots,
  type VerifiedIdentity,
} from "@mayfly/spec";
import {
  createFakeClock,
  createFakeOutboundHttp,
  createRecordingLog,
  createTestX509Authority,
  type TestX509Svid,
} from "@mayfly/testkit";
import { Refusal } from "../../refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "../../trust-roots.ts";

export const BROKER = "https://broker.test";
export const NAME: TrustRootName = parseTrustRootName("acme.test", "name");
const OTHER = parseTrustRootName("other.test", "name");
export const clock = createFakeClock();
export const WORKLOAD = "spiffe://acme.test/workload";
export const uri = (text: string): { readonly uniformResourceIdentifier: string } => ({
  uniformResourceIdentifier: text,
});

export const acme = createTestX509Authority({ clock });
export const other = createTestX509Authority({ clock, trustDomain: "other.test" });

/** Trusts acme.test by these keys of a bundle, and other.test by its own. */
export function rootsWith(
  keys: readonly unknown[] = [acme.bundleKey()],
  config: Readonly<Record<string, unknown>> = {},
): TrustRoots {
  const roots = createTrustRoots({
    http: createFakeOutboundHttp(),
    issuer: BROKER,
    settings: defaultTrustRootsSettings,
    log: createRecordingLog(),
  });
  roots.replace([
    roots.parse(NAME, "spiffe", { trust_domain: "acme.test", bundle: { keys }, ...config }),
    roots.parse(OTHER, "spiffe", {
      trust_domain: "other.test",
      bundle: { keys: [other.bundleKey()] },
    }),
  ]);
  return roots;
}

export const verify = (
  presented: PresentedIdentity,
  roots = rootsWith(),
): Promise<VerifiedIdentity> =>
  roots.verify(presented, { clock, signal: new AbortController().signal, traceId: "trace" });

/** `vouched`, or why not. */
export async function presentedOutcome(
  presented: PresentedIdentity,
  roots?: TrustRoots,
): Promise<string> {
  try {
    await verify(presented, roots);
    return "vouched";
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    return error.cause.reason;
  }
}
export const outcome = (svid: TestX509Svid, roots?: TrustRoots): Promise<string> =>
  presentedOutcome(svid.presented, roots);
