import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import postgres from "postgres";
import type { TestTrustDomain } from "@mayfly/testkit";
import { BENCH_ISSUER, type BenchInstallation } from "./bench-installation.ts";
import type { LoadJob, LoadResult } from "./load-job.ts";

export interface LoadOptions {
  readonly url: string;
  /** Default: Mayfly's. */
  readonly flow?: LoadJob["flow"];
  /** An address of this machine to call from. Default: any. */
  readonly source?: string;
  /** Default: plain HTTP. */
  readonly tls?: LoadJob["tls"];
  readonly trust: TestTrustDomain;
  readonly clients: number;
  readonly seconds: number;
  readonly role: string | null;
  readonly rate?: number;
  /** Default: two. */
  readonly warmSeconds?: number;
  readonly after?: LoadJob["after"];
  /**
   * How many exchanges a second are granted at most: so many requests are made ahead, and
   * {@link LoadJob.requests} says what comes when there were more. One that is refused was not
   * looked at, and is sent again.
   */
  readonly rateMax: number;
}

const WARM_SECONDS = 2;
let rounds = 0;

/** One round of exchanges by a process of its own. Its requests are made before it begins. */
export async function driveLoad(options: LoadOptions): Promise<LoadResult> {
  const { key, trustDomain } = options.trust;
  const { warmSeconds = WARM_SECONDS, after = null } = options;
  const seconds =
    warmSeconds + options.seconds + (after === null ? 0 : after.fromSeconds + after.seconds);
  const job: LoadJob = {
    url: options.url,
    flow: options.flow ?? "mayfly",
    source: options.source ?? null,
    tls: options.tls ?? null,
    clients: options.clients,
    seconds: options.seconds,
    warmSeconds,
    issuer: BENCH_ISSUER,
    trustDomain,
    kid: key.kid,
    privateKeyPem: key.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    role: options.role,
    rate: options.rate ?? null,
    after,
    round: `r${++rounds}`,
    requests: Math.ceil(Math.min(options.rate ?? Infinity, options.rateMax) * seconds),
  };
  const child = fork(join(import.meta.dirname, "load-process.ts"));
  try {
    child.send(job);
    return await resultOf(child);
  } finally {
    child.disconnect();
  }
}

type Told = { readonly result: LoadResult } | { readonly error: string };

function resultOf(child: ChildProcess): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error("the load generator ended by itself")));
    child.once("message", (told: Told) => {
      if ("result" in told) resolve(told.result);
      else reject(new Error(`the load generator failed: ${told.error}`));
    });
  });
}

/** What is wrong with a round in which nothing may go wrong. */
export function troubles(result: LoadResult): readonly string[] {
  const errors = Object.entries(result.errors).map(([what, count]) => `${count} × ${what}`);
  return [...errors, ...(result.refused > 0 ? [refusalsOf(result)] : [])];
}

/** How many, why, and how far it may have been the load generator, which ran behind itself. */
function refusalsOf({ refused, refusedFor, begunLateMs }: LoadResult): string {
  const why = Object.entries(refusedFor).map(([what, count]) => `${count} × ${what}`);
  return (
    `${refused} were refused: ${why.join(", ")} ` +
    `(requests came up to ${begunLateMs.toFixed(0)} ms late)`
  );
}

/** Logs in with each of the sample, and reads what the role may read. */
export async function checkSample(
  { server }: Pick<BenchInstallation, "server">,
  result: LoadResult,
): Promise<readonly string[]> {
  const broken: string[] = [];
  for (const { username, password } of result.sample) {
    const sql = postgres(server.url("orders", username, password), { max: 1 });
    try {
      const [row] = await sql<{ n: number }[]>`SELECT count(*)::int AS n FROM orders`;
      if (row?.n !== 10_000) broken.push(`${username} reads ${row?.n ?? 0} orders`);
    } catch (error) {
      broken.push(`${username} cannot use its credential: ${String(error)}`);
    } finally {
      await sql.end({ timeout: 1 });
    }
  }
  return broken;
}
