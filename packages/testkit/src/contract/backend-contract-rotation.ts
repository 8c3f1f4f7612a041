import { describe, expect, test } from "vitest";
import {
  BackendError,
  type CallContext,
  type JsonObject,
  type OpenBackend,
  type PoolingHost,
  type Secret,
  type SecretRotation,
} from "@mayfly/spec";
import { backendErrorOf, type BackendBench } from "./backend-bench.ts";
import type { ContractRotation, ObtainedLogin, RotatedLogin } from "./backend-contract-subject.ts";

/** W1 to W5, of a type whose broker's own secret is replaced by Mayfly. */
export function describeRotation(rotation: SecretRotation, benchOf: () => BackendBench): void {
  describe("rotation of the broker's own secret", () => {
    describeAdopting(benchOf);
    if (rotation.madeBy === "upstream") describeObtaining(benchOf);
  });
}

function told({ upstream }: BackendBench): ContractRotation {
  if (upstream.rotation !== undefined) return upstream.rotation;
  throw new Error("the upstream of a type with a rotation has a login that may be replaced");
}

/** The core's part of a rotation, step by step, on a login of its own. */
class Rotating {
  readonly #bench: BackendBench;
  readonly #host: PoolingHost;
  readonly rotation: SecretRotation;
  readonly before: JsonObject;

