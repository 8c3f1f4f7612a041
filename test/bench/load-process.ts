/** The load generator: a process of its own, told by IPC what to do. See `drive-load.ts`. */
import { createPrivateKey, randomBytes, sign, type KeyObject } from "node:crypto";
import { Pool } from "undici";
import { quantile } from "./interleave.ts";
import type { LoadJob, LoadResult } from "./load-job.ts";

const TYPE = "urn:ietf:params:oauth:token-type:";
const SAMPLE_MAX = 20;
const GOALS = ["Reconcile invoices", "Count orders", "Answer a customer", "Check VAT numbers"];

function signer(job: LoadJob): (index: number) => string {
  const key = createPrivateKey(job.privateKeyPem);
  const header = encode({ alg: "ES256", kid: job.kid, typ: "JWT" });
  return (index) => signed(key, header, claimsOf(job, index));
}

/** Each subject and each token is one of its own. */
function claimsOf(job: LoadJob, index: number): object {
  const now = Math.floor(Date.now() / 1000);
  return {
    sub: `spiffe://${job.trustDomain}/agent/${job.round}-${index}`,
    aud: [job.issuer],
    iat: now,
    exp: now + 300,
    jti: randomBytes(12).toString("base64url"),
  };
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
function signed(key: KeyObject, header: string, claims: object): string {
  const input = `${header}.${encode(claims)}`;
  const signature = sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

/** The body of one exchange; goal, reference and deadline differ from one to the next. */
function bodyOf(job: LoadJob, token: string, index: number): string {
  const details = {
    type: "mayfly-task",
    goal: `${GOALS[index % GOALS.length]} ${index}`,
    ref: `BENCH-${index}`,
    deadline: 3600 + (index % 600),
    idle_timeout: 3600,
    credentials: job.role === null ? [] : [{ role: job.role }],
  };
  return new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: token,
    subject_token_type: `${TYPE}jwt`,
    authorization_details: JSON.stringify([details]),
  }).toString();
}

interface Tally {
  ok: number;
  okInAll: number;
  refused: number;
  signedLate: number;
  readonly errors: Map<string, number>;
  readonly latencies: number[];
  readonly sample: { username: string; password: string }[];
}

async function run(job: LoadJob): Promise<LoadResult> {
  const sign = signer(job);
  const tokens = Array.from({ length: job.tokens }, (_, index) => sign(index));
  const pool = new Pool(job.url, { connections: job.clients, pipelining: 1 });
  const tally: Tally = {
    ok: 0,
    okInAll: 0,
    refused: 0,
    signedLate: 0,
    errors: new Map(),
    latencies: [],
    sample: [],
  };
  const startMs = performance.now();
  const from = startMs + job.warmSeconds * 1000;
  const to = from + job.seconds * 1000;
  let next = 0;
  const one = async (): Promise<void> => {
    const index = next++;
    const ready = tokens[index];
    if (ready === undefined) tally.signedLate++;
    await exchange(pool, bodyOf(job, ready ?? sign(index), index), { from, to, tally });
  };
  const client = async (): Promise<void> => {
    while (performance.now() < to) await one();
  };
  if (job.rate === null) await Promise.all(Array.from({ length: job.clients }, client));
  else await paced(job.rate, startMs, to, one);
  await pool.close();
  const { latencies } = tally;
  return {
    ok: tally.ok,
    okInAll: tally.okInAll,
    perSecond: tally.ok / job.seconds,
    errors: Object.fromEntries(tally.errors),
    refused: tally.refused,
    latencyMs: {
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      max: quantile(latencies, 1),
    },
    sample: tally.sample,
    signedLate: tally.signedLate,
  };
}

/** Open loop: begins one when it is due, whether or not the earlier ones were answered. */
async function paced(
  rate: number,
  startMs: number,
  to: number,
  one: () => Promise<void>,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  for (let begun = 0; performance.now() < to;) {
    const due = Math.floor(((performance.now() - startMs) / 1000) * rate);
    for (; begun < due; begun++) {
      const work: Promise<void> = one().finally(() => underWay.delete(work));
      underWay.add(work);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(underWay);
}

interface Reply {
  readonly credentials?: readonly { readonly data: { username: string; password: string } }[];
}

async function exchange(
  pool: Pool,
  body: string,
  { from, to, tally }: { readonly from: number; readonly to: number; readonly tally: Tally },
): Promise<void> {
  const sentMs = performance.now();
  try {
    const response = await pool.request({
      method: "POST",
      path: "/token",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body,
    });
    const text = await response.body.text();
    const doneMs = performance.now();
    const measured = sentMs >= from && doneMs <= to;
    if (response.statusCode === 200) {
      tally.okInAll++;
      if (!measured) return;
      tally.ok++;
      tally.latencies.push(doneMs - sentMs);
      keep(tally, text);
    } else if (measured) {
      const isRefusal = response.statusCode === 503 || response.statusCode === 429;
      if (isRefusal && response.headers["retry-after"] !== undefined) tally.refused++;
      else count(tally, `${response.statusCode} ${text.slice(0, 200)}`);
    }
  } catch (error) {
    count(tally, error instanceof Error ? error.message : "unknown");
  }
}

const count = ({ errors }: Tally, what: string): void => {
  errors.set(what, (errors.get(what) ?? 0) + 1);
};

/** The first, and then fewer and fewer: a sample of the whole time. */
function keep(tally: Tally, text: string): void {
  if (tally.sample.length >= SAMPLE_MAX || tally.ok % (1 << tally.sample.length) !== 0) return;
  const [credential] = (JSON.parse(text) as Reply).credentials ?? [];
  if (credential === undefined) return;
  const { username, password } = credential.data;
  tally.sample.push({ username, password });
}

process.on("message", (job: LoadJob) => {
  run(job).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
