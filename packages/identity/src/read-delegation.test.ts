import { describe, expect, test } from "vitest";
import { readDelegation } from "./read-delegation.ts";
import { Refusal } from "./refusal.ts";

const reasonOf = (claims: Readonly<Record<string, unknown>>): string => {
  try {
    readDelegation(claims);
    return "read";
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
};
const chain = (depth: number): unknown =>
  depth === 0 ? undefined : { sub: `a${depth}`, act: chain(depth - 1) };

describe("act and may_act", () => {
  test("are read as names, the current actor first", () => {
    const act = {
      iss: "https://idp.test",
      sub: "agent",
      exp: 1,
      aud: "elsewhere",
      act: {
        iss: "https://ignored.test",
        sub: "spiffe://acme.test/agent/one",
        act: { sub: "two" },
      },
    };
    expect(readDelegation({ sub: "alice", act })).toEqual({
      actors: ["https://idp.test#agent", "spiffe://acme.test/agent/one", "two"],
      mayAct: null,
    });
    expect(readDelegation({ may_act: { iss: "https://idp.test", sub: "agent" } })).toEqual({
      actors: [],
      mayAct: { issuer: "https://idp.test", subject: "agent", isComparable: true },
    });
    expect(readDelegation({ may_act: { sub: "agent", client_id: "x" } })).toMatchObject({
      mayAct: { issuer: null, isComparable: false },
    });
    expect(readDelegation({ sub: "alice" })).toBe(null);
  });

  test("four actors are read, and a fifth is refused", () => {
    expect(readDelegation({ act: chain(4) })?.actors).toEqual(["a4", "a3", "a2", "a1"]);
    expect(reasonOf({ act: chain(5) })).toBe("claims");
    expect(reasonOf({ act: chain(2000) })).toBe("claims");
  });

  test.each([
    ["act is null", { act: null }],
    ["act is a text", { act: "agent" }],
    ["act is a list", { act: [{ sub: "agent" }] }],
    ["act names nobody", { act: {} }],
    ["act's subject is empty", { act: { sub: "" } }],
    ["act's subject is no text", { act: { sub: 7 } }],
    ["act's subject has a line break", { act: { sub: "a\nb" } }],
    ["act's issuer is no text", { act: { sub: "a", iss: 1 } }],
    ["a nested act names nobody", { act: { sub: "a", act: { iss: "https://idp.test" } } }],
    ["may_act is a text", { may_act: "agent" }],
    ["may_act is a list", { may_act: ["agent"] }],
    ["may_act names nobody", { may_act: { client_id: "agent" } }],
  ])("a token is refused where %s", (_what, claims) => {
    expect(reasonOf(claims)).toBe("claims");
  });
});
