import type { TypeTimes } from "../../services/composition/src/backend-times.ts";
import { median, quantile } from "../bench/interleave.ts";
import { accepted, at, pause, textAt, until } from "../harness/index.ts";
import { surroundings, type MeasuredInstallation } from "./measured-installation.ts";
import { registrar } from "./upstreams.ts";
import type {
  CredentialData,
  RegisteredUpstream,
  Upstream,
  Verdict,
} from "./upstreams/upstream.ts";

export interface TimesOptions {
  readonly rounds: number;
  readonly upstreams: readonly Upstream[];
  readonly say: (line: string) => void;
}

/** From one attempt to the next; each takes its own time besides. */
const EVERY_MS = 2;
const REFUSED_MS_MAX = 60_000;
const ENDED_MS_MAX = 120_000;
/** How long a credential that is never refused is tried after its task ended. */
const NEVER_MS = 500;
const BROKEN_OFF_MAX = 50;
/** What a first exchange loads and connects is nobody's usual time. */
const WARM_UP_ROUNDS = 2;

interface Measured {
  readonly upstream: Upstream;
  readonly registered: RegisteredUpstream;
  readonly mints: number[];
  readonly refusals: number[];
}

/**
 * In every round one task after the other, each with one lease of another type: from the request of
 * its credential to the reply, and from the request that completes it to the answer of the first
 * attempt of its holder that is refused. Nothing that Mayfly says counts for that.
 */
export async function measureTimes(
  installation: MeasuredInstallation,
  { rounds, upstreams, say }: TimesOptions,
): Promise<Readonly<Record<string, TypeTimes>>> {
  const { mayfly, broker } = installation;
  const around = surroundings();
  await using started = new AsyncDisposableStack();
  const all: Measured[] = [];
  for (const upstream of upstreams) {
    const registered = await upstream.register(registrar(mayfly, broker, rounds + WARM_UP_ROUNDS));
    started.defer(() => registered.stop());
    say(`${upstream.type}: ${registered.version}`);
    all.push({ upstream, registered, mints: [], refusals: [] });
  }
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    // Which type comes first changes, so that none always follows the same one.
    for (let nth = 0; nth < all.length; nth++) {
      const one = all[(nth + round + WARM_UP_ROUNDS) % all.length];
      if (one !== undefined) await measureOnce(installation, one, round < 0);
    }
    if ((round + 1) % 10 === 0) say(`${Math.max(0, round + 1)} of ${rounds} rounds`);
  }
  await ended(installation, upstreams);
  return Object.fromEntries(all.map((one) => [one.upstream.type, summary(one, rounds, around)]));
}

async function measureOnce(
  { mayfly, broker: { api } }: MeasuredInstallation,
  { upstream, registered, mints, refusals }: Measured,
  isWarmUp: boolean,
): Promise<void> {
  const { type, outcome } = upstream;
  const asked = performance.now();
  const reply = await api.exchange({
    subject: mayfly.svid("worker-bee"),
    details: {
      type: "mayfly-task",
      goal: "look at an order",
      deadline: "10m",
      credentials: [{ role: `${type}/one`, ttl: "5m" }],
    },
  });
  const mintMs = performance.now() - asked;
  const data = at(reply, "credentials", 0, "data") as CredentialData;
  const before = await attempt(type, registered, data);
  if (before !== "accepted") throw new Error(`${type}: a new credential was ${before}`);
  const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
  const completed = performance.now();
  const completing = api
    .call(textAt(reply, "access_token"), "POST", path, {})
    .then((answer) => accepted(answer, path));
  const seen =
    outcome === "never" ? staysAccepted(registered, data) : refused(type, registered, data);
  const [refusedAt] = await Promise.all([seen, completing]).catch(async (error: unknown) => {
    const lease = await api.admin("GET", `/v1/leases/${textAt(reply, "credentials", 0, "lease")}`);
    throw new Error(`${type}: the lease says ${lease.text}`, { cause: error });
  });
  if (refusedAt !== null && (await registered.tryCredential(data)) !== "refused") {
    throw new Error(`${type}: what had been refused was accepted again`);
  }
  if (isWarmUp) return;
  mints.push(mintMs);
  if (refusedAt !== null) refusals.push(refusedAt - completed);
}

async function attempt(
  type: string,
  { tryCredential }: RegisteredUpstream,
  data: CredentialData,
): Promise<Exclude<Verdict, "broken_off">> {
  for (let times = 0; times < BROKEN_OFF_MAX; times++) {
    const verdict = await tryCredential(data);
    if (verdict !== "broken_off") return verdict;
    await pause(EVERY_MS);
  }
  throw new Error(`${type}: ${BROKEN_OFF_MAX} attempts were broken off`);
}

/** When the first attempt that is refused was answered. */
async function refused(
  type: string,
  registered: RegisteredUpstream,
  data: CredentialData,
): Promise<number> {
  const giveUpAt = performance.now() + REFUSED_MS_MAX;
  while (performance.now() < giveUpAt) {
    if ((await attempt(type, registered, data)) === "refused") return performance.now();
    await pause(EVERY_MS);
  }
  throw new Error(`${type}: it was still accepted after ${REFUSED_MS_MAX} ms`);
}

async function staysAccepted(registered: RegisteredUpstream, data: CredentialData): Promise<null> {
  const until = performance.now() + NEVER_MS;
  while (performance.now() < until) {
    const verdict = await registered.tryCredential(data);
    if (verdict !== "accepted") throw new Error(`what nobody can revoke was ${verdict}`);
    await pause(NEVER_MS / 10);
  }
  return null;
}

/** All that was measured has to end as its type says, or its figures are of something else. */
async function ended(
  { mayfly }: MeasuredInstallation,
  upstreams: readonly Upstream[],
): Promise<void> {
  for (const { type, outcome } of upstreams) {
    // A token lives until it expires by itself, which nobody waits for here.
    if (outcome !== "revoked") continue;
    await until(`every lease of ${type} to be revoked`, ENDED_MS_MAX, async () => {
      const [row] = await mayfly.ledger<{ n: number }[]>`
        SELECT count(*)::int AS n FROM mayfly.leases
        WHERE backend_id = ${type} AND outcome IS DISTINCT FROM 'revoked'`;
      return row?.n === 0;
    });
  }
}

function summary(
  { upstream, registered, mints, refusals }: Measured,
  rounds: number,
  around: ReturnType<typeof surroundings>,
): TypeTimes {
  const tenths = (ms: number): number => Math.round(ms * 10) / 10;
  return {
    ...around,
    version: registered.version,
    refused_by: upstream.refusedBy,
    rounds,
    mint_p50_ms: tenths(median(mints)),
    refused:
      upstream.outcome === "never"
        ? null
        : {
            p50_ms: tenths(median(refusals)),
            p99_ms: tenths(quantile(refusals, 0.99)),
            max_ms: tenths(Math.max(...refusals)),
          },
  };
}
