import { durationSeconds, type BackendId, type PoolingHost } from "@mayfly/spec";
import type { CorePorts } from "../ports.ts";
import { leaseStanding } from "../lease-standing.ts";
import { backendIssuer } from "./backend-issuer.ts";

/** What an opened backend may touch, of this installation. */
export function backendHost(ports: CorePorts, id: BackendId): PoolingHost {
  // A tag is of one backend: whoever copies a mark to another one has copied nothing.
  const ofBackend = (text: string): string => JSON.stringify([id, text]);
  return {
    installation: ports.installation,
    backendId: id,
    clock: ports.clock,
    random: ports.random,
    log: ports.log.child({ backend: id }),
    tag: (text) => ports.sealer.tag(ofBackend(text)),
    verifyTag: (text, tag) => ports.sealer.verifyTag(ofBackend(text), tag),
    quarantineSeconds: durationSeconds(ports.settings.quarantineSeconds),
    apis: ports.apis,
    tokens: {
      issuer: backendIssuer(ports.settings.issuer, id),
      brokerIssuer: ports.settings.issuer,
      keys: ports.backendKeys(id),
      standingOf: (leaseId) => leaseStanding(ports, id, leaseId),
      endedLeases: (wanted) => ports.taskLedger.endedLeases(id, wanted),
    },
    names: ports.backendNames(id),
    budget: ports.backendBudget(id),
    slots: ports.backendSlots(id),
  };
}
