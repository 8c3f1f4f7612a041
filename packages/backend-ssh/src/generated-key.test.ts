import { expect, test } from "vitest";
import { generatedKey } from "./generated-key.ts";

test("a key that came out short, or whose halves belong to two keys, is made again", () => {
  const [one, other] = [generatedKey(), generatedKey()];
  const blob = Buffer.from(one.public.split(" ")[1] ?? "", "base64");
  blob.writeUInt32BE(31, 15);
  const short = `ssh-ed25519 ${blob.subarray(0, -1).toString("base64")}`;
  const made = [{ ...one, public: short }, { ...one, public: other.public }, other];
  expect(generatedKey(() => made.shift() ?? other)).toBe(other);
  expect(made).toEqual([]);
  expect(() => generatedKey(() => ({ ...one, public: short }))).toThrow("no key that was made");
});
