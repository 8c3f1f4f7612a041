import { cp, mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CliError } from "../cli-error.ts";
import { newBackend } from "./new-backend.ts";

const TEMPLATE = "packages/backend-kit/src/template";
const checkout = new URL("../../../../", import.meta.url).pathname;
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "mayfly-new-"));
  await cp(join(checkout, TEMPLATE), join(root, TEMPLATE), { recursive: true });
});
afterEach(() => rm(root, { recursive: true, force: true }));

const whatOf = (work: Promise<unknown>): Promise<unknown> =>
  work.catch((error: unknown) => (error instanceof CliError ? error.parts.what : error));

test("a package has the template's files under its own name, and its page is where pages are", async () => {
  const { folder, page } = await newBackend("billing", root, "packages");
  expect([folder, page]).toEqual([
    join(root, "packages/backend-billing"),
    join(root, "docs/backends/billing.md"),
  ]);
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  expect(files.map(({ name }) => name)).toContain("billing-contract.test.ts");
  for (const { parentPath, name } of files) {
    const text = await readFile(join(parentPath, name), "utf8");
    expect(`${name} ${text}`.toLowerCase(), name).not.toContain("example");
  }
  expect(await readFile(page, "utf8")).toContain("Type `billing`");
  expect(JSON.parse(await readFile(join(folder, "package.json"), "utf8"))).toMatchObject({
    name: "@mayfly/backend-billing",
  });
});

test("nothing that is there is written over", async () => {
  await newBackend("billing", root, "packages");
  expect(await whatOf(newBackend("billing", root, "packages"))).toBe("It is there already.");
  await rm(join(root, "packages/backend-billing"), { recursive: true });
  expect(await whatOf(newBackend("billing", root, "packages"))).toBe("It is there already.");
});

test.each(["Billing", "b", "../billing", "billing-api", "1st", "kit", "x".repeat(32)])(
  "%s is no name for a type",
  async (name) => {
    expect(await whatOf(newBackend(name, root, "packages"))).toMatch(/is no name for a type/);
    expect(await readdir(join(root, "packages"))).toEqual(["backend-kit"]);
  },
);

test("outside of a checkout it says so", async () => {
  const elsewhere = await mkdtemp(join(tmpdir(), "mayfly-new-"));
  expect(await whatOf(newBackend("billing", elsewhere, "packages"))).toBe(
    "There is no template here.",
  );
  await rm(elsewhere, { recursive: true });
});
