import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { problem, TOKEN } from "./__fixtures__/broker-answers.ts";
import { runAgainst, type Ran } from "./__fixtures__/run-against.ts";
import { TestBroker } from "./__fixtures__/test-broker.ts";
import type { Io } from "./index.ts";

const [NOW_ACTIVE, BEFORE] = ["a".repeat(64), `b1${"c".repeat(62)}`];
const activation = (digest: string, decision: string | null) => ({
  digest,
  before: null,
  activated_at: "2026-11-20T21:00:00.000Z",
  actor: { kind: "administrator", name: "https://login.test#paula" },
  decision,
});
const CHECK = {
  upstream_identity: "system-7",
  clock_skew_ms: 2,
  facts: { major: 18 },
  problems: [],
};

let broker: TestBroker;
let url: string;
let folder: string;
beforeEach(async () => {
  broker = new TestBroker();
  url = await broker.start();
  folder = mkdtempSync(join(tmpdir(), "mayfly-cli-"));
});
afterEach(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true });
});
const run = (line: string, more: Partial<Io> = {}): Promise<Ran> => runAgainst(url, line, more);
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

describe("switches and preconditions", () => {
  test.each([
    ["role disable orders-db/reader", "POST /v1/roles/orders-db/reader/disable"],
    ["trust enable acme.test", "POST /v1/trust/acme.test/enable"],
    ["resource-server disable reports-api", "POST /v1/resource-servers/reports-api/disable"],
    ["backend disable orders-db", "POST /v1/backends/orders-db/disable"],
  ])("%s is one call, made of the revision that is given", async (line, call) => {
    broker.answers.set(call, { body: {} });
    expect((await run(line)).code).toBe(0);
    expect((await run(`${line} --if-match 3`)).code).toBe(0);
    expect((await run(`${line} --if-match "4-disabled"`)).code).toBe(0);
    expect(broker.requests.map((request) => request.call)).toEqual([call, call, call]);
    expect(broker.preconditions).toEqual(["", '"3"', '"4-disabled"']);
  });

  test("what somebody else changed is told as the broker tells it, and not tried again", async () => {
    const call = "DELETE /v1/roles/orders-db/reader";
    broker.answers.set(call, problem(412, "precondition_failed"));
    const { code, err } = await run("role delete orders-db/reader --yes --if-match 3");
    expect(code).not.toBe(0);
    expect(err).toContain("precondition_failed");
    expect(broker.preconditions).toEqual(['"3"']);
  });

  test("put creates only, or changes one object of a revision", async () => {
    const one = file("one.yaml", "role: a/b\ngroups: [x]\n");
    const two = file("two.yaml", "role: a/b\n---\nrole: a/c\n");
    broker.answers.set("PUT /v1/roles/a/b", {
      body: problem(412, "precondition_failed").body,
      status: 412,
    });
    expect((await run(`role put --create ${one}`)).code).not.toBe(0);
    expect(broker.preconditions).toEqual(["none *"]);
    for (const line of [
      `role put --if-match 1 ${two}`,
      `role put --if-match 1 --create ${one}`,
      `role put --if-match a,b"c ${one}`,
    ]) {
      expect((await run(line)).code).not.toBe(0);
    }
    expect(broker.requests).toHaveLength(1);
  });
});

