import { spawn, type ChildProcess } from "node:child_process";
import { openSync, closeSync } from "node:fs";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accepted, pause, READER, testPrograms, until, WRITER } from "../harness/index.ts";
import { startClientWorld, type ClientWorld } from "./client-world.ts";

const OF_THE_CHECKOUT = join(import.meta.dirname, "../../bin/mayfly");

let world: ClientWorld;
let tokenFile = "";
beforeAll(async () => {
  world = await startClientWorld();
  tokenFile = await world.tokenFile("bot");
});
afterAll(() => world[Symbol.asyncDispose]());

interface Exec {
  readonly process: ChildProcess;
  readonly ended: Promise<number | NodeJS.Signals | null>;
  output(): string;
  errors(): string;
}

function exec(words: readonly string[], more: Readonly<Record<string, string>> = {}): Exec {
  const { url, issuer } = world.reach;
  const { migrator: command } = testPrograms();
  const child = spawn(process.execPath, [command, "exec", "--issuer", issuer, ...words], {
    env: {
      PATH: process.env["PATH"] ?? "",
      MAYFLY_URL: url,
      MAYFLY_IDENTITY_FILE: tokenFile,
      ...more,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (out += data.toString()));
  child.stderr.on("data", (data: Buffer) => (err += data.toString()));
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once("close", (code, signal) => resolve(signal ?? code));
  });
  return { process: child, ended, output: () => out, errors: () => err };
}

async function ran(words: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const started = exec(words, more);
  const code = await started.ended;
  return { code, out: started.output(), err: started.errors() };
}

/** A program of our own in place of psql: prints what it was given, and what the server says. */
const SHOW = `process.stdout.write(JSON.stringify(process.env) + "\\n")`;
const show = (then = ""): readonly string[] => ["--", process.execPath, "-e", `${SHOW};${then}`];

type Shown = Readonly<Record<string, string>>;
const shownBy = (text: string): Shown => JSON.parse(text.split("\n")[0] ?? "") as Shown;

async function accepts(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 30, fetch_types: false });
  try {
    await sql`SELECT count(*) FROM orders`;
    return true;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Runs until told to stop, and shows its login first. */
async function running(words: readonly string[]): Promise<Exec & { readonly url: string }> {
  const started = exec([...words, ...show("setInterval(() => undefined, 1000)")]);
  const line = await until("the command's first line", 90_000, async () => {
    if (started.process.exitCode !== null) throw new Error(started.errors());
    return started.output().includes("\n") ? started.output() : undefined;
  });
  const url = shownBy(line)["DATABASE_URL"] ?? "";
  expect(await accepts(url)).toBe(true);
  return { ...started, url };
}

describe("the command's environment", () => {
  test("has libpq's variables and DATABASE_URL, and nothing of ours", async () => {
    const { code, out, err } = await ran(["--role", READER, ...show()], {
      SPIFFE_ENDPOINT_SOCKET: "unix:///nowhere",
      PGHOSTADDR: "192.0.2.1",
      PGSERVICE: "other",
      KEPT: "yes",
    });
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const seen = shownBy(out);
    expect(seen).toMatchObject({ PGDATABASE: "orders", PGSSLMODE: "disable", KEPT: "yes" });
    expect(seen["DATABASE_URL"]).toContain(`${seen["PGUSER"]}:${seen["PGPASSWORD"]}@`);
    const ours = Object.keys(seen).filter((name) =>
      /^(MAYFLY_|SPIFFE_|PGHOSTADDR|PGSERV)/.test(name),
    );
    expect(ours).toEqual([]);
    expect(await accepts(seen["DATABASE_URL"] ?? "")).toBe(false);
  });

  test("has a prefix for each of several roles, and what is ambiguous mints nothing", async () => {
    const both = await ran(["--role", READER, "--role", `${WRITER}=TO`, ...show()]);
    const seen = shownBy(both.out);
    expect(seen["ORDERS_DB_READER_PGUSER"]).not.toBe(seen["TO_PGUSER"]);
    expect([seen["PGUSER"], seen["DATABASE_URL"]]).toEqual([undefined, undefined]);
    const before = await world.installation.ledger`SELECT count(*)::int AS n FROM mayfly.tasks`;
    const clash = await ran(["--role", `${READER}=X`, "--role", `${WRITER}=X`, ...show()]);
    expect([clash.code, clash.out]).toEqual([2, ""]);
    expect(clash.err).toContain(WRITER);
    const after = await world.installation.ledger`SELECT count(*)::int AS n FROM mayfly.tasks`;
    expect(after).toEqual(before);
  });
});

describe("the end", () => {
  test.each([
    ["exit code", ["sh", "-c", "exit 7"], 7],
    ["signal", ["sh", "-c", "kill -TERM $$"], 143],
    ["not found", ["no-such-program"], 127],
  ])("%s comes out, and the task is failed", async (_name, command, expected) => {
    const facts = join(world.folder, `facts-${expected}.jsonl`);
    const { code, out } = await ran(["--role", READER, "--json-to", facts, "--", ...command]);
    expect([code, out]).toEqual([expected, ""]);
    const lines = (await readFile(facts, "utf8")).trim().split("\n");
    const [opened, ended] = [lines[0], lines.at(-1)].map((line) => JSON.parse(line ?? "") as Shown);
    expect(opened).toMatchObject({ fact: "task_opened", idle_timeout_seconds: 15 });
    expect(ended).toMatchObject({ fact: "task_ended", state: "failed", exit_code: expected });
    expect(JSON.stringify(ended)).toContain('"outcome":"revoked"');
  });

  test("what cannot be run is 126, with the task ended", async () => {
    const file = join(world.folder, "not-executable");
    await writeFile(file, "text");
    await chmod(file, 0o600);
    const { code, err } = await ran(["--role", READER, "--", file]);
    expect(code).toBe(126);
    expect(err).toContain("not executable");
    expect(await world.installation.findLeaks(world.broker)).toEqual([]);
  });

  test("SIGTERM before there is a command ends exec, and no command runs", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    const connected = new Promise((resolve) => silent.once("connection", resolve));
    const one = exec(["--role", READER, ...show()], { MAYFLY_URL: `http://127.0.0.1:${port}` });
    await connected;
    one.process.kill("SIGTERM");
    expect([await one.ended, one.output(), one.errors()]).toEqual([143, "", ""]);
    silent.close();
  });

  test("SIGTERM is passed on, and the login is refused at once", async () => {
    const one = await running(["--role", READER]);
    one.process.kill("SIGTERM");
    expect(await one.ended).toBe(143);
    expect(await accepts(one.url)).toBe(false);
  });

  test("SIGUSR1 is the command's, and opens no debugger of what holds its login", async () => {
    const trap = "trap 'exit 5' USR1; echo ready; while :; do sleep 0.1; done";
    const one = exec(["--role", READER, "--", "sh", "-c", trap]);
    await new Promise((resolve) => one.process.stdout?.once("data", resolve));
    one.process.kill("SIGUSR1");
    expect([await one.ended, one.errors()]).toEqual([5, ""]);
  });

  test("after SIGKILL the login is refused when the idle timeout has passed", async () => {
    const one = await running(["--role", READER, "--idle-timeout", "6s"]);
    one.process.kill("SIGKILL");
    const from = performance.now();
    await until("the refusal", 90_000, async () => !(await accepts(one.url)));
    expect(performance.now() - from).toBeGreaterThan(500);
  });

  test("of the task before the command's is told, and ends the command if that is wanted", async () => {
    const facts = join(world.folder, "facts-lost.jsonl");
    const words = ["--role", READER, "--idle-timeout", "9s", "--terminate-when-lost"];
    const one = await running([...words, "--json-to", facts]);
    const [opened] = (await readFile(facts, "utf8")).split("\n");
    await world.kill((JSON.parse(opened ?? "") as Shown)["task"] ?? "");
    expect(await one.ended).toBe(143);
    expect(one.errors()).toContain("is over");
  });
});

