import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runAgainst, type Ran } from "./__fixtures__/run-against.ts";
import { TestBroker } from "./__fixtures__/test-broker.ts";
import { TOKEN } from "./__fixtures__/broker-answers.ts";

let broker: TestBroker;
let url: string;
let folder: string;
beforeEach(async () => {
  broker = new TestBroker();
  [url, folder] = [await broker.start(), await mkdtemp(join(tmpdir(), "mayfly-apply-"))];
  broker.answers.set("GET /schemas/backend.postgres.json", {
    body: { properties: { config: { properties: { password: { writeOnly: true } } } } },
  });
});
afterEach(async () => {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}
const apply = (): Promise<Ran> =>
  runAgainst(url, `apply -f ${folder}`, {
    environment: { MAYFLY_URL: url, MAYFLY_ADMIN_TOKEN: TOKEN, SET: "x" },
  });

const BACKEND = `backend: a-db
type: postgres
config: { host: h, password: { from: env:SET } }
`;
const ROLE = `role: a-db/reader
data_class: internal
reversibility: read_only
environment: dev
`;

/** Each is refused before the broker is asked to change anything. */
async function refusal(files: Readonly<Record<string, string>>): Promise<string> {
  await write(files);
  const { code, err } = await apply();
  expect(code, err).toBe(3);
  expect(broker.requests.filter(({ call }) => !call.startsWith("GET "))).toEqual([]);
  return err.replaceAll(folder, "DIR");
}

describe("mayfly apply refuses", () => {
  test("the same object in two files, naming both, and twice in one file", async () => {
    const two = await refusal({ "roles/a.yaml": ROLE, "roles/sub/b.yml": ROLE });
    expect(two).toMatch(/^error {2}role a-db\/reader is described twice\.$/m);
    expect(two).toMatch(/^where {2}DIR\/roles\/sub\/b\.yml:1:1$/m);
    expect(two).toContain("DIR/roles/a.yaml:1:1");
    await rm(join(folder, "roles/sub"), { recursive: true });
    expect(await refusal({ "roles/a.yaml": `${ROLE}---\n${ROLE}` })).toContain("a.yaml:6:1");
  });

  test("a key that does not exist, by line and column, at the top of a file", async () => {
    const text = await refusal({ "backends/a.yaml": `${BACKEND}enabeld: true\n` });
    expect(text).toMatch(/^error {2}enabeld: unknown key; leave it out$/m);
    expect(text).toMatch(/^where {2}DIR\/backends\/a\.yaml:4:1$/m);
    const short = await refusal({ "backends/a.yaml": "backend: a-db\nconfig: {}\n" });
    expect(short).toContain("type: is missing");
  });

  test("an object in another kind's folder, a key that stands twice, and what is no YAML", async () => {
    expect(await refusal({ "backends/a.yaml": ROLE })).toContain("backends/a.yaml");
    expect(await refusal({ "backends/a.yaml": `${BACKEND}type: x\n` })).toContain("a.yaml:4:1");
    expect(await refusal({ "backends/a.yaml": "a: [" })).toContain("This is no YAML");
  });

  test("a literal secret, whatever it looks like", async () => {
    for (const secret of ["hunter2-x", "'{ from: env:SET }'", "{ from: 1 }", "[hunter2-x]"]) {
      const text = await refusal({
        "backends/a.yaml": BACKEND.replace("{ from: env:SET }", secret),
      });
      expect(text).toMatch(/a secret stands in the file as it is/);
      expect(text).toMatch(/DIR\/backends\/a\.yaml:3:20/);
      expect(text).not.toContain("hunter2");
    }
  });

  test("a reference to what is not there, and standard input for two secrets", async () => {
    const missing = BACKEND.replace("env:SET", "env:NOT_SET");
    expect(await refusal({ "backends/a.yaml": missing })).toContain("NOT_SET is not set");
    const twice = BACKEND.replace("host: h", "host: { from: stdin }").replace("env:SET", "stdin");
    expect(await refusal({ "backends/a.yaml": twice })).toMatch(/named for more than one secret/);
  });

  test("a secret in the place of its reference or without quotes, and says where and not what", async () => {
    for (const [wrong, says, column] of [
      ["*hunter2", "an alias (*) of what is not there", 30],
      ["{ from: 'env:hunter2!' }", "is not set, and its name is no usual one", 20],
      ["{ from: env:hunter2 }", "is not set, and its name is no usual one", 20],
      ["{ from: hunter2 }", "a place that is not known", 20],
      ["{ from: vault:hunter2 }", "a place that is not known", 20],
      ["{ from: file:hunter2 }", "A secret's file: The file cannot be read: ENOENT", 20],
      ["{ from: file:hunter2, or: x }", "a secret stands in the file as it is", 20],
      ["hun,hunter2", "a key without a value", 34],
    ] as const) {
      const text = await refusal({
        "backends/a.yaml": BACKEND.replace("{ from: env:SET }", wrong),
      });
      expect(text).toContain(says);
      expect(text).toMatch(new RegExp(`DIR/backends/a\\.yaml:3:${column}$`, "m"));
      expect(text).not.toContain("hunter2");
    }
  });

  test("a folder that is misnamed, an ending that is not read, and a folder with none of its own", async () => {
    expect(await refusal({ "role/a.yaml": ROLE })).toContain("it is called roles");
    await rm(join(folder, "role"), { recursive: true });
    expect(await refusal({ "roles/a.yaml.bak": ROLE })).toContain("would not be read");
    await rm(join(folder, "roles"), { recursive: true });
    expect(await refusal({ "other/a.yaml": ROLE })).toContain("none of backends, roles");
  });

  test("a link out of the folder and one that leads nowhere, and follows one within", async () => {
    await write({ "roles/a.yaml": ROLE, "data/b.yaml": ROLE });
    await symlink("/etc/hostname", join(folder, "roles/out.yaml"));
    expect(await refusal({})).toContain("leads out of the folder");
    await rm(join(folder, "roles/out.yaml"));
    await symlink(join(folder, "gone"), join(folder, "roles/gone.yaml"));
    expect(await refusal({})).toContain("leads nowhere");
    await rm(join(folder, "roles/gone.yaml"));
    await symlink("../data/b.yaml", join(folder, "roles/b.yaml"));
    expect(await refusal({})).toContain("described twice");
  });

  test("a loop of folders, more than 1 MiB, and aliases that stand for more than memory holds", async () => {
    await mkdir(join(folder, "roles/sub"), { recursive: true });
    await symlink("..", join(folder, "roles/sub/up"));
    expect(await refusal({})).toContain("8 levels");
    await rm(join(folder, "roles/sub"), { recursive: true });
    expect(await refusal({ "roles/a.yaml": `# ${"x".repeat(1_100_000)}\n${ROLE}` })).toContain(
      "1 MiB",
    );
    const laughs = ["a: &a [x,x,x,x,x,x,x,x,x]"];
    for (let at = 0; at < 9; at++) {
      const [from, to] = ["abcdefghij"[at], "abcdefghij"[at + 1]];
      laughs.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(",")}]`);
    }
    expect(await refusal({ "roles/a.yaml": laughs.join("\n") })).toContain("without aliases");
  });

  test("tests without a policy that they could test, and a folder that is not there", async () => {
    broker.answers.set("GET /v1/policies", {
      body: { digest: null, sources: [], activated_at: null },
    });
    for (const path of ["backends", "roles", "trust", "resource-servers"]) {
      broker.answers.set(`GET /v1/${path}`, { body: { items: [] } });
    }
    const tests = "- { name: n, workload: w, issue: a-db/r, expect: deny }\n";
    expect(await refusal({ "policies/a.test.yaml": tests })).toContain("no policy that they could");
    expect((await runAgainst(url, "apply -f /nowhere/at/all")).code).toBe(2);
    expect((await runAgainst(url, "apply")).code).toBe(2);
  });
});

describe("mayfly apply --prune", () => {
  test("deletes only what is still as it was when somebody said yes to it", async () => {
    await write({ "roles/kept.yaml": ROLE, "trust/.keep": "", "resource-servers/.keep": "" });
    const registered = {
      backends: [],
      roles: [{ role: "a-db/old", backend: "a-db", revision: 4, enabled: false }],
      trust: [{ name: "old", revision: 7, enabled: true, config: {} }],
      "resource-servers": [{ name: "gone-api", revision: 2, enabled: true }],
    };
    for (const [path, items] of Object.entries(registered)) {
      broker.answers.set(`GET /v1/${path}`, { body: { items } });
    }
    broker.answers.set("GET /v1/policies", { body: { digest: null, sources: [] } });
    const role = { kind: "role", name: "a-db/reader", result: "unchanged", changes: [], tag: "1" };
    broker.answers.set("POST /v1/plan", { body: { objects: [{ ...role, error: null }] } });
    broker.answers.set("DELETE /v1/roles/a-db/old", { status: 204, body: null });
    broker.answers.set("DELETE /v1/trust/old", { status: 204, body: null });
    broker.answers.set("DELETE /v1/resource-servers/gone-api", { status: 204, body: null });
    const { code, err } = await runAgainst(url, `apply -f ${folder} --prune --yes`, {
      environment: { MAYFLY_URL: url, MAYFLY_ADMIN_TOKEN: TOKEN },
    });
    expect(code, err).toBe(0);
    const deleted = broker.requests.flatMap(({ call }, n) =>
      call.startsWith("DELETE ") ? [[call, broker.preconditions[n]]] : [],
    );
    expect(deleted).toEqual([
      ["DELETE /v1/resource-servers/gone-api", '"2"'],
      ["DELETE /v1/roles/a-db/old", '"4-disabled"'],
      ["DELETE /v1/trust/old", '"7"'],
    ]);
    const code412 = "precondition_failed";
    const problem = { title: "t", detail: "d", code: code412, todo: "Send the new ETag." };
    broker.answers.set("DELETE /v1/roles/a-db/old", { status: 412, body: problem });
    const rival = await runAgainst(url, `apply -f ${folder} --prune --yes`, {
      environment: { MAYFLY_URL: url, MAYFLY_ADMIN_TOKEN: TOKEN },
    });
    expect(rival.code).toBe(4);
    expect(rival.err).toContain("Somebody else changed it meanwhile. Run it with --dry-run");
    expect(rival.err).not.toContain("ETag");
  });
});

test("policies under which who applies them could activate no others are told before a yes", async () => {
  const text = '@id("a") permit (principal, action == Action::"issue", resource);\n';
  await write({ "policies/a.cedar": text });
  for (const path of ["backends", "roles", "trust", "resource-servers"]) {
    broker.answers.set(`GET /v1/${path}`, { body: { items: [] } });
  }
  const none = { digest: null, sources: [], activated_at: null };
  broker.answers.set("GET /v1/policies", { body: none });
  broker.answers.set("PUT /v1/policies", { body: { result: "created", digest: "d" } });
  const policies = { kind: "policies", name: "policies", result: "created", changes: [] };
  const planned = { ...policies, error: null, locks_out_caller: true };
  broker.answers.set("POST /v1/plan", { body: { objects: [planned] } });
  const told = "WARNING: under these policies you may activate no others.";
  const role = "names what you see neither in a file nor registered: role orders-db/raeder";
  const options = { environment: { MAYFLY_URL: url, MAYFLY_ADMIN_TOKEN: TOKEN } };
  const dry = await runAgainst(url, `apply -f ${folder} --dry-run`, options);
  expect([dry.code, dry.out], dry.err).toEqual([0, expect.stringContaining(told)]);
  expect(dry.out).not.toContain("names what");
  const typo = '@id("b") forbid (principal, action, resource == Role::"orders-db/raeder");\n';
  await write({ "policies/b.cedar": typo });
  expect((await runAgainst(url, `apply -f ${folder} --dry-run`, options)).out).toContain(role);
  for (const line of [`apply -f ${folder}`, `policy activate ${folder}/policies`]) {
    const refused = await runAgainst(url, line, options);
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining(told)]);
    expect(broker.requests.some(({ call }) => call.startsWith("PUT "))).toBe(false);
  }
  const meant = await runAgainst(url, `apply -f ${folder} --yes`, options);
  expect(meant.code, meant.err).toBe(0);
  expect(broker.requests.at(-1)?.call).toBe("PUT /v1/policies");
});

test("a tree of folders is not looked at without end", async () => {
  for (let at = 0; at < 70; at++) {
    for (let below = 0; below < 29; below++) {
      await mkdir(join(folder, `roles/${at}/${below}`), { recursive: true });
    }
  }
  expect(await refusal({})).toContain("more than 2000 files and folders");
});

test("policies that say the same in other words or other files are no change, today and tomorrow", async () => {
  const text = '@id("a") permit (principal, action == Action::"issue", resource);\n';
  await write({ "policies/renamed.cedar": `// Why this is so.\n${text}` });
  for (const path of ["backends", "roles", "trust", "resource-servers"]) {
    broker.answers.set(`GET /v1/${path}`, { body: { items: [] } });
  }
  const sources = [{ name: "a.cedar", text }];
  broker.answers.set("GET /v1/policies", { body: { digest: "d", sources } });
  const policies = { kind: "policies", name: "policies", result: "unchanged", changes: [] };
  broker.answers.set("POST /v1/plan", { body: { objects: [{ ...policies, error: null }] } });
  const options = { environment: { MAYFLY_URL: url, MAYFLY_ADMIN_TOKEN: TOKEN } };
  const dry = `apply -f ${folder} --prune --dry-run --exit-code`;
  const seen = await runAgainst(url, dry, options);
  expect([seen.code, seen.out], seen.err).toEqual([0, expect.stringContaining("0 changes")]);
  expect((await runAgainst(url, `apply -f ${folder} --prune`, options)).code).toBe(0);
  expect(broker.requests.filter(({ call }) => call.startsWith("PUT "))).toEqual([]);
});