  constructor(bench: BackendBench, { config }: RotatedLogin) {
    this.#bench = bench;
    this.#host = told(bench).host ?? bench.host;
    if (bench.backend.rotation === undefined) throw new Error("the type has no rotation");
    this.rotation = bench.backend.rotation;
    this.before = bench.backend.parseConfig(config);
  }
  call(): CallContext {
    return { clock: this.#host.clock, signal: new AbortController().signal, traceId: "contract" };
  }
  /** As one more process does, for as long as `run` takes. */
  async using<T>(config: JsonObject, run: (open: OpenBackend) => Promise<T>): Promise<T> {
    const { backend } = this.#bench;
    const open = backend.open(backend.parseConfig(config), this.#host);
    try {
      return await run(open);
    } finally {
      await open.close();
    }
  }
  async isLetIn(open: OpenBackend): Promise<boolean> {
    const { backend, upstream } = this.#bench;
    try {
      const roles = [backend.parseRole(upstream.role)];
      return (await open.selfCheck(roles, this.call())).problems.length === 0;
    } catch (error) {
      if (BackendError.isBackendError(error)) return false;
      throw error;
    }
  }
  /** Of each, whether a process that has it alone is let in; one after the other. */
  async letIn(...configs: readonly JsonObject[]): Promise<readonly boolean[]> {
    const seen: boolean[] = [];
    for (const config of configs) {
      seen.push(await this.using(config, (open) => this.isLetIn(open)));
    }
    return seen;
  }
  begin(config = this.before): JsonObject {
    const { random, clock } = this.#host;
    const begun = this.rotation.begin(config, random, clock.now());
    if (!this.rotation.isUnderWay(begun)) throw new Error("what was begun is not under way");
    return begun;
  }
  obtain(begun: JsonObject): Promise<Secret | null> {
    return this.using(begun, ({ obtainSecret }) => {
      if (obtainSecret === undefined) throw new Error("what the upstream makes can be obtained");
      return obtainSecret(this.call());
    });
  }
  take(begun: JsonObject, obtained: Secret | null): JsonObject {
    if (this.rotation.madeBy !== "upstream" || obtained === null) throw new Error("none obtained");
    return this.rotation.take(begun, obtained);
  }
  /** Both secrets, the new one as whoever makes it made it. */
  async both(config = this.before): Promise<JsonObject> {
    const begun = this.begin(config);
    if (this.rotation.madeBy === "mayfly") return begun;
    return this.take(begun, await this.obtain(begun));
  }
  adopt(both: JsonObject): Promise<void> {
    return this.using(both, ({ adoptSecret }) => {
      if (adoptSecret === undefined) throw new Error("a type with a rotation adopts secrets");
      return adoptSecret(this.call());
    });
  }
}

async function onOwnLogin(
  bench: BackendBench,
  work: (rotating: Rotating) => Promise<void>,
): Promise<void> {
  const login = await told(bench).login();
  try {
    await work(new Rotating(bench, login));
  } finally {
    await login.giveBack();
  }
}

async function onObtainedLogin(
  bench: BackendBench,
  work: (rotating: Rotating, login: ObtainedLogin) => Promise<void>,
): Promise<void> {
  const given = told(bench);
  if (given.madeBy !== "upstream") throw new Error("the upstream makes the type's secrets");
  const login = await given.login();
  try {
    await work(new Rotating(bench, login), login);
  } finally {
    await login.giveBack();
  }
}

function describeAdopting(benchOf: () => BackendBench): void {
  test("W1, W2. the new secret alone is let in, however often, and nobody is locked out till then", () =>
    onOwnLogin(benchOf(), async (rotating) => {
      const { before, rotation } = rotating;
      const both = await rotating.both();
      const after = rotation.finish(both);
      expect(rotation.isUnderWay(after)).toBe(false);
      // What the upstream made it knows; what Mayfly made nobody was told of yet.
      const isKnown = rotation.madeBy === "upstream";
      expect(await rotating.letIn(before, both, after)).toEqual([true, true, isKnown]);
      await rotating.using(both, async (open) => {
        expect(await rotating.isLetIn(open)).toBe(true);
        await rotating.adopt(both);
        // One process has had it open all the while.
        expect(await rotating.isLetIn(open)).toBe(true);
      });
      expect(await rotating.letIn(before, both, after)).toEqual([false, true, true]);
      // As after a crash before it was noted: again, and by the new one.
      await rotating.adopt(both);
      expect(await rotating.letIn(before, both, after)).toEqual([false, true, true]);
      // And once more from there, by its own right.
      const next = await rotating.both(after);
      await rotating.adopt(next);
      expect(await rotating.letIn(after, rotation.finish(next))).toEqual([false, true]);
    }));
}

function describeObtaining(benchOf: () => BackendBench): void {
  test("W4. a new secret is beside the old one, and none is made where there is one already", () =>
    onOwnLogin(benchOf(), async (rotating) => {
      const { before, rotation } = rotating;
      const both = await rotating.both();
      expect(await rotating.obtain(both)).toBeNull();
      const after = rotation.finish(both);
      expect(await rotating.letIn(before, both, after)).toEqual([true, true, true]);
    }));
  test("W3. a secret whose answer was lost is in nobody's way, and lives on for nobody", () =>
    onObtainedLogin(benchOf(), async (rotating, { lost }) => {
      const { rotation } = rotating;
      const begun = rotating.begin();
      const unkept = rotation.finish(rotating.take(begun, await rotating.obtain(begun)));
      const both = rotating.take(begun, await obtainLater(rotating, begun, lost));
      const after = rotation.finish(both);
      expect(after).not.toEqual(unkept);
      if (lost.kind === "destroyed") expect(await rotating.letIn(unkept)).toEqual([false]);
      else {
        const seconds = await lost.secondsLeft(unkept);
        expect(seconds).toBeGreaterThan(0);
        expect(seconds).toBeLessThanOrEqual(lost.secondsMax);
      }
      await rotating.adopt(both);
      expect(await rotating.letIn(rotating.before, after)).toEqual([false, true]);
    }));
  test("W5. where none can be made the effect is none, nothing is left, and it goes on later", () =>
    onObtainedLogin(benchOf(), async (rotating, login) => {
      const begun = rotating.begin();
      const forbidden = await login.forbid();
      try {
        expect((await backendErrorOf(rotating.obtain(begun))).effect).toBe("none");
      } finally {
        await forbidden.restore();
      }
      expect(await rotating.letIn(rotating.before, begun)).toEqual([true, true]);
      // A secret that had been made would have to be looked for first.
      const both = rotating.take(begun, await rotating.obtain(begun));
      expect(await rotating.letIn(rotating.rotation.finish(both))).toEqual([true]);
    }));
}

/** Waits, where it is said that somebody may still be about to keep the one that was lost. */
async function obtainLater(
  rotating: Rotating,
  begun: JsonObject,
  lost: ObtainedLogin["lost"],
): Promise<Secret | null> {
  if (lost.kind === "ends_by_itself") return rotating.obtain(begun);
  const { effect, retry } = await backendErrorOf(rotating.obtain(begun));
  expect(effect).toBe("none");
  if (retry.kind !== "after") throw new Error("it is not said when a lost secret is destroyed");
  lost.later(retry.seconds * 1_000);
  return rotating.obtain(begun);
}
