import { describe, expect, test } from "vitest";
import { Secret } from "@mayfly/spec";
import { createFakeSealedValues, createFakeSealer } from "@mayfly/testkit";
import { createSealing } from "./sealing.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;
const MANY = 1_203;

/** Values that were sealed under `k1`, and a process that has `k2` before it. */
async function rotating() {
  const sealed = createFakeSealedValues();
  const old = createFakeSealer(["k1"]);
  for (let n = 0; n < MANY; n++) {
    const place = `lease:${String(n).padStart(5, "0")}`;
    const value = await old.seal(Secret.of(`secret ${n}`), place);
    sealed.values.set(place, { kind: "lease", place, binding: place, sealed: value });
  }
  const sealer = createFakeSealer(["k2", "k1"]);
  return { sealed, sealer, sealing: createSealing({ sealed, sealer }) };
}
type Rotating = Awaited<ReturnType<typeof rotating>>;

async function resealAll({ sealing }: Pick<Rotating, "sealing">) {
  const turns = [];
  let after: string | null = null;
  do {
    const turn = await sealing.reseal(after, ADMIN);
    turns.push(turn);
    after = turn.next;
  } while (after !== null);
  return turns;
}

describe("re-sealing", () => {
  test("moves everything to the first key, in batches, and then the old key opens nothing", async () => {
    const all = await rotating();
    expect((await all.sealing.status()).counts).toEqual([
      { kind: "lease", keyId: "k1", values: MANY },
    ]);
    const turns = await resealAll(all);
    expect(turns.map(({ resealed }) => resealed)).toEqual([500, 500, 203]);
    expect(await all.sealing.status()).toEqual({
      keyIds: ["k2", "k1"],
      counts: [{ kind: "lease", keyId: "k2", values: MANY }],
    });
    const without = createFakeSealer(["k2"]);
    for (const { binding, sealed } of all.sealed.values.values()) {
      expect((await without.open(sealed, binding)).expose("crypto")).toMatch(/^secret \d+$/);
    }
    expect((await resealAll(all)).map(({ resealed }) => resealed)).toEqual([0, 0, 0]);
  });

  test("goes on where it was interrupted, and does nothing twice", async () => {
    const all = await rotating();
    await all.sealing.reseal(null, ADMIN);
    const turns = await resealAll(all);
    expect(turns.map(({ resealed }) => resealed)).toEqual([0, 500, 203]);
  });

  test("leaves alone what somebody wrote anew meanwhile", async () => {
    const { sealed, sealer } = await rotating();
    const fresh = await sealer.seal(Secret.of("newer"), "lease:00007");
    const racing = createSealing({
      sealed: {
        ...sealed,
        replace: (resealed, ...rest) => {
          const now = sealed.values.get("lease:00007");
          if (now !== undefined) sealed.values.set(now.place, { ...now, sealed: fresh });
          return sealed.replace(resealed, ...rest);
        },
      },
      sealer,
    });
    const [first] = await resealAll({ sealing: racing });
    expect(first).toMatchObject({ resealed: 499, changed: 1 });
    expect(sealed.values.get("lease:00007")?.sealed).toBe(fresh);
  });

  test("names what does not open, and goes on with the rest", async () => {
    const all = await rotating();
    const lost = createFakeSealer(["k0"]);
    const strange = { kind: "backend", place: "backend:orders-db:1", binding: "b" } as const;
    const value = await lost.seal(Secret.of("x"), "b");
    all.sealed.values.set(strange.place, { ...strange, sealed: value });
    const junk = { ...strange, place: "backend:junk:1", sealed: new Uint8Array(3) };
    all.sealed.values.set(junk.place, junk);
    const turns = await resealAll(all);
    expect(turns.flatMap(({ unopened }) => unopened)).toEqual([junk.place, strange.place]);
    expect(turns.reduce((sum, { resealed }) => sum + resealed, 0)).toBe(MANY);
    const { counts } = await all.sealing.status();
    expect(counts).toContainEqual({ kind: "backend", keyId: null, values: 1 });
  });
});
