import { Secret, type BackendSlots, type Issued } from "@mayfly/spec";
import {
  createRecordingLog,
  createTestBackendHost,
  createTestSlots,
  seededRandom,
  type FakeClock,
} from "@mayfly/testkit";
import type { ContractUpstream } from "@mayfly/testkit/contract";
import type { FakePool } from "./fake-pool.ts";

const SHARED = 200;
const slotNames = Array.from({ length: 260 }, (_, at) => `s${String(at).padStart(3, "0")}`);

/** A configuration of the fake, whose slots each upstream has of its own. */
export const FAKE_POOL_CONFIG = { password: "canary-of-the-fake", slots: ["a", "b"] };

function accountOf({ username, password }: Issued["material"]): readonly [string, string] {
  if (typeof username !== "string" || !(password instanceof Secret)) throw new Error("no account");
  return [username, password.expose("upstream")];
}

/** `slotsThrough`: what stands between the processes and their ledger. */
export function driveFakePool(
  pool: FakePool,
  clock: FakeClock,
  slotsThrough: (slots: BackendSlots) => BackendSlots = (slots) => slots,
): ContractUpstream & { readonly pool: NonNullable<ContractUpstream["pool"]> } {
  const [log, random, slots] = [createRecordingLog(), seededRandom(3), createTestSlots(clock)];
  const configOf = (names: readonly string[]) => ({ ...FAKE_POOL_CONFIG, slots: names });
  let used = SHARED;
  return {
    clock,
    config: configOf(slotNames.slice(0, SHARED)),
    role: { level: 3 },
    params: {},
    host: (installation = "contract") =>
      createTestBackendHost({ clock, random, log, installation, slots: slotsThrough(slots.slots) }),
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
