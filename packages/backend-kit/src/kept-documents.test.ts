import { expect, test } from "vitest";
import { createFakeClock } from "@mayfly/testkit";
import { keptDocuments } from "./kept-documents.ts";

test("a document is made once a second whoever asks, and what failed or is not there is not kept", async () => {
  const clock = createFakeClock();
  const made: string[] = [];
  const documentOf = keptDocuments(clock, async (name) => {
    made.push(name);
    if (name === "fails" && made.length === 1) throw new Error("the ledger is away");
    return name === "none" ? null : { mediaType: "text/plain", bytes: Buffer.from(name) };
  });
  await expect(documentOf("fails")).rejects.toThrow("away");
  expect((await documentOf("fails"))?.mediaType).toBe("text/plain");
  const [first, second] = await Promise.all([documentOf("crl"), documentOf("crl")]);
  expect(second).toBe(first);
  expect([await documentOf("none"), await documentOf("none")]).toEqual([null, null]);
  expect(made).toEqual(["fails", "fails", "crl", "none", "none"]);
  await clock.advance(1_000);
  expect(await documentOf("crl")).not.toBe(first);
});

test("a document that takes long to make is kept ten times as long, but for its bound", async () => {
  const clock = createFakeClock();
  let made = 0;
  const documentOf = keptDocuments(
    clock,
    async () => {
      made += 1;
      await clock.sleep(300);
      return made;
    },
    5_000,
  );
  const first = documentOf("crl");
  await clock.advance(300);
  expect(await first).toBe(1);
  await clock.advance(2_600);
  expect(await documentOf("crl")).toBe(1);
  await clock.advance(100);
  const second = documentOf("crl");
  await clock.advance(2_000);
  expect(await second).toBe(2);
  await clock.advance(3_000);
  expect(made).toBe(2);
});
