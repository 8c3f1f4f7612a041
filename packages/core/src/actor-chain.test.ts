import { describe, expect, test } from "vitest";
import { parseTrustRootName, type Workload } from "@mayfly/spec";
import { partiesOf, pastActorsIn } from "./actor-chain.ts";

const workload = (name: string): Workload => ({
  trustRoot: parseTrustRootName("acme.test", "trust"),
  kind: "spiffe",
  issuer: "spiffe://acme.test",
  subject: name,
  attributes: {},
});
const task = (name: string, verifiedInitiator: string | null = null) => ({
  workload: workload(name),
  verifiedInitiator,
});

describe("who is meant and who acts", () => {
  test("are one for a workload that opened a task for itself", () => {
    expect(partiesOf(task("w0"), [])).toEqual({ subject: "w0" });
  });

  test("are initiator and workload where somebody asked for the task", () => {
    expect(partiesOf(task("w0", "alice"), [])).toEqual({ subject: "alice", actors: ["w0"] });
  });

  test("of a child are the subject of its parent, and its own workload before its parents'", () => {
    expect(partiesOf(task("w1"), ["w0"])).toEqual({ subject: "w0", actors: ["w1"] });
    expect(partiesOf(task("w2"), ["w0", "w1"])).toEqual({ subject: "w0", actors: ["w2", "w1"] });
    expect(partiesOf(task("w1", "alice"), ["w0"])).toEqual({
      subject: "alice",
      actors: ["w1", "w0"],
    });
  });

  test("of a child that acts as its parent are its parent's", () => {
    expect(partiesOf(task("w0"), ["w0"])).toEqual({ subject: "w0" });
    expect(partiesOf(task("w0", "alice"), ["w0"])).toEqual({ subject: "alice", actors: ["w0"] });
    expect(partiesOf(task("w0"), ["w0", "w1"])).toEqual({ subject: "w0", actors: ["w0", "w1"] });
  });

  test("what an initiator's token told of is the end of the history, and is found there again", () => {
    const root = task("w0", "alice");
    const parties = partiesOf(root, [], ["portal"]);
    expect(parties).toEqual({ subject: "alice", actors: ["w0", "portal"] });
    expect(pastActorsIn(parties, root, [])).toEqual(["portal"]);
    expect(pastActorsIn({ subject: "alice", actors: ["w0"] }, root, [])).toEqual([]);
    expect(partiesOf(task("w1", "alice"), ["w0"], ["portal"]).actors).toEqual([
      "w1",
      "w0",
      "portal",
    ]);
  });

  test("a token of the version before, whose subject is the workload, tells of nobody else", () => {
    expect(pastActorsIn({ subject: "w0" }, task("w0", "alice"), [])).toEqual([]);
  });
});
