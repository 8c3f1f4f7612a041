import { Secret, type Holder, type SecurityQueries, type Task, type TaskId } from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import { traceCandidates } from "./trace-candidates.ts";

export type TraceVia = "fingerprint" | "lease_name";
export interface TraceReply {
  readonly leases: readonly { readonly via: TraceVia; readonly holder: Holder }[];
  /** Named by an id or by a task token. */
  readonly tasks: readonly Task[];
  /** How much of the text was tried: what a miss has to say. */
  readonly tried: {
    readonly secrets: number;
    readonly leaseNames: number;
    readonly taskNames: number;
    /** There was more in the text than is tried. */
    readonly truncated: boolean;
  };
}

const FOUND_MAX = 100;

/**
 * Where a leaked string came from: by keyed fingerprint, and by the names that are in it. The text
 * is looked through here and nowhere kept.
 */
export async function trace(
  parts: CoreParts,
  queries: Pick<SecurityQueries, "byFingerprint" | "byLeaseId">,
  text: Secret,
): Promise<TraceReply> {
  const { sealer, taskLedger } = parts.ports;
  const { secrets, leaseIds, taskIds, truncated } = traceCandidates(text.expose("crypto"));
  const fingerprints = secrets.flatMap((secret) => sealer.fingerprints(Secret.of(secret)));
  const [marked, named, tasks] = await Promise.all([
    queries.byFingerprint(fingerprints, FOUND_MAX),
    queries.byLeaseId(leaseIds),
    Promise.all(taskIds.map((id: TaskId) => taskLedger.find(id))),
  ]);
  const known = new Set(marked.map(({ lease }) => lease.id));
  return {
    leases: [
      ...marked.map((holder) => ({ via: "fingerprint", holder }) as const),
      ...named
        .filter(({ lease }) => !known.has(lease.id))
        .map((holder) => ({ via: "lease_name", holder }) as const),
    ],
    tasks: tasks.filter((task) => task !== null),
    tried: {
      secrets: secrets.length,
      leaseNames: leaseIds.length,
      taskNames: taskIds.length,
      truncated,
    },
  };
}
