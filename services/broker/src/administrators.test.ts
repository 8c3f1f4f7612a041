import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Secret } from "@mayfly/spec";
import { bootstrapAdministrators } from "./administrators.ts";

const token = "mayfly_admin_0123456789";
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
    ["another token", sha256, "mayfly_admin_other"],
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
});
