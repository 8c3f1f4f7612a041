import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JsonObject } from "@mayfly/spec";
import { NOW, problem, TOKEN } from "./__fixtures__/broker-answers.ts";
import { runAgainst, type Ran } from "./__fixtures__/run-against.ts";
import { TestBroker } from "./__fixtures__/test-broker.ts";
import { noPrompts, type Io, type Prompts } from "./index.ts";

const TYPE = "GET /v1/backend-types/acme";
const GET = "GET /v1/backends/orders";
const PUT = "PUT /v1/backends/orders";
const SECRET = "CANARY-secret";

const CONFIG: JsonObject = {
  type: "object",
  properties: {
    host: {
      type: "string",
      pattern: "^[a-z.]+$",
      patternErrorMessage: "expected a host name",
      description: "Where it listens.",
    },
    password: { type: "string", minLength: 8, writeOnly: true },
    port: { type: "integer", minimum: 1, maximum: 65_535, default: 7 },
    login: {
      oneOf: [
        {
          type: "object",
          properties: { kind: { const: "keys" }, id: { type: "string" } },
          required: ["kind", "id"],
          additionalProperties: false,
        },
        { type: "object", properties: { kind: { const: "chain" } }, required: ["kind"] },
      ],
    },
    nodes: {
      type: "array",
      minItems: 1,
      maxItems: 2,
      items: { type: "object", properties: { host: { type: "string" } }, required: ["host"] },
    },
  },
  required: ["host", "password", "nodes"],
  additionalProperties: false,
};
const AUTHORITY = [{ what: "As its owner.", language: "sql", text: "GRANT all TO mayfly;\n" }];
const SELF_CHECK = { upstream_identity: "acme:1", clock_skew_ms: 3, facts: {}, problems: [] };
const registered: JsonObject = {
  result: "created",
  backend: {
    id: "orders",
    type: "acme",
    revision: 1,
    enabled: true,
    config: {},
    upstream_identity: "acme:1",
    updated_at: NOW,
    last_check: null,
  },
  check: SELF_CHECK,
};

let broker: TestBroker;
let url: string;
let folder: string;
beforeEach(async () => {
  broker = new TestBroker();
  url = await broker.start();
  folder = mkdtempSync(join(tmpdir(), "mayfly-add-"));
  writeFileSync(join(folder, "secret"), `${SECRET}\n`);
  const type = { type: "acme", config: CONFIG, role: {}, params: {}, authority: AUTHORITY };
  broker.answers.set(TYPE, { body: type });
  broker.answers.set(PUT, { status: 201, body: registered });
});
afterEach(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true });
});
const run = (line: string, more: Partial<Io> = {}): Promise<Ran> =>
  runAgainst(url, line, {
    environment: { MAYFLY_URL: url, MAYFLY_ADMIN_TOKEN: TOKEN, PASSWORD: SECRET },
    ...more,
  });
const calls = (): readonly string[] => broker.requests.map(({ call }) => call);
const GIVEN = "--set host=db.test --set nodes[0].host=a --from-env password=PASSWORD";

describe("backend add, with all answers ahead", () => {
  test("shows what it registers and the authority that it needs, then registers it anew", async () => {
    const { code, out, err } = await run(`backend add acme orders ${GIVEN} --yes`);
    expect([code, calls()]).toEqual([0, [TYPE, GET, PUT]]);
    expect(broker.requests[2]?.body).toEqual({
      type: "acme",
      config: { host: "db.test", password: SECRET, nodes: [{ host: "a" }] },
    });
    expect(broker.preconditions[2]).toBe("none *");
    expect(err).toMatch(/password +\[secret\] from env:PASSWORD/);
    expect(err).toContain("As its owner.\n  GRANT all TO mayfly;\n");
    expect(err).toContain("created  backend orders");
    expect(out).toContain("acme:1");
    expect(out + err).not.toContain(SECRET);
  });

  test("takes a secret from a file, lists and objects as JSON, and what is optional", async () => {
    const line =
      `backend add acme orders --set-file password=${folder}/secret --set host=db.test ` +
      `--set nodes=[{"host":"a"},{"host":"b"}] --set login.kind=chain --set port=8 --yes --json`;
    const { code, out } = await run(line);
    expect([code, JSON.parse(out)]).toEqual([0, registered]);
    expect(broker.requests[2]?.body).toMatchObject({
      config: {
        host: "db.test",
        password: SECRET,
        port: 8,
        login: { kind: "chain" },
        nodes: [{ host: "a" }, { host: "b" }],
      },
    });
  });

  test.each([
    ["--set host=DB", "expected a host name"],
    ["--set port=70000", "Too big"],
    ["--set port=x", "expected a number"],
    ["--set-file port=secret", "Only a text"],
    ["--set nodes=[]", "Expected 1 to 2"],
    ["--set nodes[1].host=a", "begin at 0"],
    ["--set hots=a", "no such member"],
    ["--set login.kind=other", "none of the forms"],
    ["--set host", "no answer"],
    ["--set host=a --set host=b", "same place"],
    [`--set password=${SECRET}`, "not given as an argument"],
    ["--from-env password=NONE", "NONE is not set"],
  ])("refuses %s at once, before anything is registered", async (flags, why) => {
    const base = flags.includes("password") ? GIVEN.replace(/--from-env \S+/, "") : GIVEN;
    const without = ["host", "nodes"].reduce(
      (line, name) =>
        flags.includes(` ${name}`) ? line.replace(new RegExp(`--set ${name}\\S+`), "") : line,
      base,
    );
    const line = `backend add acme orders ${without} ${flags} --yes`.replaceAll(/ +/g, " ");
    const { code, out, err } = await run(line);
    expect(code, err).toBeGreaterThan(1);
    expect(err).toContain(why);
    expect(calls()).not.toContain(PUT);
    expect(out + err).not.toContain(SECRET);
  });

  test("without a terminal needs a yes, and names each answer that is missing, and how to give it", async () => {
    const noYes = await run(`backend add acme orders ${GIVEN}`);
    expect([noYes.code, calls()]).toEqual([2, [TYPE, GET]]);
    const { code, err } = await run("backend add acme --yes");
    expect(code).toBe(2);
    for (const text of [
      "4 answers are missing",
      "name  What the backend is called",
      "host  Where it listens.  --set host=…",
      "password  --from-env password=VAR, or --set-file password=FILE",
      "nodes[0].host  --set nodes[0].host=…",
    ]) {
      expect(err).toContain(text);
    }
    const form = await run(`backend add acme orders ${GIVEN} --set login={} --yes`);
    expect(form.err).toContain("1 answer is missing");
    expect(form.err).toContain("login.id  --set login.id=…");
    const config = { ...CONFIG, required: ["login"] };
    broker.answers.set(TYPE, {
      body: { type: "acme", config, role: {}, params: {}, authority: [] },
    });
    const forms = await run("backend add acme orders --yes");
    expect(forms.err).toContain("login  --set login.kind=keys, or --set login.kind=chain");
  });

  test("never changes a backend that is there, nor asks about a type that is not", async () => {
    broker.answers.set(GET, { body: registered["backend"] ?? null });
    const there = await run(`backend add acme orders ${GIVEN} --yes`);
    expect([there.code, there.err]).toEqual([2, expect.stringContaining("mayfly backend put")]);
    const unknown = await run("backend add other orders --yes");
    expect(unknown.code).toBe(4);
    expect(calls()).not.toContain(PUT);
  });
});

