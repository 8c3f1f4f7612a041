import { until } from "../harness/index.ts";
import type { EveryType } from "./every-type-scene.ts";
import type { RunningServer } from "./shared-servers/shared-server.ts";

export interface HeldMints {
  readonly reached: (withinMs: number) => Promise<void>;
  readonly enough: () => void;
}

/** Which of the steps of a mint that have an effect. */
export type Step = (steps: RunningServer["mintSends"]) => number;

/**
 * From now on each server is not reached by that step of a mint that the scene has not begun yet,
 * nor by what its process sends after it. What else goes to the server is not held.
 *
 * @returns `reached` resolves once a mint of each has come so far. After `enough` nothing more is
 *   held than by then: whoever recovers a lease may send the same.
 */
export async function holdMints(
  { mayfly }: EveryType,
  running: readonly RunningServer[],
  step: Step,
): Promise<HeldMints> {
  const earlier = await mayfly.ledger<{ name: string }[]>`
    SELECT plan ->> 'externalName' AS name FROM mayfly.leases`;
  const reached = new Set<string>();
  const held: string[] = [];
  for (const { type, proxy, mintSends } of running) {
    const isIt = mintSends[step(mintSends)];
    if (proxy === null || isIt === undefined) continue;
    held.push(type);
    proxy.hold((bytes) => {
      const piece = wordsOf(bytes);
      const isOurs = piece.includes(`mf_${mayfly.id}`);
      if (!isOurs || !isIt(bytes.toString("latin1"))) return false;
      if (earlier.some(({ name }) => piece.includes(name))) return false;
      reached.add(type);
      return true;
    });
  }
  return {
    reached: async (withinMs) => {
      const what = `a mint of each of ${held.join(", ")} to be held`;
      await until(what, withinMs, async () => reached.size === held.length);
    },
    enough: () => {
      for (const { proxy } of running) proxy?.hold(() => false);
    },
  };
}

/** As it is sent, and what signed claims in it say. */
function wordsOf(bytes: Buffer): string {
  const sent = bytes.toString("latin1");
  const claims = [...sent.matchAll(/\.(eyJ[\w-]+)\./g)].map(([, part = ""]) =>
    Buffer.from(part, "base64url").toString(),
  );
  return [sent, ...claims].join(" ");
}

/** What is held arrives, however late. */
export function releaseMints(running: readonly RunningServer[]): void {
  for (const { proxy } of running) proxy?.release();
}
