import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createFakeClock } from "@mayfly/testkit";
import { keepTokens } from "./keep-tokens.ts";

test("a workload's token is written anew before it expires, and no more after the end", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-tokens-"));
  try {
    const clock = createFakeClock();
    const failures: unknown[] = [];
    let made = 0;
    const fresh = (): Promise<string> => {
      made += 1;
      return made === 2 ? Promise.reject(new Error("no disk")) : Promise.resolve(`token ${made}`);
    };
    const held = (): Promise<string> => readFile(join(folder, "bot.jwt-svid"), "utf8");
    const kept = await keepTokens({
      folder,
      tokens: { "bot.jwt-svid": fresh },
      clock,
      failed: (error) => failures.push(error),
    });
    expect(await held()).toBe("token 1");
    expect((await stat(join(folder, "bot.jwt-svid"))).mode & 0o777).toBe(0o600);
    await clock.advance(120_000);
    await expect.poll(() => failures.length).toBe(1);
    expect(await held()).toBe("token 1");
    await clock.settle();
    await clock.advance(120_000);
    await expect.poll(held).toBe("token 3");
    await kept[Symbol.asyncDispose]();
    expect(clock.sleepers).toBe(0);
    expect(await readdir(folder)).toEqual(["bot.jwt-svid"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