describe("backend add, into a file", () => {
  test("prints what apply reads, with secrets by where they are, and registers nothing", async () => {
    const { code, out } = await run(`backend add acme orders ${GIVEN} --print`, {
      environment: { MAYFLY_URL: url, MAYFLY_ADMIN_TOKEN: TOKEN },
    });
    expect(code).toBe(0);
    expect(out).toBe(
      `# yaml-language-server: $schema=${url}/schemas/backend.acme.json
backend: orders
type: acme
config:
  host: db.test
  password:
    from: env:PASSWORD
  nodes:
    - host: a
`,
    );
    expect(calls()).toEqual([TYPE]);
  });

  test("writes a new file, and none over another", async () => {
    const path = join(folder, "orders.yaml");
    expect((await run(`backend add acme orders ${GIVEN} --out ${path}`)).code).toBe(0);
    const text = readFileSync(path, "utf8");
    expect(text).toContain("from: env:PASSWORD");
    const again = await run(`backend add acme orders ${GIVEN} --set port=9 --out ${path}`);
    expect([again.code, readFileSync(path, "utf8")]).toEqual([3, text]);
  });
});

describe("backend add, on a terminal", () => {
  /** Chooses by name; everything else is a defect. */
  const choosing = (...names: readonly string[]): Prompts => {
    const left = [...names];
    return {
      ...noPrompts,
      choose: async ({ choices }) => {
        const wanted = left.shift();
        return choices.findIndex(({ name }) => name === wanted);
      },
      chooseSeveral: async () => [],
      text: async () => "other.test",
    };
  };
  const person = (prompts: Prompts): Partial<Io> => ({
    interactive: true,
    ask: async () => "y",
    prompts: async () => prompts,
  });
  const refusal = problem(422, "check_failed", {
    where: "config.host",
    problems: [{ code: "right_missing", what: "It lacks a right.", fix: "GRANT it;" }],
  });

  test("says what is wrong and how to mend it, and tries again as often as it is told to", async () => {
    const answers = [refusal, refusal, { status: 201, body: registered }];
    broker.answers.set(PUT, () => answers.shift() ?? refusal);
    const { code, err } = await run(
      `backend add acme orders ${GIVEN}`,
      person(choosing("try again", "change host")),
    );
    expect([code, calls()]).toEqual([0, [TYPE, GET, PUT, PUT, PUT]]);
    expect(err).toContain("GRANT it;");
    const hosts = broker.requests.slice(2).map(({ body }) => JSON.stringify(body));
    expect(hosts.map((text) => text.includes("other.test"))).toEqual([false, false, true]);
  });

  test("gives up when it is told to, with the refusal that it got", async () => {
    broker.answers.set(PUT, refusal);
    const { code, err } = await run(
      `backend add acme orders ${GIVEN}`,
      person(choosing("give up")),
    );
    expect([code, calls()]).toEqual([4, [TYPE, GET, PUT]]);
    expect(err).toContain("It lacks a right.");
  });

  test("registers nothing without a yes, and asks nothing with --no-input", async () => {
    const no = { ...person(choosing()), ask: async (): Promise<string> => "n" };
    expect((await run(`backend add acme orders ${GIVEN}`, no)).code).toBe(2);
    const asked = await run("backend add acme orders --no-input", person(noPrompts));
    expect(asked.err).toContain("3 answers are missing");
    expect(calls()).not.toContain(PUT);
  });
});
