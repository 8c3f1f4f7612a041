import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answerConfig, readConfigField } from "@mayfly/cli";
import { BACKEND_TYPES } from "@mayfly/composition";
import type { JsonObject, JsonSchema } from "@mayfly/spec";
import { z } from "zod";
import { availableUpstreams, registrar } from "../backends/upstreams.ts";
import type { Registrar } from "../backends/upstreams/upstream.ts";
import { startInstallation, type Installation, type RunningBroker } from "../harness/index.ts";
import { backendConfig } from "../harness/registration.ts";
import { MayflyTerminal } from "./mayfly-terminal.ts";
import { personWhoWants, type Given } from "./person-who-wants.ts";

/** Real terminals (by `script`), a real broker, and of each type the real server. */
const hasTerminals = process.platform === "linux";
const upstreams = (await availableUpstreams()).filter(({ type }) => type !== "postgres");
const ESCAPE = "\u001b";
const roleFile = z.object({
  type: z.string(),
  properties: z.record(z.string(), z.json()),
  required: z.array(z.string()),
});

let mayfly: Installation;
let broker: RunningBroker;
let folder: string;
const ends = new AsyncDisposableStack();
beforeAll(async () => {
  if (!hasTerminals) return;
  mayfly = ends.use(await startInstallation());
  broker = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(broker);
  folder = await mkdtemp(join(tmpdir(), "mayfly-add-"));
  ends.defer(() => rm(folder, { recursive: true, force: true }));
});
afterAll(() => ends.disposeAsync());

const open = (words: readonly string[], columns?: number): MayflyTerminal =>
  new MayflyTerminal(
    words,
    { MAYFLY_URL: broker.api.url, MAYFLY_ADMIN_TOKEN: mayfly.adminToken },
    columns,
  );
const namesThere = async (): Promise<readonly string[]> => {
  const { items } = (await broker.api.admin("GET", "/v1/backends")).body as {
    readonly items: readonly { readonly id: string }[];
  };
  return items.map(({ id }) => id);
};

/** What somebody answers who wants this; texts of several lines are in files. */
async function answersTo(schema: JsonSchema, wanted: JsonObject): Promise<readonly Given[]> {
  const files: Promise<void>[] = [];
  const { prompts, given } = personWhoWants(wanted, (path, text) => {
    const at = join(folder, `${randomUUID()}-${path.replaceAll(/\W/g, "-")}`);
    // One line break at its end is none of the text.
    files.push(writeFile(at, `${text}\n`, { mode: 0o600 }));
    return at;
  });
  await answerConfig(
    readConfigField(schema),
    { kind: "below", list: false, members: new Map() },
    {
      prompts,
      forFile: false,
      readFrom: async (from) => {
        await Promise.all(files);
        return (await readFile(from.slice("file:".length), "utf8")).replace(/\n$/, "");
      },
      missing: [],
    },
  );
  return given;
}

const answersFor = (type: string, config: JsonObject): Promise<readonly Given[]> =>
  answersTo(BACKEND_TYPES.find((each) => each.type === type)?.configSchema ?? {}, config);

/** Adds a backend as a person does, and ends when the command has. */
async function addByHand(type: string, name: string, config: JsonObject): Promise<string> {
  const shown = await addTyping(["backend", "add", type, name], await answersFor(type, config));
  expect(shown).toContain(`created  backend ${name}`);
  return shown;
}
/** Of letters or of what is behind them. */
const COLOUR = new RegExp(String.raw`${ESCAPE}\[(?:[349]\d|10\d)(?:;\d+)*m`);
async function addTyping(words: readonly string[], answers: readonly Given[]): Promise<string> {
  await using terminal = open(words);
  await terminal.answer(answers);
  await terminal.reads("Go on? [y/N]");
  terminal.type("y\r");
  expect(await terminal.ended(), terminal.shown).toBe(0);
  // The terminal has colours, and its environment NO_COLOR.
  expect(terminal.written).not.toMatch(COLOUR);
  return terminal.shown;
}

