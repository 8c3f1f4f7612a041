import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import {
  BackendError,
  BrokerError,
  durationSeconds,
  idFromUuid,
  LEASE_STATES,
  LEASE_TRANSITIONS,
  parseBackendId,
  parseId,
  parseRoleName,
  Secret,
  uuidOfId,
  clientIdOf,
  nameOfClientId,
  workloadName,
} from "./index.ts";

const UUID = "0199aabb-ccdd-7eee-8fff-001122334455";

describe("an id", () => {
  it("goes to its UUID and back", () => {
    const id = idFromUuid("lease", UUID);
    expect(id).toBe("lease_0199aabbccdd7eee8fff001122334455");
    expect(uuidOfId(id)).toBe(UUID);
  });
  it.each([
    ["another kind", "task_0199aabbccdd7eee8fff001122334455"],
    ["no prefix", "0199aabbccdd7eee8fff001122334455"],
    ["upper case", "lease_0199AABBCCDD7EEE8FFF001122334455"],
    ["another UUID version", "lease_0199aabbccdd4eee8fff001122334455"],
    ["a trailing line feed", "lease_0199aabbccdd7eee8fff001122334455\n"],
    ["a number", 7],
  ])("is refused with %s, and the error says where", (_what, input) => {
    expect(() => parseId("lease", input, "body.lease")).toThrow(/^body\.lease: expected an id/);
  });
});

describe("a name", () => {
  it.each(["", "-a", "a-", "A", "a_b", "a/b", "a".repeat(64), 'a"b', "a\n"])(
    "is refused as a backend: %j",
    (input) => {
      expect(() => parseBackendId(input, "backend")).toThrow("backend: expected");
    },
  );
  it("of a role names its backend before the slash", () => {
    expect(() => parseRoleName("orders-db", "role")).toThrow("role: expected");
    expect(parseRoleName("orders-db/reader", "role")).toBe("orders-db/reader");
  });
  it("of a workload is its SPIFFE ID, or issuer and subject parted by a hash", () => {
    expect(
      workloadName({ kind: "spiffe", issuer: "spiffe://a.test", subject: "spiffe://a.test/x" }),
    ).toBe("spiffe://a.test/x");
    expect(workloadName({ kind: "oidc", issuer: "https://i.test", subject: "a#b" })).toBe(
      "https://i.test#a#b",
    );
  });
  it.each([
    ["spiffe://a.test/x", "spiffe://a.test/x"],
    ["https://i.test#https://i.test", "https://i.test"],
    ["https://i.test#a", "https://i.test#a"],
    [
      "https://i.test#https://i.test#https://i.test",
      "https://i.test#https://i.test#https://i.test",
    ],
    ["#", "#"],
  ])("%s is the client %s to OAuth", (name, clientId) => {
    expect(clientIdOf(name)).toBe(clientId);
    expect(nameOfClientId(clientId)).toBe(name);
  });
});

describe("a secret", () => {
  const secret = Secret.of("hunter2");
  it("shows as [secret] in JSON, in templates, in inspection and in an error", () => {
    const shown = [
      JSON.stringify({ secret }),
      `${secret.toString()}`,
      inspect({ secret }, { depth: 9, showHidden: true }),
      String(new Error("x", { cause: secret }).cause),
    ].join(" ");
    expect(shown).not.toContain("hunter2");
    expect(shown).toContain("[secret]");
  });
  it("comes out only by name", () => {
    expect(secret.expose("crypto")).toBe("hunter2");
  });
});

describe("an error", () => {
  it("is known across two copies of the package", () => {
    const other = { [Symbol.for("mayfly.BrokerError")]: true };
    expect(BrokerError.is(other)).toBe(true);
    expect(BrokerError.is(new Error("x"))).toBe(false);
  });
  it("of a backend says whether the backend may have acted", () => {
    const error = new BackendError("The backend did not answer.", {
      effect: "unknown",
      retry: { kind: "after", seconds: durationSeconds(3) },
    });
    expect(error.code).toBe("backend_unavailable");
    expect(error.retryAfterSeconds).toBe(3);
    expect(BackendError.isBackendError(error)).toBe(true);
  });
});

describe("the lease machine", () => {
  it("leads from every state but `ended` to `ended`, and never back to `reserved` or `active`", () => {
    for (const state of LEASE_STATES) {
      const reached = new Set<string>([state]);
      for (const from of reached) {
        const edges: Readonly<Record<string, string>> =
          LEASE_TRANSITIONS[from as (typeof LEASE_STATES)[number]];
        for (const to of Object.values(edges)) reached.add(to);
      }
      expect(reached).toContain("ended");
      if (state !== "reserved") expect(reached).not.toContain("reserved");
      if (state !== "reserved" && state !== "active") expect(reached).not.toContain("active");
    }
  });
});
