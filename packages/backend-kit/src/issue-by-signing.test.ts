import { expect, test } from "vitest";
import { BackendError, parseId, plusSeconds, type IssueContext } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { backendErrorOf } from "@mayfly/testkit/contract";
import { issueBySigning, orNothingSigned } from "./issue-by-signing.ts";

const clock = createFakeClock();
const contextOf = (signal = new AbortController().signal): IssueContext => ({
  clock,
  signal,
  traceId: "signing",
  taskId: parseId("task", "task_0190a0b0c0d070008000000000000001", "task"),
  issueBy: plusSeconds(clock.now(), 5),
  checkpoint: async () => undefined,
});

test("what is signed in time is handed out", async () => {
  expect(await issueBySigning("Test, issue", contextOf(), async () => "signed")).toBe("signed");
});

test("aborted under way it does not claim that nothing was signed, and waits no longer", async () => {
  const call = new AbortController();
  const never = new Promise<string>(() => undefined);
  const issuing = issueBySigning("Test, issue", contextOf(call.signal), () => never);
  const failed = backendErrorOf(issuing);
  call.abort(new Error("the caller is gone"));
  expect(await failed).toMatchObject({ effect: "unknown", retry: { kind: "never" } });
});

test("aborted before, or past its deadline, nothing is signed", async () => {
  let signed = 0;
  const sign = async (): Promise<number> => (signed += 1);
  const late = contextOf();
  const call = new AbortController();
  call.abort(new Error("the caller is gone"));
  expect(await backendErrorOf(issueBySigning("T", contextOf(call.signal), sign))).toMatchObject({
    effect: "none",
  });
  await clock.advance(6_000);
  expect((await backendErrorOf(issueBySigning("T", late, sign))).effect).toBe("none");
  expect(signed).toBe(0);
});

test("what was signed past the deadline is thrown away", async () => {
  const error = await backendErrorOf(
    issueBySigning("Test, issue", contextOf(), async () => {
      await clock.advance(6_000);
      return "late";
    }),
  );
  expect(error).toMatchObject({ effect: "none" });
});

test("a key that cannot be used signs nothing, and its failure is the cause alone", async () => {
  const cause = new Error("words of a key service");
  const failing = orNothingSigned("Test, issue", "signing key", () => Promise.reject(cause));
  const error = await backendErrorOf(failing);
  expect(error).toBeInstanceOf(BackendError);
  expect(error).toMatchObject({ effect: "none", cause });
  expect(error.message).toBe("Test, issue: no signing key can be used now; nothing was signed");
});
