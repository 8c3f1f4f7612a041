import { createHmac, timingSafeEqual } from "node:crypto";
import {
  durationSeconds,
  parseBackendId,
  parseInstallationId,
  type BackendBudget,
  type BackendKeys,
  type BackendNames,
  type BackendSlots,
  type Clock,
  type Log,
  type OutboundApis,
  type PoolingHost,
  type Random,
  type TokenHost,
} from "@mayfly/spec";
import { createTestBudget } from "./memory-ledger/backend-budget.ts";
import { createMemoryNames } from "./memory-ledger/backend-names.ts";
import { createTestSlots } from "./test-slots.ts";
import { noBackendKeys } from "./no-backend-keys.ts";
import { noOutboundApis } from "./no-outbound-apis.ts";

export interface TestHostOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Default `testaaaa`. */
  readonly installation?: string;
  /** Default 2. */
  readonly quarantineSeconds?: number;
  /** Default: none. */
  readonly keys?: BackendKeys;
  /** Default: none. */
  readonly apis?: OutboundApis;
  /** Default: every lease is unknown. */
  readonly standingOf?: TokenHost["standingOf"];
  /** Default: in memory, of this host alone. */
  readonly names?: BackendNames;
  /** Default: in memory, of this host alone. */
  readonly budget?: BackendBudget;
  /** Default: in memory, of this host alone. */
  readonly slots?: BackendSlots;
  /** Default: none, under rising numbers. */
  readonly endedLeases?: TokenHost["endedLeases"];
}

/** What a backend is opened with in tests: a real keyed tag under a key of the installation. */
export function createTestBackendHost(options: TestHostOptions): PoolingHost {
  const installation = parseInstallationId(options.installation ?? "testaaaa", "installation");
  const tag = (text: string): string =>
    createHmac("sha256", `key of ${installation}`).update(text).digest("hex");
  let readings = 0;
  return {
    installation,
    backendId: parseBackendId("tested-backend", "backend"),
    clock: options.clock,
    random: options.random,
    log: options.log,
    tag,
    verifyTag: (text, given) => {
      const [expected, actual] = [Buffer.from(tag(text)), Buffer.from(given)];
      return expected.length === actual.length && timingSafeEqual(expected, actual);
    },
    quarantineSeconds: durationSeconds(options.quarantineSeconds ?? 2),
    apis: options.apis ?? noOutboundApis,
    tokens: {
      issuer: "https://broker.test/backends/tested-backend",
      brokerIssuer: "https://broker.test",
      keys: options.keys ?? noBackendKeys,
      standingOf: options.standingOf ?? (async () => "unknown"),
      endedLeases:
        options.endedLeases ??
        (async () => ({ number: ++readings, readAt: options.clock.now(), leases: [] })),
    },
    names: options.names ?? createMemoryNames(options.clock),
    budget: options.budget ?? createTestBudget(options.clock),
    slots: options.slots ?? createTestSlots(options.clock).slots,
  };
}
