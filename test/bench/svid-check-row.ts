import { systemClock } from "@mayfly/host";
import { createTrustRoots, defaultTrustRootsSettings } from "@mayfly/identity";
import { parseTrustRootName, type CallContext, type TrustRoots } from "@mayfly/spec";
import {
  createFakeOutboundHttp,
  createRecordingLog,
  createTestX509Authority,
  testKeyPair,
  type TestX509Authority,
  type TestX509Svid,
} from "@mayfly/testkit";
import type { BenchRow } from "./bench-row.ts";
import { fewRounds } from "./bench-world.ts";
import { interleave, median } from "./interleave.ts";
import { findOpenssl, opensslVerifications } from "./openssl-speed.ts";

const AUDIENCE = "https://mayfly.bench.test";
const HOUR_MS = 3_600_000;
/** More than the product remembers, so that each leaf is a new one whenever its turn comes. */
const CHAINS = 3000;
/** Of these each leaf is known from the second look on. */
const KNOWN = 100;
/** Of a chain: the leaf by the authority below, that one by the authority in the bundle. */
const SIGNATURES = 2;

/** The whole path of an X509-SVID through the product's own trust roots, against bare ECDSA. */
export const SVID_CHECK: BenchRow = {
  name: "svid-check",
  title:
    "check of an X509-SVID's chain, signatures for each second of CPU, " +
    "against openssl speed verify",
  target: { ratio: 0.1, is: "at_least" },
  run: async (world) => {
    const version = await findOpenssl();
    if (version === null) {
      world.say("openssl is not on the PATH: svid-check is left out");
      return null;
    }
    const authority = createTestX509Authority({ clock: systemClock });
    const roots = rootsFor(authority);
    const chains = chainsOf(authority.intermediate());
    await checkAll(roots, chains, 1);
    const known: number[] = [];
    const { ratio, spread, ours, theirs } = await interleave(
      fewRounds(world),
      async () => {
        const again = await checkAll(roots, chains.slice(0, KNOWN), 1);
        known.push(again.perCpuSecond);
        return checkAll(roots, chains, world.seconds);
      },
      () => opensslVerifications(Math.ceil(world.seconds / 2)),
      (a, b) => (a.perCpuSecond * SIGNATURES) / b,
    );
    return {
      ratio,
      spread,
      facts: [
        `chains of ${SIGNATURES} certificates checked in a second of CPU: ` +
          `${median(ours.map((one) => one.perCpuSecond)).toFixed(0)} with a leaf that was not seen ` +
          `before, ${median(known).toFixed(0)} with a known one`,
        `verifications by openssl speed: ${median(theirs).toFixed(0)}/s (${version})`,
        `${ours.reduce((sum, one) => sum + one.checked, 0)} checks of ${CHAINS} distinct chains; most ` +
          "of one is to decode the leaf's extensions, byte for byte",
      ],
      broken: [],
    };
  },
};

function rootsFor(authority: TestX509Authority): TrustRoots {
  const roots = createTrustRoots({
    http: createFakeOutboundHttp(),
    issuer: AUDIENCE,
    settings: defaultTrustRootsSettings,
    log: createRecordingLog(),
  });
  const name = parseTrustRootName("acme.test", "trust root");
  const config = { trust_domain: "acme.test", bundle: { keys: [authority.bundleKey()] } };
  roots.replace([roots.parse(name, "spiffe", config)]);
  return roots;
}

function chainsOf(authority: TestX509Authority): readonly TestX509Svid[] {
  const keys = testKeyPair();
  return Array.from({ length: CHAINS }, (_, n) => {
    const names = [{ uniformResourceIdentifier: `spiffe://acme.test/agent/${n}` }];
    return authority.issue({ names, until: systemClock.now() + HOUR_MS }, keys);
  });
}

interface Checked {
  readonly checked: number;
  readonly perCpuSecond: number;
}

/** One after another: all of it is done on one thread. */
async function checkAll(
  roots: TrustRoots,
  chains: readonly TestX509Svid[],
  seconds: number,
): Promise<Checked> {
  const context: CallContext = {
    clock: systemClock,
    signal: new AbortController().signal,
    traceId: "bench",
  };
  let checked = 0;
  const from = performance.now();
  const cpu = process.cpuUsage();
  while (performance.now() - from < seconds * 1000) {
    const chain = chains[checked % chains.length];
    if (chain !== undefined) await roots.verify(chain.presented, context);
    checked += 1;
  }
  const { user, system } = process.cpuUsage(cpu);
  return { checked, perCpuSecond: (checked * 1_000_000) / (user + system) };
}
