import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import { requireOrExplain, startSshd, type EmbeddedSshd } from "@mayfly/embedded";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testCertificate } from "../../services/broker/src/testing/test-certificate.ts";
import {
  accepted,
  at,
  BRIEF_ISSUE,
  READER,
  startInstallation,
  textAt,
  until,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";

/**
 * Certificates of the installation's own authorities, through real processes: from the exchange to
 * a server that lets their holder in, and from the end of the task to one that does not.
 */
const sshd = await requireOrExplain("sshd");
const HOST_COMMAND = fileURLToPath(
  new URL("../../packages/backend-ssh/host/mayfly-ssh-host", import.meta.url),
);
const END_MS_MAX = 120_000;
const ROLE = {
  description: "To look at orders",
  ttl_max: "10m",
  data_class: "internal",
  reversibility: "read_only",
  environment: "test",
};

let mayfly: Installation;
let broker: RunningBroker;
beforeAll(async () => {
  mayfly = await startInstallation();
  broker = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(broker);
});
afterAll(() => mayfly?.[Symbol.asyncDispose]());

async function put(path: string, body: object): Promise<void> {
  accepted(await broker.api.admin("PUT", path, body), path);
}
const open = (ref: string, roles: readonly string[]): Promise<Reply> =>
  broker.api.exchange({
    subject: mayfly.svid("worker-bee"),
    details: {
      type: "mayfly-task",
      goal: "look at an order",
      ref,
      deadline: "10m",
      credentials: roles.map((role) => ({ role, ttl: "10m" })),
    },
  });
const data = (reply: Reply, name: string, place = 0): string =>
  textAt(reply, "credentials", place, "data", name);
const complete = async (reply: Reply): Promise<void> => {
  const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
  accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
};
const leaseOf = (reply: Reply, place = 0): Promise<Reply> =>
  broker.api.admin("GET", `/v1/leases/${textAt(reply, "credentials", place, "lease")}`);
const untilRevoked = (reply: Reply, place = 0): Promise<unknown> =>
  until("the lease to be revoked", END_MS_MAX, async () => {
    return at(await leaseOf(reply, place), "outcome") === "revoked";
  });
/** What anybody may fetch of an authority. */
async function published(backend: string, name: string): Promise<string> {
  const answer = await fetch(`${broker.api.url}/backends/${backend}/authority/${name}`);
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
  return answer.text();
}

describe("a client certificate", () => {
  let server: tls.Server;
  const own = testCertificate();
  /** As a server that fetches the authority's documents again. */
  const follow = async (): Promise<void> => {
    const [ca, crl] = [await published("ca", "ca.pem"), await published("ca", "crl.pem")];
    server.setSecureContext({ ...own, ca, crl });
  };

  beforeAll(async () => {
    await put("/v1/backends/ca", {
      type: "x509",
      config: {
        domains: ["acme.test"],
        crl_seconds: 10,
        connection_seconds_max: 0,
        leeway_seconds: 0,
      },
    });
    await put("/v1/roles/ca/agent", { uris: ["spiffe://acme.test/orders-agent"], ...ROLE });
    server = tls.createServer({ ...own, requestCert: true, rejectUnauthorized: true }, (socket) =>
      socket.end(String(socket.getPeerCertificate().subjectaltname)),
    );
    server.on("tlsClientError", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await follow();
  });
  afterAll(() => server?.close());

  /** What the server says to whom it lets in; null to all others. */
  async function greet(reply: Reply): Promise<string | null> {
    const { port } = server.address() as AddressInfo;
    const pair = { cert: data(reply, "certificate"), key: data(reply, "private_key") };
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...pair });
    let said = "";
    try {
      for await (const part of socket) said += String(part);
    } catch {
      return null;
    }
    return said === "" ? null : said;
  }

  test("ended, is refused by who follows the list, and revoked when older ones have run out", async () => {
    const [mine, other] = [await open("mine", ["ca/agent"]), await open("other", ["ca/agent"])];
    expect(await greet(mine)).toBe("URI:spiffe://acme.test/orders-agent");
    await complete(mine);
    await until("the server to refuse it", END_MS_MAX, async () => {
      await follow();
      return (await greet(mine)) === null;
    });
    expect(await greet(other)).toBe("URI:spiffe://acme.test/orders-agent");
    // The list has it from the moment that the end was asked for; the worker comes to it later.
    await until("its end to be on its way", END_MS_MAX, async () => {
      const soon = await leaseOf(mine);
      expect(at(soon, "outcome")).toBeNull();
      return soon.text.includes('"propagating"');
    });
    await untilRevoked(mine);
    await complete(other);
  });

  test("lost with a broker that was killed when it had made it, is ended by the next", async () => {
    const doomed = await mayfly.startBroker({
      ...BRIEF_ISSUE,
      MAYFLY_UNSAFE_FAIL_POINT: "issue.after=kill",
    });
    const lost = doomed.api
      .exchange({
        subject: mayfly.svid("worker-bee"),
        details: {
          type: "mayfly-task",
          goal: "look at an order",
          ref: "lost",
          deadline: "10m",
          credentials: [{ role: "ca/agent", ttl: "20s" }],
        },
      })
      .then(
        () => "answered",
        () => "lost",
      );
    expect(await lost).toBe("lost");
    await until("its lease to end", END_MS_MAX * 2, async () => {
      const [row] = await mayfly.ledger<{ state: string }[]>`
        SELECT l.state FROM mayfly.leases AS l JOIN mayfly.tasks AS t ON t.id = l.task_id
        WHERE t.ref = 'lost'`;
      return row?.state === "ended";
    });
  });
});

