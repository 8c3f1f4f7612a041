import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { postgresBinaries } from "./postgres-binaries.ts";

test("an older version that is not installed is an error that names the command", async () => {
  await expect(postgresBinaries(15, undefined, tmpdir())).rejects.toThrow(
    /PostgreSQL 15 is not installed.*pnpm --dir infra\/postgres-versions install/,
  );
});

test("the default version is found among the dependencies and says which it is", async () => {
  const { version } = await postgresBinaries(18, undefined);
  expect(version).toMatch(/^18\.\d+/);
});
