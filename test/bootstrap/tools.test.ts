import { mkdir, mkdtemp, readFile, readdir, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SetUpFailure } from "../../bootstrap/failure.mjs";
import { ensureTool, readPins } from "../../bootstrap/tools.mjs";
import { localRegistry } from "./local-registry.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-tools-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const tool = (integrity?: string) => ({
  version: "1.2.3",
  acceptedMajorFrom: 1,
  file: "bin/tool",
  packages: { here: { name: "mayfly-test-tool", ...(integrity && { integrity }) } },
});

const wanted = (registry: string, integrity?: string) => ({
  kind: "node" as const,
  tool: tool(integrity),
  toolsFolder: join(folder, "tools"),
  platform: "here",
  // A cache of its own: what is tested is the fetch.
  env: { ...process.env, npm_config_registry: registry, HOME: folder },
  say: () => undefined,
});

const failureOf = async (work: Promise<unknown>): Promise<SetUpFailure> => {
  const thrown: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof SetUpFailure)) throw new Error("no SetUpFailure", { cause: thrown });
  return thrown;
};

describe("a tool of the bootstrap", () => {
  const files = { "bin/tool": "the tool" };

  test("is fetched once, in place and nothing else left, when two ask at the same time", async () => {
    await using registry = await localRegistry("mayfly-test-tool", "1.2.3", files);
    const ask = () => ensureTool(wanted(registry.url, registry.integrity));
    const both = await Promise.all([ask(), ask()]);
    const fetches = registry.fetches();

    expect(both[0].file).toBe(both[1].file);
    expect(await readFile(both[0].file, "utf8")).toBe("the tool");
    expect(await readdir(join(folder, "tools"))).toEqual(["node-1.2.3-here"]);
    expect(await ask()).toMatchObject({ fetched: false });
    expect(registry.fetches()).toBe(fetches);
  });

  test("is refused when its content is not what is pinned, and leaves nothing", async () => {
    await using registry = await localRegistry("mayfly-test-tool", "1.2.3", files);
    const other = `sha512-${Buffer.alloc(64).toString("base64")}`;
    const failure = await failureOf(ensureTool(wanted(registry.url, other)));

    expect(failure.parts.why).toMatch(/integrity|EINTEGRITY/);
    expect(await readdir(join(folder, "tools"))).toEqual([]);
  });

  test("says what, where, why and what to do when the registry cannot be reached", async () => {
    const failure = await failureOf(ensureTool(wanted("http://127.0.0.1:9/")));

    expect(failure.parts).toMatchObject({ what: "The npm registry could not be reached." });
    expect(failure.parts.where).toContain("mayfly-test-tool@1.2.3");
    expect(failure.parts.why).toMatch(/ECONNREFUSED|127\.0\.0\.1:9/);
    expect(failure.parts.toDo).toContain("npm config get registry");
    expect(failure.format().split("\n").filter(Boolean)).toHaveLength(4);
  });

  test("says which platforms there are when this is none of them", async () => {
    const failure = await failureOf(
      ensureTool({ ...wanted("http://127.0.0.1:9/"), platform: "aix-ppc64" }),
    );
    expect(failure.parts).toMatchObject({ where: "aix-ppc64", why: "Pinned are here." });
  });

  test("is made anew beside what a killed one left, which goes after an hour", async () => {
    const tools = join(folder, "tools");
    await mkdir(join(tools, ".making-old"), { recursive: true });
    await mkdir(join(tools, ".making-new"));
    await utimes(join(tools, ".making-old"), 0, 0);
    await using registry = await localRegistry("mayfly-test-tool", "1.2.3", files);
    await ensureTool(wanted(registry.url, registry.integrity));

    expect((await readdir(tools)).toSorted()).toEqual([".making-new", "node-1.2.3-here"]);
  });

  test("is pinned for the same platforms as the others", () => {
    const { node, pnpm } = readPins();
    expect(Object.keys(node.packages)).toEqual(Object.keys(pnpm.packages));
    expect(Object.keys(node.packages)).toContain("linux-x64");
  });
});