test("a credential that expires before the command is renewed while it runs", async () => {
  const { api } = world.broker;
  const shape = {
    description: "short",
    member_of: "app_reader",
    owner: "app_owner",
    ttl_max: "9s",
  };
  const rest = { data_class: "confidential", reversibility: "read_only", environment: "test" };
  accepted(await api.admin("PUT", "/v1/roles/orders-db/short", { ...shape, ...rest }), "the role");
  const one = await running(["--role", "orders-db/short"]);
  await pause(14_000);
  expect(await accepts(one.url)).toBe(true);
  one.process.kill("SIGTERM");
  await one.ended;
  expect(await accepts(one.url)).toBe(false);
});

test("facts go to a file descriptor, and nothing of them to the command's output", async () => {
  const path = join(world.folder, "facts-fd.jsonl");
  const fd = openSync(path, "w");
  const { url, issuer } = world.reach;
  const child = spawn(
    process.execPath,
    [
      testPrograms().migrator,
      "--json",
      "exec",
      "--issuer",
      issuer,
      "--role",
      READER,
      "--json-to",
      "3",
      "--",
      "echo",
      "--json",
    ],
    {
      env: { PATH: process.env["PATH"] ?? "", MAYFLY_URL: url, MAYFLY_IDENTITY_FILE: tokenFile },
      stdio: ["ignore", "pipe", "inherit", fd],
    },
  );
  closeSync(fd);
  let out = "";
  child.stdout?.on("data", (data: Buffer) => (out += data.toString()));
  await new Promise((resolve) => child.once("close", resolve));
  expect(out).toBe("--json\n");
  expect((await readFile(path, "utf8")).trim().split("\n")).toHaveLength(3);
});

test("a descriptor that is not open is an error, also if Node has one of that number", async () => {
  const ends = await Promise.all(
    [3, 5, 14].map((fd) => ran(["--role", READER, "--json-to", `${fd}`, "--", "echo", "ran"])),
  );
  for (const { code, out, err } of ends) {
    expect([code, out]).toEqual([3, ""]);
    expect(err).toContain("This file descriptor is not open.");
  }
});

