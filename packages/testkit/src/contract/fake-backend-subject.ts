import { Secret, type CredentialBackend, type Issued } from "@mayfly/spec";
import type { FakeUpstream } from "../fake-backend/index.ts";
import type { FakeClock } from "../fake-clock.ts";
import { createRecordingLog } from "../recording-log.ts";
import { seededRandom } from "../seeded-random.ts";
import { createTestBackendHost } from "../test-backend-host.ts";
import type { BackendContractSubject, ContractUpstream } from "./backend-contract-subject.ts";

const config = { address: "fake.test", password: "canary-of-the-fake" };
const role = { groups: ["readers", "writers"], connections: 4 };

export interface FakeBackendUnderTest {
  readonly name: string;
  /** The fake, or what is around it. */
  readonly backend: CredentialBackend;
  readonly upstream: FakeUpstream;
  readonly clock: FakeClock;
  /** Members of the configuration beside the fake's own. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** The fake as the contract suite drives it. */
export const fakeBackendSubject = (fake: FakeBackendUnderTest): BackendContractSubject => ({
  name: fake.name,
  backend: fake.backend,
  inputs: {
    config: {
      valid: [{ ...config, ...fake.config }],
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
  start: async () => driven(fake),
});

function accountOf(material: Issued["material"]): readonly [string, string] {
  const { username, password } = material;
  if (typeof username !== "string" || !(password instanceof Secret)) throw new Error("no account");
  return [username, password.expose("upstream")];
}

function driven({ upstream, clock, config: more }: FakeBackendUnderTest): ContractUpstream {
  const log = createRecordingLog();
  const random = seededRandom(3);
  return {
    clock,
    config: { ...config, ...more },
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