describe.skipIf(!hasTerminals)("mayfly backend add, in a terminal", () => {
  test("brings a database of PostgreSQL from nothing to credentials", async () => {
    const config = backendConfig(mayfly.orders) as JsonObject;
    const shown = await addByHand("postgres", "typed-db", config);
    expect(shown).not.toContain(mayfly.orders.password);
    expect(shown).toContain("CREATE ROLE mayfly_orders LOGIN CREATEROLE");
    expect(shown).toContain("✓ no problem");
    const role = {
      ttl_max: "10m",
      data_class: "internal",
      reversibility: "read_only",
      environment: "test",
      member_of: "app_reader",
      owner: "app_owner",
    };
    const schema = await fetch(`${broker.api.url}/schemas/role.postgres.json`);
    const { properties, required, ...rest } = roleFile.parse(await schema.json());
    const { role: _, ...members } = properties;
    const needed = required.filter((name) => name !== "role");
    const words = ["role", "add", "typed-db/reader"];
    const answers = await answersTo({ ...rest, properties: members, required: needed }, role);
    expect(await addTyping(words, answers)).toContain("created  role typed-db/reader");
    const opened = await broker.api.exchange({
      subject: mayfly.svid("typist"),
      details: {
        type: "mayfly-task",
        goal: "Look at what was typed",
        deadline: "5m",
        credentials: [{ role: "typed-db/reader" }],
      },
    });
    expect(opened.status, opened.text).toBe(200);
  });

  test.each(upstreams.map((upstream) => [upstream.type, upstream] as const))(
    "registers a backend of type %s, by what its questions were answered",
    async (type, upstream) => {
      const byHttp = registrar(mayfly, broker);
      let added = "";
      const byHand: Registrar = {
        ...byHttp,
        put: async (name, backend, role) => {
          const { config } = backend as { readonly config: JsonObject };
          added = await addByHand(type, name, config);
          // The same again is no change: what was typed is what is registered.
          await byHttp.put(name, backend, role);
        },
      };
      const registered = await upstream.register(byHand);
      ends.defer(() => registered.stop());
      expect(added).toContain(`backend ${type}`);
      const { body } = await broker.api.admin("GET", `/v1/backends/${type}`);
      expect(body).toMatchObject({ type, revision: 1 });
    },
  );

  test("says what the check found and how to mend it, and goes on once it is mended", async () => {
    const { password, ...config } = backendConfig(mayfly.orders) as JsonObject & {
      readonly password: string;
    };
    await using terminal = open(["backend", "add", "postgres", "mended-db"]);
    await terminal.answer(await answersFor("postgres", { ...config, password: "another-one" }));
    await terminal.reads("Go on? [y/N]");
    terminal.type("y\r");
    await terminal.reads("? backend mended-db is not registered");
    expect(await namesThere()).not.toContain("mended-db");
    // "try again" comes first, then the members in their order.
    const nth = Object.keys({ host: 0, port: 0, database: 0, username: 0, password: 0 }).length;
    terminal.type(`${`${ESCAPE}[B`.repeat(nth)}`);
    await terminal.reads("❯ change password");
    terminal.type("\r");
    await terminal.reads("? password: where is it?");
    terminal.type("\r");
    await terminal.reads("✓ password: where is it?");
    await terminal.reads("? password");
    terminal.type(password);
    terminal.type("\r");
    expect(await terminal.ended(), terminal.shown).toBe(0);
    expect(terminal.shown).toContain("created  backend mended-db");
    expect(terminal.shown).not.toContain(password);
  });

  test.each([
    ["Ctrl-C", 130, "Interrupted. Nothing was changed."],
    ["the end of the input", 2, "The input ended before all was answered."],
  ])("registers nothing after %s, and ends with %i", async (how, code, said) => {
    await using terminal = open(["backend", "add", "postgres", "never-db"]);
    await terminal.reads("? host");
    terminal.type("db.internal\r");
    await terminal.reads("? database");
    if (how === "Ctrl-C") terminal.type("\u0003");
    else terminal.endInput();
    expect(await terminal.ended(), terminal.shown).toBe(code);
    expect(terminal.shown).toContain(said);
    expect(await namesThere()).not.toContain("never-db");
  });

  test("takes no answer from a megabyte that is pasted, on a terminal of 20 columns", async () => {
    await using terminal = open(["backend", "add", "postgres", "never-db"], 20);
    await terminal.reads("? host");
    terminal.type(`${ESCAPE}[200~${"x\n".repeat(512 * 1024)}${ESCAPE}[201~`);
    await terminal.reads("longer");
    terminal.type("\u0003");
    expect(await terminal.ended(), terminal.shown).toBe(130);
    expect(terminal.shown).not.toContain("xx");
  });
});
