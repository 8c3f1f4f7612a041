import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { eventually } from "@mayfly/testkit/vitest";
import { Secret } from "@mayfly/spec";
import { bootstrapAdministrators } from "./administrators.ts";

const token = `mayfly_admin_${"0".repeat(43)}`;
const sha256 = createHash("sha256").update(token).digest("hex");

describe("the bootstrap administrator", () => {
  it("is let in by the token whose hash is stored", async () => {
    const administrators = bootstrapAdministrators(() => Promise.resolve(sha256));
    expect(administrators.claims(Secret.of(token))).toBe(true);
    await expect(administrators.authenticate(Secret.of(token))).resolves.toMatchObject({
      kind: "administrator",
    });
  });
  it.each([
    ["another token", sha256, `mayfly_admin_${"1".repeat(43)}`],
    ["any token while none is stored", null, token],
    ["the hash itself", sha256, sha256],
    ["a stored value that is no hash", "zz", token],
  ])("is not let in by %s", async (_what, stored, presented) => {
    const administrators = bootstrapAdministrators(() => Promise.resolve(stored));
    await expect(administrators.authenticate(Secret.of(presented))).rejects.toMatchObject({
      code: "unauthenticated",
    });
  });
  it("counts a new token at once", async () => {
    let stored = sha256;
    const administrators = bootstrapAdministrators(() => Promise.resolve(stored));
    stored = "0".repeat(64);
    await expect(administrators.authenticate(Secret.of(token))).rejects.toThrow("not valid");
  });
  it("needs no look at the ledger to refuse what is no token", async () => {
    let looks = 0;
    const administrators = bootstrapAdministrators(async () => {
      looks += 1;
      return sha256;
    });
    for (const text of ["mayfly_admin_x", `${token}0`, `${token}\n`]) {
      await expect(administrators.authenticate(Secret.of(text))).rejects.toThrow("not valid");
    }
    expect(looks).toBe(0);
  });
  it("shares a look among those who come together, never one begun before they came", async () => {
    const looks: PromiseWithResolvers<string>[] = [];
    const administrators = bootstrapAdministrators(() => {
      const look = Promise.withResolvers<string>();
      looks.push(look);
      return look.promise;
    });
    const come = async () =>
      administrators.authenticate(Secret.of(token)).then(
        () => true,
        () => false,
      );
    const first = come();
    await eventually(() => expect(looks).toHaveLength(1));
    const later = Array.from({ length: 1000 }, come);
    looks[0]?.resolve("0".repeat(64));
    expect(await first).toBe(false);
    await eventually(() => expect(looks).toHaveLength(2));
    looks[1]?.resolve(sha256);
    expect(new Set(await Promise.all(later))).toEqual(new Set([true]));
    expect(looks).toHaveLength(2);
  });
});
