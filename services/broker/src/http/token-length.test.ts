import { once } from "node:events";
import { createServer, request, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeEach, describe, expect, it } from "vitest";
import { createTestDpopKey } from "@mayfly/testkit";
import {
  createBrokerBench,
  ISSUER,
  type Answer,
  type BrokerBench,
} from "../testing/broker-bench.ts";
import { READER } from "../testing/registered.ts";
import { rawRequest, serveBench, statusOf } from "../testing/served-bench.ts";
import {
  at,
  exchange,
  exchangeTaskToken,
  nothingMinted,
  opened,
  postToken,
  readerTask,
  textAt,
  tokenForm,
  TYPE,
} from "../testing/token-form.ts";

/** Of a header line, which many servers and proxies bound together with its name. */
const LINE_BYTES_MAX = 8190;

/** A history of four, each with a name of so many characters and a bit. */
const longAct = (characters: number): unknown =>
  [1, 2, 3, 4].reduce<unknown>(
    (act, n) => ({
      iss: `https://${n}.test/${"i".repeat(900)}`,
      sub: "s".repeat(characters),
      ...(act === undefined ? {} : { act }),
    }),
    undefined,
  );
const openFor = (
  bench: BrokerBench,
  act: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> => {
  const form = tokenForm(bench.identities.oidc("alice", { claims: { act } }), {
    actor_token: bench.identities.svid("bot"),
    actor_token_type: `${TYPE}jwt`,
    authorization_details: JSON.stringify([readerTask({ credentials: [] })]),
  });
  return postToken(bench, form, headers);
};

/** The most characters that such a name may have for a task to be opened. */
async function longestOpened(bench: BrokerBench): Promise<number> {
  let [opens, refused] = [1, 450];
  while (refused - opens > 1) {
    const middle = Math.floor((opens + refused) / 2);
    if ((await openFor(bench, longAct(middle))).status === 200) opens = middle;
    else refused = middle;
  }
  return opens;
}

let bench: BrokerBench;
beforeEach(async () => {
  bench = await createBrokerBench();
});

describe("a task whose token no header would carry", () => {
  it.each([
    ["names that are long", longAct(440)],
    [
      "names of few characters and many bytes",
      { sub: "界".repeat(900), act: { sub: "界".repeat(900) } },
    ],
  ])("is not opened for an initiator whose act has %s", async (_what, act) => {
    const refused = await openFor(bench, act);
    expect(refused.body).toMatchObject({
      error: "invalid_request",
      code: "invalid_input",
      where: "subject_token",
    });
    expect(refused.status).toBe(400);
    expect(textAt(refused, "error_description")).toContain("no header carries more than 8000");
    expect(nothingMinted(bench)).toBe(true);
    expect(bench.ledger.inspect.tasks()).toEqual([]);
  });
  it("is not opened as the child that makes the chain of workloads too long", async () => {
    const agent = (n: number): string => bench.identities.svid(`${n}-${"x".repeat(1200)}`);
    const details = (parent: string) =>
      readerTask({ parent, deadline: "5m", credentials: [{ role: READER, issue: "later" }] });
    let above = opened(await exchange(bench, agent(0)));
    const answers: Answer[] = [];
    for (const n of [1, 2, 3]) {
      const actor = agent(n);
      const answer = await exchangeTaskToken(bench, above.token, {
        actor,
        details: details(above.id),
      });
      answers.push(answer);
      if (answer.status !== 200) break;
      above = opened(answer);
    }
    const last = answers.at(-1)!;
    expect(answers.length).toBeGreaterThan(1);
    expect([last.status, at(last, "code")]).toEqual([400, "invalid_input"]);
    expect(at(last, "where")).toBe("authorization_details[0].parent");
    expect(bench.ledger.inspect.tasks()).toHaveLength(answers.length);
  });
});

describe("the longest task token that there is", () => {
  it("fits a header line of 8 KiB with its scheme, and arrives at a server whole", async () => {
    const task = opened(await openFor(bench, longAct(await longestOpened(bench))));
    const line = `DPoP ${task.token}`;
    expect(`Authorization: ${line}`.length).toBeLessThanOrEqual(LINE_BYTES_MAX);
    expect(task.token.length).toBeGreaterThan(7_900);
    const received = Promise.withResolvers<string | undefined>();
    const server = createServer((incoming, response) => {
      received.resolve(incoming.headers.authorization);
      response.end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const sent = request({ host: "127.0.0.1", port, headers: { authorization: line } }).end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(200);
    expect(await received.promise).toBe(line);
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  it("is taken by the broker over HTTP, as a bearer's, bound to a key, and to be revoked", async () => {
    await using served = await serveBench({ requestMsMax: 60_000 });
    const own = served.bench;
    const longest = await longestOpened(own);
    const bearer = opened(await openFor(own, longAct(longest)));
    const beat = await served.send(
      rawRequest("POST", `/v1/tasks/${bearer.id}/heartbeat`, [
        ["Authorization", `Bearer ${bearer.token}`],
      ]),
    );
    expect(statusOf(beat)).toBe(200);
    const key = createTestDpopKey(own.clock);
    const dpop = key.proof("POST", `${ISSUER}/token`);
    // The key's thumbprint stands in it too.
    const bound = opened(await openFor(own, longAct(longest - 20), { dpop }));
    const path = `/v1/tasks/${bound.id}`;
    const looked = await served.send(
      rawRequest("GET", path, [
        ["Authorization", `DPoP ${bound.token}`],
        ["DPoP", key.proof("GET", `${ISSUER}${path}`, bound.token)],
      ]),
    );
    expect(statusOf(looked)).toBe(200);
    const form = new URLSearchParams({ token: bearer.token }).toString();
    const type = ["Content-Type", "application/x-www-form-urlencoded"] as const;
    expect(statusOf(await served.send(rawRequest("POST", "/revoke", [type], form)))).toBe(200);
    const task = own.ledger.inspect.tasks().find(({ id }) => id === bearer.id);
    expect(task?.state).toBe("cancelled");
  });
});
