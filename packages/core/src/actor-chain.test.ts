import { describe, expect, test } from "vitest";
import { parseTrustRootName, type TaskDescriptor, type Workload } from "@mayfly/spec";
import { partiesOf } from "./actor-chain.ts";

const workload = (name: string): Workload => ({
  trustRoot: parseTrustRootName("acme.test", "trust"),
  kind: "spiffe",
  issuer: "spiffe://acme.test",
  subject: name,
  attributes: {},
});
const task = (
  name: string,
  verifiedInitiator: string | null = null,
  descriptor: Pick<TaskDescriptor, "impersonate"> = {},
) => ({ workload: workload(name), verifiedInitiator, descriptor });

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

  test("what an initiator's token told of is the end of the history", () => {
    const past = ["portal"];
    const parties = { subject: "alice", actors: ["w0", "portal"] };
    expect(partiesOf(task("w0", "alice"), [], past)).toEqual(parties);
    expect(partiesOf(task("w1", "alice"), ["w0"], past).actors).toEqual(["w1", "w0", "portal"]);
  });

  test("of a task that impersonates are both known, and marked to be told of as one", () => {
    const impersonate = { impersonate: true } as const;
    expect(partiesOf(task("w0", "alice", impersonate), [])).toEqual({
      subject: "alice",
      actors: ["w0"],
      impersonates: true,
    });
  });

  test("of a child of such a task are told of as of any other", () => {
    expect(partiesOf(task("w1", "alice"), ["w0"])).toEqual({
      subject: "alice",
      actors: ["w1", "w0"],
    });
  });
});