test("bin/mayfly is the command itself: signals reach it, what is open stays open", async () => {
  const path = join(world.folder, "facts-bin.jsonl");
  const fd = openSync(path, "w");
  const { url, issuer } = world.reach;
  const trap = "trap 'exit 5' USR2; echo ready; while :; do sleep 0.1; done";
  const words = ["exec", "--issuer", issuer, "--role", READER, "--json-to", "3"];
  const child = spawn(OF_THE_CHECKOUT, [...words, "--", "sh", "-c", trap], {
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: world.folder,
      MAYFLY_URL: url,
      MAYFLY_IDENTITY_FILE: tokenFile,
    },
    stdio: ["ignore", "pipe", "inherit", fd],
  });
  closeSync(fd);
  const ended = new Promise((resolve) => child.once("close", resolve));
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  child.kill("SIGUSR2");
  expect(await ended).toBe(5);
  expect((await readFile(path, "utf8")).trim().split("\n")).toHaveLength(3);
});

test("no error shows a token, and a denial names its policy", async () => {
  const mallory = await world.tokenFile("mallory");
  const token = (await readFile(mallory, "utf8")).trim();
  const denied = await ran(["--role", READER, "--", "true"], { MAYFLY_IDENTITY_FILE: mallory });
  expect(denied.code).toBe(4);
  expect(denied.err).toContain("mallory-gets-nothing");
  const nobody = await ran(["--role", READER, "--", "true"], {
    MAYFLY_IDENTITY_FILE: "",
    MAYFLY_IDENTITY_SOURCE: "",
    GCE_METADATA_HOST: "127.0.0.1:1",
  });
  expect(nobody.code).toBe(3);
  expect(nobody.err).toContain("SPIFFE_ENDPOINT_SOCKET is not set");
  const bad = await ran(["--role", READER, "--", "true"], {
    MAYFLY_IDENTITY_FILE: "",
    MAYFLY_IDENTITY_TOKEN: token.slice(0, -9),
  });
  for (const { err } of [denied, nobody, bad]) expect(err).not.toContain(token.slice(20, 60));
});

test("an error is in the words that were typed, and says what to do", async () => {
  const words = ["--role", READER, "--role", WRITER, "--deadline", "15 minutes", "--", "true"];
  const { code, err } = await ran(words);
  expect(code).toBe(4);
  expect(err).toMatch(/^error {2}--deadline: expected a duration like 15m/);
  expect(err).not.toContain("authorization_details");
});

describe("a command in the world", () => {
  /** A way to the broker that can be closed and opened. */
  async function gate() {
    let isOpen = true;
    const sockets = new Set<Socket>();
    const to = new URL(world.reach.url);
    const server = createServer((client) => {
      if (!isOpen) {
        client.destroy();
        return;
      }
      const broker = connect(Number(to.port), to.hostname);
      client.pipe(broker).pipe(client);
      for (const one of [client, broker]) {
        sockets.add(one);
        one
          .on("error", () => undefined)
          .on("close", () => [client, broker].map((s) => s.destroy()));
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return {
      url: `http://127.0.0.1:${port}`,
      close: () => {
        isOpen = false;
        for (const one of sockets) one.destroy();
      },
      open: () => {
        isOpen = true;
      },
      [Symbol.dispose]: () => {
        server.close();
      },
    };
  }

  test("outlives a broker that is away for less than the idle timeout, and its task is ended", async () => {
    using way = await gate();
    const facts = join(world.folder, "facts-away.jsonl");
    const words = ["--role", READER, "--idle-timeout", "8s", "--json-to", facts];
    const command = ["sh", "-c", "echo ready; sleep 4; exit 9"];
    const one = exec([...words, "--", ...command], { MAYFLY_URL: way.url });
    await new Promise((resolve) => one.process.stdout?.once("data", resolve));
    way.close();
    await pause(2_500);
    way.open();
    expect([await one.ended, one.errors()]).toEqual([9, ""]);
    const ended = (await readFile(facts, "utf8")).trim().split("\n").at(-1) ?? "";
    expect(JSON.parse(ended)).toMatchObject({ fact: "task_ended", state: "failed", exit_code: 9 });
  });

  test.each([
    ["ends of a reader that leaves as it would alone", "yes", "head -n 1", "141 0", "y"],
    [
      "has its input from the command before, and gives out more than a pipe holds",
      "sh -c 'cat; head -c 3000000 /dev/zero'",
      "wc -c",
      "0 0",
      "3000006",
    ],
  ])("in a pipeline %s", async (_what, command, then, codes, out) => {
    const { url, issuer } = world.reach;
    const { migrator: program } = testPrograms();
    const before = `'${process.execPath}' '${program}' exec --issuer ${issuer} --role ${READER}`;
    const line = `echo hello | ${before} -- ${command} | ${then}; echo "\${PIPESTATUS[@]:1}"`;
    const shell = spawn("bash", ["--norc", "-c", line], {
      env: { PATH: process.env["PATH"] ?? "", MAYFLY_URL: url, MAYFLY_IDENTITY_FILE: tokenFile },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    shell.stdout.on("data", (data: Buffer) => (text += data.toString()));
    await new Promise((resolve) => shell.once("close", resolve));
    expect(text.trim().split("\n")).toEqual([out, codes]);
  });
});
