import { beforeAll, describe, expect, it } from "vitest";
import { createTestDpopKey, type TestDpopKey } from "@mayfly/testkit";
import {
  createBrokerBench,
  ISSUER,
  type Answer,
  type BrokerBench,
} from "../testing/broker-bench.ts";
import {
  at,
  opened,
  postToken,
  textAt,
  tokenForm,
  TYPE,
  type OpenedTask,
} from "../testing/token-form.ts";
import { answersOauth } from "./openapi/error-codes.ts";
import { routeName, type Operation } from "./openapi/operation.ts";
import { ALL_OPERATIONS } from "./operations/all-operations.ts";
import type { CertificateChain } from "./peer-certificates.ts";

/**
 * The endpoints are those of the application: `documented.test.ts` holds that its routes and
 * `ALL_OPERATIONS` are the same. So a route that is added is called here too, and one that takes a
 * bound token without its key, or that says of itself that it takes none and reads one, fails.
 */
const ENDPOINTS = ALL_OPERATIONS.map((operation) => [routeName(operation), operation] as const);
/** Anyone's, and it tells an administrator more: it reads who sends an Authorization header. */
const READS_WHO_CALLS = "GET /readyz";
const takesTokens = ([route, { caller }]: (typeof ENDPOINTS)[number]): boolean =>
  caller !== "anyone" || route === READS_WHO_CALLS;
const OF_TOKENS = ENDPOINTS.filter(takesTokens);
const OF_ANYONE = ENDPOINTS.filter((endpoint) => !takesTokens(endpoint));

const MINE: CertificateChain = [Buffer.from("a certificate")];
const OTHER: CertificateChain = [Buffer.from("another certificate"), Buffer.from("a certificate")];
const FORM = { "content-type": "application/x-www-form-urlencoded" } as const;

let bench: BrokerBench;
let key: TestDpopKey;
let stranger: TestDpopKey;
let shown: CertificateChain | null = null;
beforeAll(async () => {
  bench = await createBrokerBench({
    certificateBoundTokens: true,
    peerCertificates: () => shown,
  });
  key = createTestDpopKey(bench.clock);
  stranger = createTestDpopKey(bench.clock);
});

/** How a call shows that the token is its own: by a proof of this key, over this connection. */
interface Shows {
  readonly proof: TestDpopKey | null;
  readonly certificate: CertificateChain | null;
}

const open = async (binding: Shows): Promise<OpenedTask> => {
  shown = binding.certificate;
  const headers: Readonly<Record<string, string>> =
    binding.proof === null ? {} : { dpop: binding.proof.proof("POST", `${ISSUER}/token`) };
  return opened(await postToken(bench, tokenForm(bench.identities.svid("bot")), headers));
};

/** Where an `:id` is an id of neither, the refusal of a task token comes before it is looked up. */
const addressOf = ({ path }: Operation, task: OpenedTask): string => {
  const id = path.startsWith("/v1/leases/") ? (task.leases[0] ?? "") : task.id;
  return path.replace(":id", id).replaceAll(/:\w+|\*/g, "any");
};

/** A call of the endpoint with the token where the endpoint takes it, and `by` as its proof. */
function present(operation: Operation, task: OpenedTask, by: Shows): Promise<Answer> {
  shown = by.certificate;
  const { caller } = operation;
  const method = operation.method.toUpperCase();
  const path = addressOf(operation, task);
  const { proof } = by;
  const proofOf = (token: string | null): Readonly<Record<string, string>> =>
    proof === null ? {} : { dpop: proof.proof(method, `${ISSUER}${path}`, token) };
  const inHeader = {
    authorization: `${proof === null ? "Bearer" : "DPoP"} ${task.token}`,
    ...proofOf(task.token),
  };
  switch (caller) {
    case "subject":
      return bench.call(method, path, {
        headers: { ...FORM, ...proofOf(null) },
        body: tokenForm(task.token, {
          subject_token_type: `${TYPE}access_token`,
          authorization_details: JSON.stringify([{ type: "mayfly-task", task: task.id }]),
        }),
      });
    case "client":
      return bench.call(method, path, {
        headers: { ...FORM, ...inHeader },
        body: new URLSearchParams({ token: task.token }).toString(),
      });
    case "owner":
    case "administrator":
    case "anyone":
      return bench.call(method, path, { headers: inHeader });
  }
}

