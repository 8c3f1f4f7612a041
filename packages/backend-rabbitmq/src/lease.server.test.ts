import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { connect as connectTcp } from "node:net";
import { once } from "node:events";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { killMint } from "@mayfly/testkit";
import { plusSeconds, type Issued, type IssuePlan } from "@mayfly/spec";
import {
  backendErrorOf,
  freshLeaseId,
  revoking,
  type BackendBench,
} from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChannelModel } from "amqplib";
import {
  configAt,
  connectWith,
  startRabbitBench,
  type RabbitUpstream,
} from "./testing/rabbitmq-upstream.ts";
import { BROKER, VHOST } from "./testing/rabbitmq-server.ts";

const program = await requireOrExplain("rabbitmq");
const run = promisify(execFile);
/** Connections are what makes it long: a thousand are for who asks. */
const CROWD = Number(process.env["RABBITMQ_TEST_LEASES"] ?? 200);
const AT = encodeURIComponent(VHOST);

describe.runIf(program !== undefined)("a lease of RabbitMQ", () => {
  let started: Awaited<ReturnType<typeof startRabbitBench>>;
  let upstream: RabbitUpstream;
  let bench: BackendBench;
  beforeAll(async () => {
    started = await startRabbitBench();
    ({ upstream, bench } = started);
    const { server } = upstream;
    await server.api("PUT", `/api/exchanges/${AT}/events`, { type: "topic", durable: true });
    for (const queue of ["ordersx", "stock", "orders.new.old"]) {
      await server.api("PUT", `/api/queues/${AT}/${queue}`, { durable: true });
    }
  });
  afterAll(() => started.stop());

  function planOf(role: object): IssuePlan {
    return bench.backend.plan({
      installation: bench.host.installation,
      leaseId: freshLeaseId(),
      expiresAt: plusSeconds(systemClock.now(), 60),
      role: bench.backend.parseRole(role),
      params: {},
      holder: { subject: "spiffe://acme.test/agent", actors: [], confirmation: null },
    });
  }
  async function lease(role: object): Promise<{ issued: Issued; connection: ChannelModel }> {
    const issued = await bench.open.issue(planOf(role), bench.issueCall());
    return { issued, connection: await connectWith(issued.material) };
  }
  /** A refused operation closes its channel, so each has one of its own. */
  async function attempt(
    connection: ChannelModel,
    work: (channel: Awaited<ReturnType<ChannelModel["createConfirmChannel"]>>) => Promise<unknown>,
  ): Promise<"done" | "refused"> {
    const channel = await connection.createConfirmChannel();
    const closed = once(channel, "error").then(() => "refused" as const);
    closed.catch(() => undefined);
    const done = work(channel).then(
      () => "done" as const,
      () => "refused" as const,
    );
    return Promise.race([done, closed]);
  }
  const endOf = (issued: Issued) => revoking(bench.open).revoke(issued.handle, bench.call());

  test("reaches what its patterns match as a whole, in its virtual host, and nothing else", async () => {
    const { issued, connection } = await lease({ vhost: VHOST, read: "orders\\.new|stock" });
    const readable = (queue: string) =>
      attempt(connection, (channel) => channel.get(queue, { noAck: true }));
    expect(await readable("orders.new")).toBe("done");
    expect(await readable("stock")).toBe("done");
    expect(await readable("ordersx")).toBe("refused");
    expect(await readable("orders.new.old")).toBe("refused");
    expect(
      await attempt(connection, (channel) => channel.assertQueue("orders.new", { durable: true })),
    ).toBe("refused");
    const users = await upstream.server.api("GET", "/api/users?columns=name,tags");
    expect(JSON.stringify(users)).toMatch(/"mf-lease-[0-9a-f]{64}"/);
    await endOf(issued);
  });

  test("publishes with the routing keys of its topics, and with no others", async () => {
    const { issued, connection } = await lease({
      vhost: VHOST,
      write: "events",
      topics: [{ exchange: "events", write: "orders\\..*", read: "" }],
    });
    const publish = (key: string) =>
      attempt(connection, async (channel) => {
        channel.publish("events", key, Buffer.from("x"));
        await channel.waitForConfirms();
      });
    expect(await publish("orders.paid")).toBe("done");
    expect(await publish("payments.paid")).toBe("refused");
    await endOf(issued);
  });

  test("its open consumers are cut at the end, though they were let in before", async () => {
    const { issued, connection } = await lease({ vhost: VHOST, read: "orders\\.new" });
    const channel = await connection.createChannel();
    channel.on("error", () => undefined);
    await channel.consume("orders.new", () => undefined);
    const cut = once(connection, "close");
    await endOf(issued);
    await cut;
    const probed = await revoking(bench.open).probe(issued.handle, bench.call());
    expect(probed).toMatchObject({
      verdict: "refused",
      looked: { users: 0, connections: 0, nodes: 1 },
    });
  });

  /** Keeps the request that begins so, as the server would read it, and lets the mint fail. */
  async function captureLate(plan: IssuePlan, begins: string): Promise<Buffer> {
    const pieces: Buffer[] = [];
    upstream.proxy.hold((piece) => {
      const isIt = pieces.length > 0 || piece.includes(begins);
      if (isIt) pieces.push(piece);
      return isIt;
    });
    const { effect } = await backendErrorOf(
      bench.open.issue(plan, bench.issueCall({ seconds: 3 })),
    );
    expect(effect).toBe("unknown");
    // What was held goes to a connection that its client has given up by then.
    await systemClock.sleep(200);
    upstream.proxy.release();
    return Buffer.concat(pieces);
  }
  async function deliver(request: Buffer): Promise<string> {
    const socket = connectTcp({ host: "127.0.0.1", port: upstream.server.apiPort });
    socket.write(request);
    const [answer] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    return answer.toString("latin1").split("\r\n")[0] ?? "";
  }

  test("a user that is made after recover said absent is let in nowhere, and is listed", async () => {
    const plan = planOf({ vhost: VHOST, read: ".*" });
    const request = await captureLate(plan, "PUT /api/users/");
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("absent");
    expect(await deliver(request)).toContain("201");
    expect(await upstream.liveNames()).toContain(plan.externalName);
    const at = `${AT}/${plan.externalName}`;
    await expect(upstream.server.api("GET", `/api/permissions/${at}`)).rejects.toThrow(/Not Found/);
    if (bench.open.listing.kind === "none") throw new Error("no listing");
    const { marked } = await bench.open.listing.list(null, bench.call());
    const found = marked.find(({ externalName }) => externalName === plan.externalName);
    if (found?.mark.kind !== "ours") throw new Error("it is not listed as ours");
    await revoking(bench.open).revoke(found.mark.handle, bench.call());
    expect(await upstream.liveNames()).not.toContain(plan.externalName);
  });

  test("permissions that come after recover said absent find no user", async () => {
    const plan = planOf({ vhost: VHOST, read: ".*" });
    const request = await captureLate(plan, "PUT /api/permissions/");
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("destroyed");
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("absent");
    expect(await deliver(request)).toContain("400");
    expect(await upstream.liveNames()).not.toContain(plan.externalName);
  });

  test.each([
    "GET /api/users",
    "PUT /api/users",
    "PUT /api/topic-permissions",
    "PUT /api/permissions",
    null,
  ])("a process that is killed when it is about to send %s leaves nothing", async (at) => {
    const plan = planOf({
      vhost: VHOST,
      write: "events",
      topics: [{ exchange: "events", write: "orders\\..*", read: "" }],
    });
    const { proxy, config } = upstream;
    const program = fileURLToPath(new URL("testing/mint-process.ts", import.meta.url));
    await killMint({ program, config, plan, proxy, at });
    await bench.recoverUntilSettled(plan);
    expect(await upstream.liveNames()).not.toContain(plan.externalName);
  });

  test("recover does not touch a user of our name that bears no mark", async () => {
    const plan = planOf({ vhost: VHOST });
    const path = `/api/users/${plan.externalName}`;
    await upstream.server.api("PUT", path, { password: "theirs", tags: "" });
    const error = await backendErrorOf(bench.open.recover(plan, null, bench.recoverCall()));
    expect(error.message).toContain("not touched");
    expect(await upstream.liveNames()).toContain(plan.externalName);
    await upstream.server.api("DELETE", path);
  });

  test("a virtual host that is not there is found by the check, with what to do", async () => {
    const role = bench.backend.parseRole({ vhost: "nowhere" });
    const { problems } = await bench.open.selfCheck([role], bench.call());
    expect(problems.map(({ code }) => code)).toEqual(["vhost_missing"]);
  });

  test("a broker's user without the tag is named by the check, whatever other tag it has", async () => {
    const path = `/api/users/${BROKER.username}`;
    const tagged = (tags: string): Promise<unknown> =>
      upstream.server.api("PUT", path, { password: BROKER.password, tags });
    for (const tags of ["monitoring", "policymaker", "management", ""]) {
      await tagged(tags);
      const { problems } = await bench.open.selfCheck([], bench.call());
      // Without any tag the management API lets nobody in.
      const code = tags === "" ? "login_refused" : "right_missing";
      expect(problems.map((problem) => problem.code)).toEqual([code]);
    }
    await tagged("administrator");
    expect((await bench.open.selfCheck([], bench.call())).problems).toEqual([]);
  });

  test("the command of the type's page makes the broker's user, and the check is content", async () => {
    const page = readFileSync(
      new URL("../../../docs/backends/rabbitmq.md", import.meta.url),
      "utf8",
    );
    const [, command = ""] = /```sh\n(curl [\s\S]*?)```/.exec(page) ?? [];
    expect(command).toContain("/api/users/mayfly");
    const env = {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      RABBITMQ_ADMIN: upstream.server.admin,
      RABBITMQ_URL: `http://127.0.0.1:${upstream.server.apiPort}`,
    };
    await run("bash", ["-c", command], { env });
    const open = bench.openAgain({
      ...configAt(upstream.server, { host: "127.0.0.1", port: upstream.server.apiPort }),
      password: "choose-one",
    });
    const role = bench.backend.parseRole(upstream.role);
    expect((await open.selfCheck([role], bench.call())).problems).toEqual([]);
    await open.close();
    const ours = { password: BROKER.password, tags: "administrator" };
    await upstream.server.api("PUT", `/api/users/${BROKER.username}`, ours);
  });

  test("all that are due at once are revoked, and their connections cut", async () => {
    const role = { vhost: VHOST, read: "orders\\.new" };
    const issued = await Promise.all(
      Array.from({ length: CROWD }, () =>
        bench.open.issue(planOf(role), bench.issueCall({ seconds: 150 })),
      ),
    );
    const connections: ChannelModel[] = [];
    for (const { material } of issued) connections.push(await connectWith(material));
    const cut = connections.map((connection) => once(connection, "close"));
    const began = systemClock.monotonicMs();
    const verdicts = await Promise.all(
      issued.map(async (one) => {
        await endOf(one);
        return (await revoking(bench.open).probe(one.handle, bench.call())).verdict;
      }),
    );
    const seconds = (systemClock.monotonicMs() - began) / 1_000;
    expect(new Set(verdicts)).toEqual(new Set(["refused"]));
    await Promise.all(cut);
    expect(await upstream.liveNames()).toEqual([]);
    process.stderr.write(`${CROWD} leases with connections ended in ${seconds.toFixed(1)} s\n`);
  }, 240_000);
});
