import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clientRuntime, type ClientRuntime } from "@mayfly/embedded";
import { isInstalled } from "@mayfly/testkit/vitest";
import {
  startWorkloadApi,
  type TestWorkloadApi,
} from "../../packages/client/src/testing/workload-api.ts";
import { startServer, type TestServer } from "../../packages/client/src/testing/http-server.ts";
import { until } from "../harness/index.ts";
import { startClientWorld, type ClientWorld } from "./client-world.ts";
import { installPackedClient, type EmptyProject } from "./packed-client.ts";

const ROOT = join(import.meta.dirname, "../..");

let world: ClientWorld;
let project: EmptyProject;
let agent: TestWorkloadApi;
beforeAll(async () => {
  [world, project] = await Promise.all([startClientWorld(), installPackedClient()]);
  await project.copy("agent.mjs", "consumer.ts", "mistakes.ts");
  const grpc = join(ROOT, "packages/client/node_modules/@grpc/grpc-js");
  await project.link("@grpc/grpc-js", await realpath(grpc));
  await project.link("@types/node", await realpath(join(ROOT, "node_modules/@types/node")));
  const { installation } = world;
  agent = await startWorkloadApi(`unix://${world.folder}/agent.sock`, (audience) =>
    audience === installation.issuer ? installation.svid("bot") : null,
  );
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await project[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** A program of a runtime, and the flags before the script. */
const RUNTIMES: Readonly<
  Record<string, { readonly needs: ClientRuntime | null; readonly flags: readonly string[] }>
> = {
  "this Node": { needs: null, flags: ["--no-strip-types"] },
  "Node 20": { needs: "node20", flags: [] },
  Deno: { needs: "deno", flags: ["run", "-A", "--no-lock", "--node-modules-dir=manual"] },
  Bun: { needs: "bun", flags: ["run"] },
};
const hasAwsSdk = await isInstalled("aws-sdk");
const available = new Map<string, boolean>();
for (const [name, { needs }] of Object.entries(RUNTIMES)) {
  available.set(name, needs === null || (await isInstalled(needs)));
}

const STRICT = [
  "--strict",
  "--noEmit",
  "--exactOptionalPropertyTypes",
  "--noUncheckedIndexedAccess",
  "--ignoreConfig",
  "--module",
  "NodeNext",
  "--target",
  "ES2022",
];

interface TypeCheck {
  readonly code: number;
  readonly said: string;
}

/** What `tsc` says; of one that never was or was ended there is no verdict, which is an error. */
async function typeCheck(cwd: string, args: readonly string[]): Promise<TypeCheck> {
  const child = spawn(join(ROOT, "node_modules/.bin/tsc"), [...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stdout.on("data", (data: Buffer) => (said += data.toString()));
  child.stderr.on("data", (data: Buffer) => (said += data.toString()));
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  if (code === null) throw new Error(`tsc was ended by ${signal}: ${said}`);
  return { code, said };
}

interface Seen {
  readonly task: string;
  readonly login: { readonly url: string; readonly password: string };
}

let count = 0;
async function started(
  name: string,
  mode: string,
  identity: Readonly<Record<string, string>> = { SPIFFE_ENDPOINT_SOCKET: agent.socket },
) {
  const { needs, flags } = RUNTIMES[name]!;
  const program = needs === null ? process.execPath : await clientRuntime(needs);
  const out = join(world.folder, `seen-${++count}.json`);
  const child = spawn(program ?? "", [...flags, join(project.folder, "agent.mjs"), mode, out], {
    cwd: project.folder,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: world.folder,
      NO_COLOR: "1",
      MAYFLY_URL: world.reach.url,
      EXPECTED_ISSUER: world.reach.issuer,
      ...identity,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  child.stdout.on("data", (data: Buffer) => (text += data.toString()));
  child.stderr.on("data", (data: Buffer) => (text += data.toString()));
  const ended = new Promise<number | string | null>((resolve) => {
    child.once("close", (code, signal) => resolve(signal ?? code));
  });
  const seen = await until(`the agent on ${name}`, 60_000, async () => {
    if (child.exitCode !== null) throw new Error(text);
    const written = await readFile(out, "utf8").catch(() => "");
    // What the agent wrote, in the shape that its source shows.
    return written.endsWith("}") && (JSON.parse(written) as Seen);
  });
  return { child, ended, out, seen, output: () => text };
}

async function accepts({ login }: Seen): Promise<boolean> {
  const sql = postgres(login.url, { max: 1, connect_timeout: 30, fetch_types: false });
  try {
    await sql`SELECT count(*) FROM orders`;
    return true;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

describe.concurrent.each(Object.keys(RUNTIMES))("on %s", (name) => {
  test.skipIf(available.get(name) !== true)(
    "a task with a SPIFFE identity lives by its heartbeats, shows no secret, and ends",
    async () => {
      const one = await started(name, "whole");
      const opened = performance.now();
      expect(await accepts(one.seen)).toBe(true);
      // More than its idle timeout of 6 s.
      await until("ten seconds", 60_000, async () => performance.now() - opened > 10_000);
      expect(await accepts(one.seen)).toBe(true);
      await writeFile(`${one.out}.go`, "");
      expect([await one.ended, one.output()]).toEqual([0, expect.stringContaining("[secret]")]);
      expect(one.output()).not.toContain(one.seen.login.password);
      expect(await accepts(one.seen)).toBe(false);
      expect(await world.taskState(one.seen.task)).toBe("completed");
      expect(JSON.parse(await readFile(one.out, "utf8"))).toMatchObject({
        misspelt: "invalid_option",
        result: true,
        failed: "RangeError",
      });
    },
  );
  test.skipIf(available.get(name) !== true)(
    "SIGTERM cancels the task at once, and then ends the process",
    async () => {
      const one = await started(name, "waiting");
      expect(await accepts(one.seen)).toBe(true);
      one.child.kill("SIGTERM");
      expect(["SIGTERM", 143]).toContain(await one.ended);
      expect(await accepts(one.seen)).toBe(false);
      expect(await world.taskState(one.seen.task)).toBe("cancelled");
    },
  );
});

test("SIGKILL leaves the task to its idle timeout", async () => {
  const one = await started("this Node", "waiting");
  one.child.kill("SIGKILL");
  await one.ended;
  await until("the refusal", 90_000, async () => !(await accepts(one.seen)));
  expect(await world.taskState(one.seen.task)).toBe("expired");
});

/** STS as its API reference has `GetWebIdentityToken`: a query, signed, answered in XML. */
const startSts = (heard: URLSearchParams[]): Promise<TestServer> =>
  startServer(({ headers, body }) => {
    const query = new URLSearchParams(body);
    heard.push(query);
    if (!(headers.authorization ?? "").startsWith("AWS4-HMAC-SHA256 Credential=AKIDTEST/")) {
      return { status: 403, body: "" };
    }
    const token =
      query.get("Action") === "GetWebIdentityToken" ? world.installation.svid("bot") : "";
    const result = `<WebIdentityToken>${token}</WebIdentityToken>
      <Expiration>2030-01-01T00:00:00Z</Expiration>`;
    return {
      status: 200,
      headers: { "content-type": "text/xml" },
      body: `<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <GetWebIdentityTokenResult>${result}</GetWebIdentityTokenResult>
        <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>
      </GetWebIdentityTokenResponse>`,
    };
  });

describe("AWS", () => {
  const credentials = {
    AWS_ACCESS_KEY_ID: "AKIDTEST",
    AWS_SECRET_ACCESS_KEY: "s",
    AWS_REGION: "eu-west-1",
  };

  test("without its SDK the error says what to install", async () => {
    await expect(started("this Node", "waiting", credentials)).rejects.toThrow(
      /npm install @aws-sdk\/client-sts/,
    );
  });

  test.skipIf(!hasAwsSdk)("outbound federation proves the identity, by the AWS SDK", async () => {
    const sdk = (await clientRuntime("aws-sdk")) ?? "";
    await project.link("@aws-sdk/client-sts", await realpath(sdk));
    const heard: URLSearchParams[] = [];
    await using sts = await startSts(heard);
    const identity = { ...credentials, AWS_ENDPOINT_URL_STS: sts.url };
    const one = await started("this Node", "waiting", identity);
    one.child.kill("SIGTERM");
    await one.ended;
    expect(Object.fromEntries(heard[0] ?? [])).toMatchObject({
      "Audience.member.1": world.reach.issuer,
      SigningAlgorithm: "ES384",
      DurationSeconds: "300",
    });
  });
});

describe("the tarball", () => {
  test("holds the build and its types, and neither sources nor tests", () => {
    expect(project.files).toContain("package/dist/index.js");
    expect(project.files).toContain("package/dist/index.d.ts");
    expect(project.files).toContain("package/README.md");
    const others = project.files.filter(
      (path) => !/^package\/(dist\/[a-z/-]+(\.d)?\.(js|ts)|package\.json|README\.md)$/.test(path),
    );
    expect(others).toEqual([]);
  });

  test.each([
    ["Node's types", ["--types", "node", "--lib", "ES2022,ESNext.Disposable"]],
    ["a browser's names", ["--types", "", "--lib", "ES2022,ESNext.Disposable,DOM"]],
  ])("type-checks strictly with %s, and each mistake is an error", async (_name, flags) => {
    const types = ["--typeRoots", join(ROOT, "node_modules/@types"), ...flags];
    const check = (file: string): Promise<TypeCheck> =>
      typeCheck(project.folder, [...STRICT, ...types, file]);
    expect(await check("consumer.ts")).toEqual({ code: 0, said: "" });
    const { code, said } = await check("mistakes.ts");
    const found = [...said.matchAll(/^mistakes\.ts\((\d+),/gm)];
    expect([code, ...new Set(found.map(([, line]) => Number(line)))]).toEqual([
      1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
    ]);
  });
});
