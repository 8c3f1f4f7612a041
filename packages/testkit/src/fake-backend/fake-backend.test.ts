import { durationSeconds, type BackendCapabilities, type Issued, Secret } from "@mayfly/spec";
import { describeBackendContract, type ContractUpstream } from "../contract/index.ts";
import { createFakeClock } from "../fake-clock.ts";
import { createRecordingLog } from "../recording-log.ts";
import { seededRandom } from "../seeded-random.ts";
import { createTestBackendHost } from "../test-backend-host.ts";
import { createFakeBackend } from "./fake-backend.ts";
import { FakeUpstream, type FakeUpstreamOptions } from "./fake-upstream.ts";

const config = { address: "fake.test", password: "canary-of-the-fake" };
const role = { groups: ["readers", "writers"], connections: 4 };

function describeFake(
  name: string,
  capabilities: Partial<BackendCapabilities>,
  options: Partial<FakeUpstreamOptions> = {},
): void {
  const clock = createFakeClock();
  const upstream = new FakeUpstream({ clock, ...options });
  const backend = createFakeBackend({ upstream, capabilities });
  describeBackendContract({
    name,
    backend,
    inputs: {
      config: {
        valid: [config],
        bad: [
          { input: { address: "x" }, names: "password" },
          { input: { ...config, address: 7 }, names: "address" },
        ],
        secrets: [config.password],
      },
      role: {
        valid: [role, { groups: ["b", "a", "b"] }],
        bad: [
          { input: {}, names: "groups" },
          { input: { groups: ["a", 7] }, names: "groups[1]" },
          { input: { ...role, connections: 0 }, names: "connections" },
        ],
      },
      params: {
        valid: [{ groups: ["readers"], connections: 1 }, {}],
        bad: [{ input: { connections: 1.5 }, names: "connections" }],
      },
      narrowing: {
        role,
        wide: {},
        narrow: { groups: ["readers"], connections: 2 },
        tooWide: [{ groups: ["owners"] }, { connections: 5 }],
      },
    },
    unreachableConfig: null,
    protocol: null,
    start: async () => driven(upstream, clock),
  });
}

function accountOf(material: Issued["material"]): readonly [string, string] {
  const { username, password } = material;
  if (typeof username !== "string" || !(password instanceof Secret)) throw new Error("no account");
  return [username, password.expose("upstream")];
}

function driven(
  upstream: FakeUpstream,
  clock: ReturnType<typeof createFakeClock>,
): ContractUpstream {
  const log = createRecordingLog();
  const random = seededRandom(3);
  return {
    clock,
    config,
    role,
    params: {},
    host: (installation = "contract") =>
      createTestBackendHost({ clock, random, log, installation }),
    pass: (ms) => clock.advance(ms),
    tryCredential: async (material) => upstream.logIn(...accountOf(material)),
    openSession: async (material) => {
      const [name, password] = accountOf(material);
      upstream.openSession(name, password);
      return {
        alive: async () => (upstream.find(name)?.sessions ?? 0) > 0,
        close: async () => undefined,
      };
    },
    liveNames: async () => upstream.live().map((credential) => credential.name),
    block: async () => {
      upstream.fail("issue", "late_effect");
      return {
        release: async () => {
          upstream.deliverLate();
        },
      };
    },
    route: null,
    forgeMark: async (name) => upstream.forgeTag(name),
    weaken: async () => {
      upstream.fail("selfCheck", "pretend");
      return { restore: async () => upstream.heal() };
    },
    stop: async () => undefined,
  };
}

describeFake("fake, immediate", {});
describeFake(
  "fake, propagating",
  { revocation: "propagating", expiryEnforcedBy: "broker" },
  { propagationSeconds: 90, refusesExpired: false },
);
describeFake("fake, no revocation", { revocation: "none", canRenew: false, canList: false });
describeFake(
  "fake, login only, no deadline upstream, short",
  {
    expiryEnforcedBy: "login_only",
    canList: false,
    ttlSecondsMax: durationSeconds(600),
  },
  { testsDeadline: false },
);
describeFake("fake, upserts", { lateMint: "looked_for" }, { upserts: true, testsDeadline: false });