describe.skipIf(sshd === undefined)("an SSH certificate", () => {
  let host: EmbeddedSshd;

  beforeAll(async () => {
    host = await startSshd(sshd ?? "", { hostCommand: HOST_COMMAND });
    await put("/v1/backends/hosts", {
      type: "ssh",
      config: {
        hosts: [{ host: host.host, port: host.port, host_key: host.hostKey }],
        user: host.user,
        private_key: host.ownKey,
        leeway_seconds: 0,
      },
    });
    await put("/v1/roles/hosts/shell", { principals: [host.user], ...ROLE });
    await host.trust(await published("hosts", "ca.pub"));
  });
  afterAll(() => host?.stop());

  let files = 0;
  async function keyOf(reply: Reply, place = 0): Promise<string> {
    const path = join(host.directory, `holder-${++files}`);
    await writeFile(path, data(reply, "private_key", place), { mode: 0o600 });
    await writeFile(`${path}-cert.pub`, `${data(reply, "certificate", place)}\n`);
    return path;
  }
  async function statusOf(keyPath: string, at = host): Promise<number | null> {
    const client = at.client(keyPath, "true");
    client.stdout?.resume();
    const [code] = (await once(client, "exit")) as [number | null];
    return code;
  }

  /** As the timer of a host pipes into its command what it has fetched. */
  async function serve(at: EmbeddedSshd, list: string): Promise<string> {
    const child = spawn("/bin/sh", [HOST_COMMAND, "serve"], {
      env: { ...process.env, MAYFLY_SSH_STATE: at.state },
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin.end(list);
    return text(child.stdout);
  }

  test("logs in until its task is completed, which cuts its session and refuses it on the host", async () => {
    const [mine, other] = [await open("ssh", ["hosts/shell"]), await open("two", ["hosts/shell"])];
    const [key, others] = [await keyOf(mine), await keyOf(other)];
    const session = host.client(key, "cat");
    const heard = once(session.stdout ?? session, "data");
    session.stdin?.write("still here\n");
    expect(String((await heard)[0])).toBe("still here\n");
    const cut = once(session, "exit");
    await complete(mine);
    await untilRevoked(mine);
    await cut;
    expect(await statusOf(key)).toBe(255);
    expect(await statusOf(others)).toBe(0);
    await complete(other);
    await untilRevoked(other);
  });

  test("is refused, and cut, by a host that nobody tells once it has fetched what was revoked", async () => {
    await using untold = await startSshd(sshd ?? "", { hostCommand: HOST_COMMAND });
    await untold.trust(await published("hosts", "ca.pub"));
    const [mine, other] = [await open("far", ["hosts/shell"]), await open("near", ["hosts/shell"])];
    const [key, others] = [await keyOf(mine), await keyOf(other)];
    const session = untold.client(key, "cat");
    const heard = once(session.stdout ?? session, "data");
    session.stdin?.write("still here\n");
    expect(String((await heard)[0])).toBe("still here\n");
    const cut = once(session, "exit");
    await complete(mine);
    await untilRevoked(mine);
    expect(await statusOf(key)).toBe(255);
    expect(await statusOf(key, untold)).toBe(0);
    await until("the host to have fetched it", END_MS_MAX, async () => {
      const list = await published("hosts", "revoked");
      expect(await serve(untold, list)).toMatch(/^revoked [1-9]\d* sessions \d+\n$/);
      return list.includes(data(mine, "key_id"));
    });
    await cut;
    expect(await statusOf(key, untold)).toBe(255);
    expect(await statusOf(others, untold)).toBe(0);
    await complete(other);
    await untilRevoked(other);
  });

  test("of a host that hangs holds up no database in the same task, says so, and ends when it is back", async () => {
    const reply = await open("hangs", [READER, "hosts/shell"]);
    const key = await keyOf(reply, 1);
    host.signal("SIGSTOP");
    try {
      await complete(reply);
      await untilRevoked(reply, 0);
      await until("the other lease to say that it is stuck", END_MS_MAX, async () => {
        return (await leaseOf(reply, 1)).text.includes('"stuck"');
      });
    } finally {
      host.signal("SIGCONT");
    }
    await untilRevoked(reply, 1);
    expect(await statusOf(key)).toBe(255);
  });
});