type Refusal = readonly [status: number, error: unknown, where: unknown];

/** What an endpoint says to a token that the call does not show to be its own. */
function expectedRefusal(operation: Operation): Refusal {
  switch (operation.caller) {
    case "subject":
      return answersOauth(operation)
        ? [400, "invalid_request", "subject_token"]
        : [401, "invalid_identity", "subject_token"];
    case "client":
      return [401, "invalid_client", null];
    case "owner":
    case "administrator":
    case "anyone":
      return [401, "unauthenticated", null];
  }
}

const refusalOf = (answer: Answer, operation: Operation): Refusal => [
  answer.status,
  at(answer, answersOauth(operation) ? "error" : "code"),
  operation.caller === "subject" ? at(answer, "where") : null,
];

/** What it says to the same token, shown to be the caller's. */
function expectTaken(answer: Answer, operation: Operation): void {
  if (operation.caller === "administrator") {
    expect([answer.status, at(answer, "code")]).toEqual([403, "denied"]);
    expect(textAt(answer, "detail")).toMatch(/^Only (an|the bootstrap) administrator may do this/);
    return;
  }
  // A renewal gets as far as its lease, which lives as long as its role lets it already.
  expect(answer.status).toBe(operation.id === "renewLease" ? 409 : 200);
}

interface Attempt {
  readonly what: string;
  readonly refusal: Refusal;
  /** Of the task, and of its one lease. */
  readonly after: readonly unknown[];
}

/** Each on a task of its own: nothing that an earlier one did is why a later one is refused. */
async function attempted(
  operation: Operation,
  binding: Shows,
  attempts: Readonly<Record<string, Shows>>,
): Promise<readonly Attempt[]> {
  const outcomes: Attempt[] = [];
  for (const [what, attempt] of Object.entries(attempts)) {
    const { inspect } = bench.ledger;
    const task = await open(binding);
    const refusal = refusalOf(await present(operation, task, attempt), operation);
    const after = [
      inspect.tasks().find(({ id }) => id === task.id)?.state,
      ...inspect.leases().flatMap(({ taskId, state }) => (taskId === task.id ? [state] : [])),
    ];
    outcomes.push({ what, refusal, after });
    expectTaken(await present(operation, task, binding), operation);
  }
  return outcomes;
}

const allRefused = (
  operation: Operation,
  attempts: Readonly<Record<string, Shows>>,
): readonly Attempt[] =>
  Object.keys(attempts).map((what) => ({
    what,
    refusal: expectedRefusal(operation),
    after: ["active", "active"],
  }));

describe("every endpoint that takes a task token", () => {
  it.each(OF_TOKENS)("%s takes one that is bound to a key with its proof", async (_, operation) => {
    const attempts = {
      "as Bearer": { proof: null, certificate: null },
      "as Bearer over mTLS": { proof: null, certificate: MINE },
      "with a proof of another key": { proof: stranger, certificate: null },
    };
    const outcomes = await attempted(operation, { proof: key, certificate: null }, attempts);
    expect(outcomes).toEqual(allRefused(operation, attempts));
  });
  it.each(OF_TOKENS)("%s takes one of a certificate over its mTLS", async (_, operation) => {
    const attempts = {
      "without a certificate": { proof: null, certificate: null },
      "with another certificate": { proof: null, certificate: OTHER },
      "with a proof besides the certificate": { proof: stranger, certificate: MINE },
    };
    const outcomes = await attempted(operation, { proof: null, certificate: MINE }, attempts);
    expect(outcomes).toEqual(allRefused(operation, attempts));
  });
});

describe("every other endpoint", () => {
  it.each(OF_ANYONE)("%s answers as without the token", async (_, operation) => {
    const task = await open({ proof: key, certificate: null });
    const method = operation.method.toUpperCase();
    const without = await bench.call(method, addressOf(operation, task));
    for (const by of [key, stranger, null]) {
      const answer = await present(operation, task, { proof: by, certificate: null });
      expect(comparable(answer)).toEqual(comparable(without));
    }
  });
});

/** Each answer has a trace of its own. */
const comparable = ({ status, text }: Answer): readonly [number, string] => [
  status,
  text.replaceAll(/"trace":"[^"]*"/g, ""),
];
