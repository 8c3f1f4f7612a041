import { chmod, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Secret } from "@mayfly/spec";
import { seededRandom } from "@mayfly/testkit";
import { createKeyFile } from "./create-key-file.ts";
import { formatKeyRing } from "./key-ring.ts";
import { readKeyRing } from "./read-key-ring.ts";

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "mayfly-seal-"));
  file = join(directory, "keys.json");
});
afterEach(() => rm(directory, { recursive: true }));

test("the first start makes a ring of mode 0600, and the second reads it", async () => {
  const made = await createKeyFile(file, seededRandom(1));
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(directory)).toEqual(["keys.json"]);
  const read = await createKeyFile(file, seededRandom(2));
  expect(formatKeyRing(read)).toBe(formatKeyRing(made));
});

test("of several first starts at once one makes the ring, and all have the same", async () => {
  const rings = await Promise.all(
    Array.from({ length: 8 }, (_, seed) => createKeyFile(file, seededRandom(seed))),
  );
  expect(new Set(rings.map(formatKeyRing)).size).toBe(1);
  expect(await readdir(directory)).toEqual(["keys.json"]);
});

test.each([0o640, 0o604, 0o620, 0o660, 0o644])(
  "a file of mode %o is refused with the command to run",
  async (mode) => {
    await createKeyFile(file, seededRandom(1));
    await chmod(file, mode);
    await expect(readKeyRing({ file })).rejects.toMatchObject({ code: "config_invalid" });
    await expect(readKeyRing({ file })).rejects.toThrow(`chmod 600 '${file}'`);
    await expect(createKeyFile(file, seededRandom(1))).rejects.toThrow("chmod 600");
    await chmod(file, 0o400);
    await readKeyRing({ file });
  },
);

test("a missing file is an error by name, and reading makes none", async () => {
  await expect(readKeyRing({ file })).rejects.toThrow(/keys\.json cannot be opened \(ENOENT\)/);
  expect(await readdir(directory)).toEqual([]);
});

test("a directory is refused", async () => {
  await expect(readKeyRing({ file: directory })).rejects.toThrow("not a regular file");
});

test("a link is followed, as mounted secrets are links, and its target judged", async () => {
  await createKeyFile(file, seededRandom(1));
  const linked = join(directory, "link.json");
  await symlink(file, linked);
  await readKeyRing({ file: linked });
  await chmod(file, 0o644);
  await expect(readKeyRing({ file: linked })).rejects.toThrow("its mode is 0644");
});

test("a file that is there is never replaced, not even a broken one", async () => {
  await writeFile(file, "{", { mode: 0o600 });
  await expect(createKeyFile(file, seededRandom(1))).rejects.toThrow("not JSON");
  expect((await stat(file)).size).toBe(1);
});

test("a directory that cannot be written is an error by name", async () => {
  const nowhere = join(directory, "missing", "keys.json");
  await expect(createKeyFile(nowhere, seededRandom(1))).rejects.toThrow("ENOENT");
});

test("the text itself is read as the environment gave it", async () => {
  const ring = await createKeyFile(file, seededRandom(1));
  const value = Secret.of(formatKeyRing(ring));
  expect(formatKeyRing(await readKeyRing({ value }))).toBe(formatKeyRing(ring));
});
