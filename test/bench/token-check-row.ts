import { createTrustRoots, defaultTrustRootsSettings } from "@mayfly/identity";
import { systemClock } from "@mayfly/host";
import {
  parseTrustRootName,
  Secret,
  type CallContext,
  type PresentedIdentity,
  type TrustRoots,
} from "@mayfly/spec";
import {
  createFakeOutboundHttp,
  createRecordingLog,
  createTestTrustDomain,
  type TestTrustDomain,
} from "@mayfly/testkit";
import type { BenchRow } from "./bench-row.ts";
import { profileHere } from "./cpu-profile.ts";
import { interleave, median } from "./interleave.ts";
import { findOpenssl, opensslVerifications } from "./openssl-speed.ts";

const AUDIENCE = "https://mayfly.bench.test";
const WANTED = 0.6;
const FUNCTIONS = 12;
const CLIENTS = 16;
/** Tokens to sign ahead for a second of one round. */
const TOKENS_PER_SECOND = 20_000;

/** The whole path of a JWT-SVID through the product's own trust roots, against bare ECDSA. */
export const TOKEN_CHECK: BenchRow = {
  name: "token-check",
  title: "token check through jose at c=16, for each second of CPU, against openssl speed verify",
  target: { ratio: WANTED, is: "at_least" },
  run: async (world) => {
    const version = await findOpenssl();
    if (version === null) {
      world.say("openssl is not on the PATH: token-check is left out");
      return null;
    }
    const domain = createTestTrustDomain({ clock: systemClock, audience: AUDIENCE });
    const roots = rootsFor(domain);
    await checkAll(roots, tokensOf(domain, 5_000), 1);
    // 10⁵ tokens in a round say as much as twice as many, which would take as long to sign.
    const seconds = Math.ceil(world.seconds / 2);
    const { ratio, spread, ours, theirs } = await interleave(
      world.rounds,
      () => checkAll(roots, tokensOf(domain, seconds * TOKENS_PER_SECOND), seconds),
      () => opensslVerifications(seconds),
      (a, b) => a.perCpuSecond / b,
    );
    const checked = ours.reduce((sum, one) => sum + one.checked, 0);
    const more = tokensOf(domain, seconds * TOKENS_PER_SECOND);
    const profile =
      ratio < WANTED ? await profileHere(FUNCTIONS, () => checkAll(roots, more, seconds)) : [];
    return {
      ratio,
      spread,
      facts: [
        `ES256 JWT-SVIDs checked in a second of CPU, all threads of the process counted: ` +
          `${median(ours.map((one) => one.perCpuSecond)).toFixed(0)}; ` +
          `in a second: ${median(ours.map((one) => one.perSecond)).toFixed(0)}`,
        `verifications by openssl speed: ${median(theirs).toFixed(0)}/s (${version})`,
        `${checked} distinct tokens, each parsed, verified and judged; none twice`,
        ...profile.map((line) => `the main thread: ${line}`),
      ],
      broken: [],
    };
  },
};

function rootsFor(domain: TestTrustDomain): TrustRoots {
  const roots = createTrustRoots({
    http: createFakeOutboundHttp(),
    issuer: AUDIENCE,
    settings: defaultTrustRootsSettings,
    log: createRecordingLog(),
  });
  const name = parseTrustRootName(domain.trustDomain, "trust root");
  const config = { trust_domain: domain.trustDomain, bundle: domain.bundle() };
  roots.replace([roots.parse(name, "spiffe", config)]);
  return roots;
}

let made = 0;

function tokensOf(domain: TestTrustDomain, count: number): readonly PresentedIdentity[] {
  return Array.from({ length: count }, () => {
    const sub = `spiffe://${domain.trustDomain}/agent/${made++}`;
    return { kind: "jwt", token: Secret.of(domain.token({ claims: { sub } })) };
  });
}

interface Checked {
  readonly checked: number;
  readonly perSecond: number;
  readonly perCpuSecond: number;
}

async function checkAll(
  roots: TrustRoots,
  tokens: readonly PresentedIdentity[],
  seconds: number,
): Promise<Checked> {
  const context: CallContext = {
    clock: systemClock,
    signal: new AbortController().signal,
    traceId: "bench",
  };
  let next = 0;
  const from = performance.now();
  const cpu = process.cpuUsage();
  const client = async (): Promise<void> => {
    while (performance.now() - from < seconds * 1000) {
      const token = tokens[next++];
      if (token === undefined) return;
      await roots.verify(token, context);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  const { user, system } = process.cpuUsage(cpu);
  const checked = Math.min(next, tokens.length);
  return {
    checked,
    perSecond: (checked * 1000) / (performance.now() - from),
    perCpuSecond: (checked * 1_000_000) / (user + system),
  };
}
