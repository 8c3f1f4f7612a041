import { describe, expect, test } from "vitest";
import {
  durationSeconds,
  parseBackendId,
  plusSeconds,
  type BackendNames,
  type InstantMs,
} from "@mayfly/spec";
import { unique } from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

export function describeNaming(ledgerOf: () => LedgerUnderTest): void {
  describe("names that backends give out", () => {
    const bench = (): { readonly names: BackendNames; readonly until: InstantMs } => {
      const ledger = ledgerOf();
      const names = ledger.backendNames.of(parseBackendId(unique("backend"), "backend"));
      return { names, until: plusSeconds(ledger.now(), 900) };
    };
    describeTaking(bench);
    describeTurns(bench);
  });
}

type Bench = () => { readonly names: BackendNames; readonly until: InstantMs };

function describeTaking(bench: Bench): void {
  test("a name is taken once, whoever asks for it at once", async () => {
    const { names, until } = bench();
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => names.take("a", "place", until, 9)),
    );
    expect(answers.toSorted()).toEqual(["known", "known", "known", "taken"]);
    expect(await names.find("a")).toMatchObject({ isTaken: true, refusedForSeconds: null });
  });

  test("a place has no more names than it may have, however many ask at once", async () => {
    const { names, until } = bench();
    const ask = (name: string): Promise<string> => names.take(name, "place", until, 3);
    const answers = await Promise.all(["a", "b", "c", "d", "e"].map(ask));
    expect(answers.toSorted()).toEqual(["full", "full", "taken", "taken", "taken"]);
    expect(await names.take("f", "another", until, 3)).toBe("taken");
    const taken = ["a", "b", "c", "d", "e"].find((_, at) => answers[at] === "taken");
    await names.shorten(taken ?? "", plusSeconds(until, -900));
    expect(await names.take("g", "place", until, 3)).toBe("taken");
    expect(await names.take(taken ?? "", "place", until, 3)).toBe("known");
  });

  test("what is refused can be taken no more, and stays so until the later of two instants", async () => {
    const { names, until } = bench();
    const refused = await names.refuse("a", "place", until);
    expect(refused).toMatchObject({ name: "a", isTaken: false, seenForSeconds: null });
    expect(refused.refusedForSeconds).toBeGreaterThanOrEqual(0);
    expect(await names.take("a", "place", until, 3)).toBe("known");
    const again = await names.refuse("a", "elsewhere", plusSeconds(until, -600));
    expect(again.place).toBe("place");
    expect(again.leftSeconds).toBeGreaterThan(800);
    expect((await names.refuse("a", "place", plusSeconds(until, 600))).leftSeconds).toBeGreaterThan(
      1_400,
    );
    expect(await names.find("b")).toBeNull();
  });

  test("what ran out counts no more, and is still shown to who rewrites the place", async () => {
    const { names, until } = bench();
    await names.take("a", "place", plusSeconds(until, -901), 1);
    expect(await names.take("b", "place", until, 1)).toBe("taken");
    const { leftSeconds } = await names.refuse("a", "place", plusSeconds(until, -901));
    expect(leftSeconds).toBeLessThan(0);
    const begun = await names.beginTurn("place", durationSeconds(5));
    expect(begun?.refused.map(({ name }) => name)).toEqual(["a"]);
  });
}

function describeTurns(bench: Bench): void {
  test("one has the turn of a place, of another place another, and numbers only grow", async () => {
    const { names, until } = bench();
    await names.take("a", "place", until, 3);
    await names.refuse("b", "place", until);
    const [first, second] = await Promise.all([
      names.beginTurn("place", durationSeconds(60)),
      names.beginTurn("place", durationSeconds(60)),
    ]);
    const turn = first ?? second;
    if (turn === null) throw new Error("nobody has the turn");
    expect([first, second]).toContain(null);
    expect(turn.refused.map(({ name }) => name)).toEqual(["b"]);
    expect(await names.beginTurn("another", durationSeconds(60))).not.toBeNull();
    expect(await names.holdTurn("place", turn.turn, durationSeconds(60))).toBe(true);
    await names.endTurn("place", turn.turn);
    const next = await names.beginTurn("place", durationSeconds(60));
    expect(next?.turn).toBeGreaterThan(turn.turn);
  });

  test("a turn that ran out is lost, and gives nothing back that is another's by then", async () => {
    const { names } = bench();
    const lost = await names.beginTurn("place", durationSeconds(0));
    const next = await names.beginTurn("place", durationSeconds(60));
    expect(next?.turn).toBeGreaterThan(lost?.turn ?? Number.NaN);
    expect(await names.holdTurn("place", lost?.turn ?? 0, durationSeconds(60))).toBe(false);
    await names.endTurn("place", lost?.turn ?? 0);
    expect(await names.beginTurn("place", durationSeconds(60))).toBeNull();
  });

  test("the first look that saw a refusal counts, and places with one are told", async () => {
    const { names, until } = bench();
    expect(await names.places()).toEqual([]);
    await names.take("a", "place", until, 3);
    expect(await names.places()).toEqual([]);
    await names.refuse("a", "place", until);
    expect(await names.places()).toEqual(["place"]);
    await names.sawRefused(["a", "unknown"], []);
    const seen = (await names.find("a"))?.seenForSeconds;
    expect(seen).toBeGreaterThanOrEqual(0);
    await names.sawRefused(["a"], ["b"]);
    expect((await names.find("a"))?.seenForSeconds).toBeGreaterThanOrEqual(seen ?? Number.NaN);
    await names.sawRefused([], ["a"]);
    expect((await names.find("a"))?.seenForSeconds).toBeNull();
  });
}
