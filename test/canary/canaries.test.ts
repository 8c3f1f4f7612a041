import { expect, test } from "vitest";
import { canary, findCanaries } from "./canaries.ts";

const secret = 'pässword/+?&-"of 32 characters\\';
const canaries = [canary("the password", secret), canary("another", "something else entirely")];
const bytes = Buffer.from(secret);

test.each([
  ["as it is", secret],
  ["in a JSON text", JSON.stringify({ secret })],
  ["in a JSON text of escapes", String.raw`"p\u00e4ssword/+?&-\"of 32 characters\\"`],
  ["in a JSON text with slashes escaped", JSON.stringify(secret).replaceAll("/", "\\/")],
  ["percent-encoded", encodeURIComponent(secret)],
  ["in a form", new URLSearchParams({ secret }).toString()],
  ["in hex", bytes.toString("hex")],
  ["in capital hex", bytes.toString("hex").toUpperCase()],
  ["in base64", bytes.toString("base64")],
  ["in base64url", bytes.toString("base64url")],
  ["one byte into something longer", Buffer.from(`x${secret}yz`).toString("base64")],
  ["two bytes into something longer", Buffer.from(`xy${secret}z`).toString("base64url")],
])("a secret %s is found", (_how, written) => {
  expect(findCanaries(`before ${written} after`, canaries)).toEqual(["the password"]);
});

test("what is not there is not found, and too short a canary is refused", () => {
  expect(findCanaries("nothing of it", canaries)).toEqual([]);
  expect(findCanaries(secret.slice(1), canaries)).toEqual([]);
  expect(() => findCanaries("x", [canary("short", "12345678901")])).toThrow("too short");
});
