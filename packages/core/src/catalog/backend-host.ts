import {
  durationSeconds,
  type BackendBudget,
  type BackendId,
  type BackendSlots,
  type FailPoints,
  type PoolingHost,
} from "@mayfly/spec";
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
    budget: stoppingOnceDrawn(ports.failPoints, ports.backendBudget(id)),
    slots: stoppingOnceTaken(ports.failPoints, ports.backendSlots(id)),
  };
}

/** What was drawn is gone from the rate, and nothing was sent for it yet. */
const stoppingOnceDrawn = (failPoints: FailPoints, budget: BackendBudget): BackendBudget => ({
  draw: async (asked) => {
    const answer = await budget.draw(asked);
    if (answer.kind === "drawn") await failPoints.reached("budget.drawn");
    return answer;
  },
  pause: (seconds) => budget.pause(seconds),
});

/** The slot has its tenant, and the upstream has not heard of it yet. */
const stoppingOnceTaken = (failPoints: FailPoints, slots: BackendSlots): BackendSlots => ({
  take: async (leaseId, wanted) => {
    const answer = await slots.take(leaseId, wanted);
    if (answer.kind === "taken") await failPoints.reached("slot.taken");
    return answer;
  },
  find: (leaseId) => slots.find(leaseId),
  last: (slot) => slots.last(slot),
});
