import {
  BackendError,
  Secret,
  durationSeconds,
  instantMs,
  parseId,
  type IssueContext,
} from "@mayfly/spec";
import {
  createFakeClock,
  createRecordingLog,
  createTestBackendHost,
  seededRandom,
} from "@mayfly/testkit";
import { expect, test } from "vitest";
import { z } from "zod";
import {
  certificates,
  defineBackend,
  leaseRules,
  ownSecret,
  upstreamFailures,
  type BackendDefinition,
} from "./index.ts";

const clock = createFakeClock();
const config = z.strictObject({
  place: z.string(),
  login: z.union([
    z.strictObject({ token: ownSecret() }),
    z.strictObject({ user: z.string(), password: ownSecret().optional() }),
  ]),
  ca: certificates().optional(),
});
const empty = z.strictObject({});
const failures = upstreamFailures(
  "Place",
  (thrown) => (thrown instanceof Error ? thrown : new Error("unknown")),
  ({ message }) => ({
    reason: "it failed",
    effect: message === "refused" ? "none" : "unknown",
    retrySeconds: message === "refused" ? null : 2,
    upstreamFails: message !== "refused",
    hint: message,
  }),
);

let calls: string[] = [];
const failing = (what: string) => async (): Promise<never> => {
  calls.push(what);
  throw new Error("lost");
};
const definition: BackendDefinition<z.infer<typeof config>, string> = {
  type: "place",
  capabilities: {
    expiryEnforcedBy: "broker",
    revocation: "immediate",
    canRenew: true,
    canList: true,
    ttlSecondsMin: durationSeconds(1),
    ttlSecondsMax: durationSeconds(60),
    issueCallSecondsMax: durationSeconds(5),
    lateMint: "refused",
    credentialKind: "place-token",
  },
  config,
  leases: leaseRules({
    role: empty,
    params: empty,
    grant: empty,
    grantFor: () => ({}),
    isGrantWithin: () => true,
  }),
  failures,
  open: ({ place }) => place,
  close: async () => undefined,
  operations: {
    issue: failing("issue"),
    recover: failing("recover"),
    revoke: failing("revoke"),
    probe: failing("probe"),
    extend: failing("renew"),
    list: failing("list"),
    selfCheck: failing("self-check"),
  },
};
const settings = { place: "here", login: { token: "s3cret" } };
const opened = () => {
  calls = [];
  return defineBackend(definition).open(
    settings,
    createTestBackendHost({ clock, random: seededRandom(1), log: createRecordingLog() }),
  );
};
const plan = {
  leaseId: "lease_0190a0a000007000800000000000a001",
  externalName: "x",
  expiresAt: instantMs(clock.now() + 10_000),
  grant: {},
} as never;
const contextAt = (leftMs: number): IssueContext => ({
  clock,
  signal: new AbortController().signal,
  traceId: "",
  taskId: parseId("task", "task_0190a0a000007000800000000000a002", "task"),
  issueBy: instantMs(clock.now() + leftMs),
  checkpoint: async () => undefined,
});
const thrownBy = (work: Promise<unknown>): Promise<BackendError> =>
  work.then(
    () => Promise.reject(new Error("it went through")),
    (error: unknown) => {
      if (BackendError.isBackendError(error)) return error;
      throw error;
    },
  );

test("whatever an operation throws comes out as an error of the type that names the operation", async () => {
  const open = opened();
  if (open.revocation === "none" || open.renewal.kind === "none") throw new Error("not so");
  if (open.listing.kind === "none") throw new Error("not so");
  const [context, handle] = [contextAt(1_000), Secret.of("handle")];
  const errors = await Promise.all([
    thrownBy(open.issue(plan, context)),
    thrownBy(
      open.recover(plan, null, {
        ...context,
        settledForSeconds: durationSeconds(0),
        found: async () => undefined,
      }),
    ),
    thrownBy(open.revoke(handle, context)),
    thrownBy(open.probe(handle, context)),
    thrownBy(open.renewal.extend(plan, handle, instantMs(clock.now()), context)),
    thrownBy(open.listing.list(null, context)),
    thrownBy(open.selfCheck([], context)),
  ]);
  const names = ["issue", "recover", "revoke", "probe", "renew", "list", "self-check"];
  expect(calls).toEqual(names);
  expect(errors.map(({ message }) => message)).toEqual(
    names.map((name) => `Place, ${name}: it failed`),
  );
  expect(errors.map(({ effect }) => effect)).toEqual([...Array<string>(6).fill("unknown"), "none"]);
});

test("what is late, aborted or closed is not begun, and had no effect", async () => {
  const open = opened();
  const aborted = { ...contextAt(1_000), signal: AbortSignal.abort() };
  const errors = [
    await thrownBy(open.issue(plan, contextAt(-1))),
    await thrownBy(open.issue(plan, aborted)),
  ];
  await open.close();
  errors.push(await thrownBy(open.issue(plan, contextAt(1_000))));
  errors.push(await thrownBy(open.selfCheck([], contextAt(1_000))));
  expect(errors.map(({ effect }) => effect)).toEqual(Array<string>(4).fill("none"));
  expect(calls).toEqual([]);
});

test("capabilities that say other than the operations are refused where the type is defined", () => {
  const { list: _, ...unlisted } = definition.operations;
  const { probe: __, ...unproven } = definition.operations;
  expect(() => defineBackend({ ...definition, operations: unlisted })).toThrow("canList and list");
  expect(() => defineBackend({ ...definition, operations: unproven })).toThrow("revocation and");
});

test("a description has no secret, in whichever branch of the settings it stands", () => {
  const type = defineBackend(definition);
  expect(type.describeConfig(settings)).toEqual({ place: "here", login: { token: "[secret]" } });
  const other = { place: "here", login: { user: "mayfly", password: "s3cret" } };
  expect(type.describeConfig(other)["login"]).toEqual({ user: "mayfly", password: "[secret]" });
});
