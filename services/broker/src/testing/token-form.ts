import type { Answer, BrokerBench } from "./broker-bench.ts";
import { READER } from "./registered.ts";

export const TYPE = "urn:ietf:params:oauth:token-type:";
export const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
const FORM = { "content-type": "application/x-www-form-urlencoded" } as const;

/** The one object of `authorization_details` that most tests ask for. */
export const readerTask = (change: Readonly<Record<string, unknown>> = {}): unknown => ({
  type: "mayfly-task",
  goal: "Reconcile the October invoices",
  deadline: "15m",
  idle_timeout: "60s",
  credentials: [{ role: READER }],
  ...change,
});

/** A well-formed exchange by `token`; members replace the usual ones, null leaves one out. */
export function tokenForm(
  token: string,
  change: Readonly<Record<string, string | null>> = {},
): string {
  const usual: Record<string, string | null> = {
    grant_type: GRANT,
    subject_token: token,
    subject_token_type: `${TYPE}jwt`,
    authorization_details: JSON.stringify([readerTask()]),
    ...change,
  };
  const pairs = Object.entries(usual).filter((pair): pair is [string, string] => pair[1] !== null);
  return new URLSearchParams(pairs).toString();
}

/** Sends a form body to the token endpoint. */
export const postToken = (
  bench: BrokerBench,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> => bench.call("POST", "/token", { body, headers: { ...FORM, ...headers } });

export interface ExchangeChange {
  readonly details?: unknown;
  readonly actor?: string;
  readonly idempotencyKey?: string;
  readonly path?: "/token" | "/v1/explain";
}

/** An exchange with an identity. */
export const exchange = (
  bench: BrokerBench,
  token: string,
  change: ExchangeChange = {},
): Promise<Answer> => send(bench, token, `${TYPE}jwt`, change);

/** An exchange with a task token. */
export const exchangeTaskToken = (
  bench: BrokerBench,
  token: string,
  change: ExchangeChange,
): Promise<Answer> => send(bench, token, `${TYPE}access_token`, change);

function send(
  bench: BrokerBench,
  token: string,
  type: string,
  change: ExchangeChange,
): Promise<Answer> {
  const { actor, details, idempotencyKey } = change;
  const body = tokenForm(token, {
    subject_token_type: type,
    authorization_details: JSON.stringify([details ?? readerTask()]),
    actor_token: actor ?? null,
    actor_token_type: actor === undefined ? null : `${TYPE}jwt`,
  });
  const headers = idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey };
  return bench.call("POST", change.path ?? "/token", { body, headers: { ...FORM, ...headers } });
}

/** The value at a path of names and indices; throws with the whole answer where there is none. */
export function at(answer: Answer, ...path: readonly (string | number)[]): unknown {
  let here: unknown = answer.body;
  for (const step of path) {
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, step)) {
      throw new Error(`no ${path.join(".")} in the answer ${answer.status}: ${answer.text}`);
    }
    const value: unknown = Reflect.get(here, step);
    here = value;
  }
  return here;
}

export function textAt(answer: Answer, ...path: readonly (string | number)[]): string {
  const found = at(answer, ...path);
  if (typeof found === "string") return found;
  throw new Error(`${path.join(".")} of the answer ${answer.status} is no text: ${answer.text}`);
}

export function listAt(answer: Answer, ...path: readonly (string | number)[]): readonly unknown[] {
  const found = at(answer, ...path);
  if (Array.isArray(found)) return found;
  throw new Error(`${path.join(".")} of the answer ${answer.status} is no list: ${answer.text}`);
}

export interface OpenedTask {
  readonly id: string;
  readonly token: string;
  readonly leases: readonly string[];
  readonly answer: Answer;
}

/** The task of an answer that must be a success. */
export function opened(answer: Answer): OpenedTask {
  if (answer.status !== 200) throw new Error(`the exchange was answered ${answer.text}`);
  return {
    id: textAt(answer, "task", "id"),
    token: textAt(answer, "access_token"),
    leases: listAt(answer, "credentials").map((_, n) => textAt(answer, "credentials", n, "lease")),
    answer,
  };
}

/** Nothing was asked of the backend that makes a credential, and nothing is reserved. */
export function nothingMinted(bench: BrokerBench): boolean {
  const asked = bench.upstream.calls.some(({ operation }) => operation === "issue");
  return !asked && bench.ledger.inspect.leases().length === 0;
}
