import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@mayfly/host";
import { createTestX509Authority, type TestX509Authority } from "@mayfly/testkit";
import { accepted } from "../harness/registration.ts";
import { SOURCES, startService } from "../harness/service-process.ts";
import {
  BENCH_ROLE,
  startBenchInstallation,
  type BenchInstallation,
} from "./bench-installation.ts";
import type { BenchRow, RowResult } from "./bench-row.ts";
import { fewRounds, type BenchWorld } from "./bench-world.ts";
import { countUp } from "./count-up.ts";
import { checkSample, driveLoad, troubles } from "./drive-load.ts";
import type { MutualTls } from "./http-client.ts";
import { interleave, median } from "./interleave.ts";
import type { LoadResult } from "./load-job.ts";
import { warmUp } from "./warm-up.ts";

const CLIENTS = 64;
const RATE_MAX = 2500;
const HOUR_MS = 3_600_000;

/** What an X509-SVID costs: a chain to judge at each request, on a connection that is encrypted. */
export const X509_EXCHANGE: BenchRow = {
  name: "exchange-x509",
  title:
    `full exchange by X509-SVID over mTLS, fast mint, c=${CLIENTS}, ` +
    "against the same by JWT-SVID over plain HTTP",
  target: { ratio: 0.7, is: "at_least" },
  run: exchangeX509,
};

async function exchangeX509(world: BenchWorld): Promise<RowResult> {
  await using mayfly = await startBenchInstallation(world, {
    administrator: "superuser",
    backend: { scram_iterations: 1 },
    // Here one workload asks as often as its connection lets it.
    settings: { MAYFLY_WORKLOAD_EXCHANGES_PER_SECOND: "0" },
  });
  await using encrypted = await startEncrypted(mayfly);
  const broken: string[] = [];
  let exchanged = await warmUp(mayfly);
  const drive = async (flow: "mayfly" | "x509"): Promise<LoadResult> => {
    const result = await driveLoad({
      ...(flow === "x509" ? encrypted : { url: mayfly.api.url }),
      trust: mayfly.trust,
      flow,
      clients: CLIENTS,
      seconds: world.seconds,
      role: BENCH_ROLE,
      rateMax: RATE_MAX,
    });
    exchanged += result.okInAll;
    broken.push(...troubles(result), ...(await checkSample(mayfly, result)));
    return result;
  };
  const { ratio, spread, ours, theirs } = await interleave(
    fewRounds(world),
    () => drive("x509"),
    () => drive("mayfly"),
    (a, b) => a.perSecond / b.perSecond,
  );
  broken.push(...(await countUp(mayfly, exchanged)));
  const rate = (results: readonly LoadResult[]): string =>
    median(results.map(({ perSecond }) => perSecond)).toFixed(0);
  return {
    ratio,
    spread,
    facts: [
      `exchanges/s: ${rate(ours)} by X509-SVID, ${rate(theirs)} by JWT-SVID`,
      `${CLIENTS} workloads, each with a connection that it keeps; the chain (leaf, one authority ` +
        "below that of the bundle) is judged at each request",
      `${exchanged} exchanges in all, each with a lease and a role`,
    ],
    broken,
  };
}

interface Encrypted extends AsyncDisposable {
  readonly url: string;
  readonly tls: MutualTls;
}

/** A broker over the same ledger that serves HTTPS, and agents that its trust root vouches for. */
async function startEncrypted(mayfly: BenchInstallation): Promise<Encrypted> {
  await using started = new AsyncDisposableStack();
  const { trust, api } = mayfly;
  const { trustDomain } = trust;
  const authority = createTestX509Authority({ clock: systemClock, trustDomain });
  const { keys } = trust.bundle() as { readonly keys: readonly unknown[] };
  const bundle = { keys: [...keys, authority.bundleKey()] };
  const config = { trust_domain: trustDomain, bundle };
  accepted(
    await api.admin("PUT", `/v1/trust/${trustDomain}`, { kind: "spiffe", config }),
    "the trust root with an authority for certificates",
  );
  const folder = await mkdtemp(join(tmpdir(), "mayfly-bench-tls-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const { pem } = authority.issue({ until: systemClock.now() + HOUR_MS });
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await writeFile(certFile, pem.cert, { mode: 0o600 });
  await writeFile(keyFile, pem.key, { mode: 0o600 });
  const tls = { MAYFLY_TLS_CERT_FILE: certFile, MAYFLY_TLS_KEY_FILE: keyFile };
  const broker = await startService("broker", { ...mayfly.environment("broker"), ...tls }, SOURCES);
  started.defer(() => broker.kill());
  const { port } = JSON.parse(await broker.line("broker listens")) as { readonly port: number };
  const all = started.move();
  return {
    url: `https://127.0.0.1:${port}`,
    tls: { ca: authority.pem, clients: agentsOf(authority.intermediate(), trustDomain) },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function agentsOf(authority: TestX509Authority, trustDomain: string): MutualTls["clients"] {
  return Array.from({ length: CLIENTS }, (_, n) => {
    const id = `spiffe://${trustDomain}/agent/x509-${n}`;
    const names = [{ uniformResourceIdentifier: id }];
    const { pem } = authority.issue({ names, until: systemClock.now() + HOUR_MS });
    return { id, ...pem };
  });
}
