import { describe, expect, it } from "vitest";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { at, exchange, listAt, opened, textAt } from "../testing/token-form.ts";

async function withCredential() {
  const bench = await createBrokerBench();
  const reply = await exchange(bench, bench.identities.svid("bot"));
  const password = textAt(reply, "credentials", 0, "data", "password");
  return { bench, task: opened(reply), password };
}
const trace = (bench: BrokerBench, text: string) => bench.admin("POST", "/v1/trace", { text });

describe("a trace", () => {
  it.each([
    ["bare", (secret: string) => secret],
    ["with a line end", (secret: string) => `${secret}\n`],
    ["in a URL", (secret: string) => `postgresql://mf_x:${secret}@db.internal:5432/orders?a=b`],
    [
      "percent-encoded in a URL",
      (secret: string) => `postgres://u:${encodeURIComponent(secret)}@h/d`,
    ],
    ["in an assignment", (secret: string) => `export PGPASSWORD='${secret}'`],
    ["in a line of a log", (secret: string) => `12:00 ERROR {"password":"${secret}","n":1}`],
  ])("finds a password %s", async (_where, put) => {
    const { bench, task, password } = await withCredential();
    const answer = await trace(bench, put(password));
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      leases: [
        {
          via: "fingerprint",
          holder: { lease: { id: task.leases[0] }, task: { id: task.id } },
        },
      ],
      todo: [`mayfly lease end ${task.leases[0]}`, `mayfly task kill ${task.id}`],
    });
    expect(answer.text).not.toContain(password);
  });

  it("finds a lease by the name that was made for it, or by its id", async () => {
    const { bench, task } = await withCredential();
    const [lease = ""] = task.leases;
    for (const text of [lease, `role "mf_k3x7abcd_${lease.slice("lease_".length)}" logged in`]) {
      const answer = await trace(bench, text);
      expect(at(answer, "leases", 0, "via")).toBe("lease_name");
      expect(at(answer, "leases", 0, "holder", "lease", "id")).toBe(lease);
    }
  });

  it("finds a task by its token, by the token's jti, or by its id", async () => {
    const { bench, task } = await withCredential();
    const payload = Buffer.from(task.token.split(".")[1] ?? "", "base64url").toString("utf8");
    const { jti } = JSON.parse(payload) as { readonly jti: string };
    for (const text of [`Authorization: Bearer ${task.token}`, `jti=${jti}`, task.id]) {
      const answer = await trace(bench, text);
      expect(at(answer, "tasks", 0, "id")).toBe(task.id);
      expect(at(answer, "todo", 0)).toBe(`mayfly task kill ${task.id}`);
    }
  });

  it("says what was tried when nothing is found", async () => {
    const { bench } = await withCredential();
    const answer = await trace(bench, "hunter2hunter2 and other words");
    expect(answer.body).toMatchObject({ leases: [], tasks: [], todo: [] });
    expect(at(answer, "tried", "secrets")).toBeGreaterThan(0);
    expect(at(answer, "tried", "truncated")).toBe(false);
  });

  it("looks through so much and no more, and says so", async () => {
    const { bench, password } = await withCredential();
    const words = Array.from({ length: 5000 }, (_, n) => `word-number-${n}`).join(" ");
    const answer = await trace(bench, words.slice(0, 65_000));
    expect(at(answer, "tried", "truncated")).toBe(true);
    expect(at(answer, "tried", "secrets")).toBe(500);
    const tooLong = await trace(bench, "x".repeat(65_537));
    expect(tooLong.status).toBe(422);
    expect(tooLong.text).not.toContain("xxx");
    expect(
      listAt(await trace(bench, `${password} ${words}`.slice(0, 65_000)), "leases"),
    ).toHaveLength(1);
  });

  it("is an administrator's, and paced", async () => {
    const { bench, task, password } = await withCredential();
    const asAgent = await bench.call("POST", "/v1/trace", {
      token: task.token,
      body: { text: password },
    });
    expect(asAgent.status).toBe(403);
    const statuses = new Set<number>();
    for (let turn = 0; turn < 70; turn++) statuses.add((await trace(bench, "12345678")).status);
    expect([...statuses]).toEqual([200, 503]);
    await bench.clock.advance(2000);
    expect((await trace(bench, "12345678")).status).toBe(200);
  });

  it("leaves the string in no log and in no event", async () => {
    const { bench, password } = await withCredential();
    const canary = `canary-${password}`;
    await trace(bench, `found ${canary} somewhere`);
    await trace(bench, canary.repeat(3000));
    const written = JSON.stringify([bench.log.entries, bench.ledger.inspect.events()]);
    expect(written).not.toContain("canary-");
    expect(written).not.toContain(password);
  });
});
