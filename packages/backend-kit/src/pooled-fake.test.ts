import { Secret, type Issued } from "@mayfly/spec";
import {
  createFakeClock,
  createRecordingLog,
  createTestBackendHost,
  createTestSlots,
  seededRandom,
} from "@mayfly/testkit";
import { describeBackendContract, type ContractUpstream } from "@mayfly/testkit/contract";
import { FakePool } from "./testing/fake-pool.ts";
import { pooledFake } from "./testing/pooled-fake.ts";

const SHARED = 200;
const slotNames = Array.from({ length: 260 }, (_, at) => `s${String(at).padStart(3, "0")}`);
const config = { password: "canary-of-the-fake", slots: ["a", "b"] };

function accountOf({ username, password }: Issued["material"]): readonly [string, string] {
  if (typeof username !== "string" || !(password instanceof Secret)) throw new Error("no account");
  return [username, password.expose("upstream")];
}

function describeFake(name: string, compares: boolean): void {
  const clock = createFakeClock();
  const pool = new FakePool(clock, compares);
  describeBackendContract({
    name,
    backend: pooledFake(pool),
    inputs: {
      config: {
        valid: [config],
        bad: [{ input: { ...config, slots: ["a", "a"] }, names: "config.slots" }],
        secrets: [config.password],
      },
      role: { valid: [{ level: 3 }], bad: [{ input: { level: 0 }, names: "role.level" }] },
      params: {
        valid: [{ level: 1 }, {}],
        bad: [{ input: { level: 1.5 }, names: "params.level" }],
      },
      narrowing: { role: { level: 3 }, wide: {}, narrow: { level: 1 }, tooWide: [{ level: 4 }] },
    },
    unreachableConfig: null,
    protocol: null,
    start: async () => driven(pool, clock),
  });
}

function driven(pool: FakePool, clock: ReturnType<typeof createFakeClock>): ContractUpstream {
  const [log, random, slots] = [createRecordingLog(), seededRandom(3), createTestSlots(clock)];
  const configOf = (names: readonly string[]) => ({ ...config, slots: names });
  let used = SHARED;
  return {
    clock,
    config: configOf(slotNames.slice(0, SHARED)),
    role: { level: 3 },
    params: {},
    host: (installation = "contract") =>
      createTestBackendHost({ clock, random, log, installation, slots: slots.slots }),
    pass: (ms) => clock.advance(ms),
    tryCredential: async (material) => pool.logIn(...accountOf(material)),
    openSession: async (material) => {
      const [slot] = accountOf(material);
      const session = pool.openSession(slot);
      return {
        alive: async () => pool.at(slot).sessions.has(session),
        close: async () => undefined,
      };
    },
    liveNames: async () => pool.live().map(({ mark }) => mark.split(" ")[0] ?? ""),
    block: async () => {
      pool.hold();
      return { release: async () => pool.release() };
    },
    forgeMark: async (name) => {
      const found = pool.live().find(({ mark }) => mark.startsWith(name));
      if (found !== undefined)
        pool.put(found.slot, { mark: found.mark.replace(/.{8}$/, "0".repeat(8)) });
    },
    weaken: async () => {
      pool.isWeak = true;
      return {
        restore: async () => {
          pool.isWeak = false;
        },
      };
    },
    route: null,
    stop: async () => undefined,
    // The longest of the host's quarantine (2 s), the longest call (5 s) and the longest token.
    pool: {
      slots,
      quarantineSeconds: 7,
      configOf: (count) => configOf(slotNames.slice(used, (used += count))),
    },
  };
}

describeFake("fake pool that compares generations", true);
describeFake("fake pool that cannot compare", false);