describe("looking at what is registered", () => {
  test("role test shows what would be asked, and fails on a problem", async () => {
    const call = "POST /v1/roles/orders-db/reader/test";
    const sample = { kind: "planned", grant: { member_of: "app_reader" }, ttl_seconds: 1800 };
    broker.answers.set(call, { body: { check: CHECK, sample } });
    const sound = await run("role test orders-db/reader");
    expect(sound.code).toBe(0);
    expect(sound.out).toContain("member_of");
    expect(sound.out).toContain("no problem");
    const problems = [{ code: "no_right", what: "It lacks a right.", fix: "Grant it." }];
    broker.answers.set(call, { body: { check: { ...CHECK, problems }, sample } });
    const found = await run("role test orders-db/reader");
    expect(found.code).not.toBe(0);
    expect(found.out).toContain("Grant it.");
  });

  test("backend rotate says that it is done, and what the check found", async () => {
    const call = "POST /v1/backends/orders-db/rotate";
    const backend = {
      id: "orders-db",
      type: "postgres",
      revision: 3,
      enabled: true,
      config: { password: "[secret]" },
      upstream_identity: "1",
      updated_at: "2026-01-01T00:00:00.000Z",
    };
    broker.answers.set(call, { body: { result: "updated", backend, check: CHECK } });
    const { code, out, err } = await run("backend rotate orders-db");
    expect([code, `${out}${err}`]).toEqual([0, expect.stringContaining("rotated")]);
  });

  test("trust test says where the keys came from, and what is wrong", async () => {
    const look = { source: "https://idp.test", fetched: true, max_age_seconds: 300, problem: null };
    const call = "POST /v1/trust/login/test";
    broker.answers.set(call, { body: { ...look, keys: [{ kid: "k1", algorithms: ["ES256"] }] } });
    const sound = await run("trust test login");
    expect([sound.code, sound.out]).toEqual([0, expect.stringContaining("k1 (ES256)")]);
    broker.answers.set(call, { body: { ...look, keys: [], problem: "There is no key in it." } });
    const broken = await run("trust test login");
    expect(broken.code).not.toBe(0);
    expect(broken.out).toContain("There is no key in it.");
  });

  test("backend show tells of the last self-check", async () => {
    const backend = {
      id: "orders-db",
      type: "postgres",
      revision: 2,
      enabled: true,
      config: { password: "[secret]" },
      upstream_identity: "system-7",
      updated_at: "2026-11-20T21:00:00.000Z",
    };
    const last = { checked_at: "2026-11-20T21:50:00.000Z", revision: 1, check: null };
    broker.answers.set("GET /v1/backends/orders-db", {
      body: { ...backend, last_check: { ...last, result: "failed", error: "no answer" } },
    });
    const { out } = await run("backend show orders-db");
    expect(out).toMatch(/self-check +no answer \(.* ago, of revision 1\)/);
  });
});

describe("policies of before", () => {
  const planned = {
    kind: "policies",
    name: "policies",
    result: "updated",
    changes: [],
    error: null,
    locks_out_caller: true,
  };
  const answerAll = (): void => {
    broker.answers.set("GET /v1/policies/history", {
      body: { items: [activation(NOW_ACTIVE, "dec_1"), activation(BEFORE, null)] },
    });
    broker.answers.set("GET /v1/policies", {
      body: { digest: NOW_ACTIVE, sources: [], activated_at: "2026-11-20T21:00:00.000Z" },
    });
    broker.answers.set("POST /v1/policies/rollback", {
      body: { result: "updated", digest: BEFORE },
    });
    broker.answers.set(`GET /v1/policies/${BEFORE}`, { body: { digest: BEFORE, sources: [] } });
    broker.answers.set("POST /v1/plan", { body: { objects: [planned] } });
  };

  test("history says which, since when, and who", async () => {
    answerAll();
    const { code, out } = await run("policy history");
    expect(code).toBe(0);
    expect(out).toMatch(/aaaaaaaa .*https:\/\/login\.test#paula +dec_1/);
  });

  test("rollback takes the eight digits that lists show, and overrules nobody", async () => {
    answerAll();
    expect((await run("policy rollback b1cccccc --yes")).code).toBe(0);
    const last = broker.requests.at(-1);
    expect(last).toMatchObject({ call: "POST /v1/policies/rollback", body: { digest: BEFORE } });
    expect(broker.preconditions.at(-1)).toBe(`"${NOW_ACTIVE}"`);
    expect((await run("policy rollback ffffffff --yes")).code).not.toBe(0);
    const unsure = await run("policy rollback b1cccccc");
    expect([unsure.code, unsure.err]).toEqual([2, expect.stringContaining("WARNING: under these")]);
  });

  test("show prints the text of earlier policies, without what steers a terminal", async () => {
    answerAll();
    const text = '@id("a")\npermit (principal, action, resource);\u001b[2J\n';
    broker.answers.set(`GET /v1/policies/${BEFORE}`, {
      body: { digest: BEFORE, sources: [{ name: "a.cedar", text }] },
    });
    const { out } = await run("policy show b1cccccc");
    expect(out).toContain('// a.cedar\n@id("a")\npermit (principal, action, resource);');
    expect(out).not.toContain("\u001b[2J");
  });
});

test("the token's file is read anew for each call: something else may renew what is in it", async () => {
  const path = file("token", `${TOKEN}\n`);
  broker.answers.set("GET /v1/policies/history", () => {
    writeFileSync(path, "eyJ.renewed.token\n");
    return { body: { items: [activation(NOW_ACTIVE, null)] } };
  });
  broker.answers.set(`GET /v1/policies/${NOW_ACTIVE}`, {
    body: { digest: NOW_ACTIVE, sources: [{ name: "a.cedar", text: "" }] },
  });
  expect((await run(`policy show aaaaaaaa --admin-token-file ${path}`)).code).toBe(0);
  expect(broker.requests.map(({ authorization }) => authorization)).toEqual([
    `Bearer ${TOKEN}`,
    "Bearer eyJ.renewed.token",
  ]);
});
