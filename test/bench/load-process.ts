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

interface Answer {
  readonly status: number;
  readonly text: string;
  /** 429 or 503 with Retry-After. */
  readonly isRefusal: boolean;
  credential(): { username: string; password: string } | null;
}
type Flow = (index: number) => Promise<Answer>;

interface MayflyReply {
  readonly credentials?: readonly { readonly data: { username: string; password: string } }[];
}

const mayflyFlow =
  (pool: Pool, job: LoadJob, token: (index: number) => string): Flow =>
  async (index) => {
    const { statusCode, headers, body } = await pool.request({
      method: "POST",
      path: "/token",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: bodyOf(job, token(index), index),
    });
    const text = await body.text();
    const busy = statusCode === 503 || statusCode === 429;
    return {
      status: statusCode,
      text,
      isRefusal: busy && headers["retry-after"] !== undefined,
      credential: () => {
        const [credential] = (JSON.parse(text) as MayflyReply).credentials ?? [];
        if (credential === undefined) return null;
        const { username, password } = credential.data;
        return { username, password };
      },
    };
  };

interface LoginReply {
  readonly auth: { readonly client_token: string };
}
interface CredentialReply {
  readonly data: { readonly username: string; readonly password: string };
}

const openBaoFlow =
  (pool: Pool, token: (index: number) => string): Flow =>
  async (index) => {
    const login = await pool.request({
      method: "POST",
      path: "/v1/auth/jwt/login",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jwt: token(index), role: "app" }),
    });
    const loggedIn = await login.body.text();
    if (login.statusCode !== 200) return failed(login.statusCode, loggedIn);
    const { auth } = JSON.parse(loggedIn) as LoginReply;
    const { statusCode, body } = await pool.request({
      method: "GET",
      path: "/v1/database/creds/app",
      headers: { "x-vault-token": auth.client_token },
    });
    const text = await body.text();
    if (statusCode !== 200) return failed(statusCode, text);
    return {
      status: statusCode,
      text,
      isRefusal: false,
      credential: () => {
        const { username, password } = (JSON.parse(text) as CredentialReply).data;
        return { username, password };
      },
    };
  };

const failed = (status: number, text: string): Answer => ({
  status,
  text,
  isRefusal: false,
  credential: () => null,
});

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
  const token = (index: number): string => {
    const ready = tokens[index];
    if (ready === undefined) tally.signedLate++;
    return ready ?? sign(index);
  };
  const flow = job.flow === "mayfly" ? mayflyFlow(pool, job, token) : openBaoFlow(pool, token);
  const one = (): Promise<void> => exchange(flow, next++, { from, to, tally });
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

interface Measured {
  readonly from: number;
  readonly to: number;
  readonly tally: Tally;
}

async function exchange(flow: Flow, index: number, { from, to, tally }: Measured): Promise<void> {
  const sentMs = performance.now();
  try {
    const answer = await flow(index);
    const doneMs = performance.now();
    const measured = sentMs >= from && doneMs <= to;
    if (answer.status === 200) {
      tally.okInAll++;
      if (!measured) return;
      tally.ok++;
      tally.latencies.push(doneMs - sentMs);
      keep(tally, answer);
    } else if (measured) {
      if (answer.isRefusal) tally.refused++;
      else count(tally, `${answer.status} ${answer.text.slice(0, 200)}`);
    }
  } catch (error) {
    count(tally, error instanceof Error ? error.message : "unknown");
  }
}

const count = ({ errors }: Tally, what: string): void => {
  errors.set(what, (errors.get(what) ?? 0) + 1);
};

/** The first, and then fewer and fewer: a sample of the whole time. */
function keep(tally: Tally, answer: Answer): void {
  if (tally.sample.length >= SAMPLE_MAX || tally.ok % (1 << tally.sample.length) !== 0) return;
  const credential = answer.credential();
  if (credential !== null) tally.sample.push(credential);
}

process.on("message", (job: LoadJob) => {
  run(job).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
