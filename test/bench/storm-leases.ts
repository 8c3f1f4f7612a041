import { QUEUE_SCHEMA } from "@mayfly/composition";
import { createAlarmClock } from "@mayfly/queue";
import { idFromUuid, instantMs, parseBackendId, Secret } from "@mayfly/spec";
import { createJsonLog, systemClock, systemRandom } from "@mayfly/host";
import { listAt, textAt } from "../harness/broker-api.ts";
import type { BenchInstallation } from "./bench-installation.ts";

/** A credential that was issued, as its agent holds it. */
export interface StormLease {
  readonly username: string;
  readonly password: string;
}

export interface StormOrder {
  readonly role: string;
  readonly leases: number;
  /** Leases of one task; so many credentials one exchange brings. */
  readonly perTask: number;
}

/** With four mints each at once, below what may wait for one backend. */
const CLIENTS = 32;

/** Issues leases by real exchanges. Throws at the first one that is refused. */
export async function issueLeases(
  { api, trust }: Pick<BenchInstallation, "api" | "trust">,
  order: StormOrder,
): Promise<readonly StormLease[]> {
  const issued: StormLease[] = [];
  const tasks = Math.ceil(order.leases / order.perTask);
  let next = 0;
  const one = async (task: number): Promise<void> => {
    const count = Math.min(order.perTask, order.leases - task * order.perTask);
    const credentials = Array.from({ length: count }, () => ({ role: order.role }));
    const reply = await api.exchange({
      subject: trust.token({
        claims: { sub: `spiffe://${trust.trustDomain}/agent/storm-${order.role}-${task}` },
      }),
      details: {
        type: "mayfly-task",
        goal: `Storm ${task}`,
        deadline: 3 * 3600,
        idle_timeout: 3600,
        credentials,
      },
    });
    if (reply.status !== 200) throw new Error(`an exchange: ${reply.status} ${reply.text}`);
    for (let at = 0; at < listAt(reply, "credentials").length; at++) {
      issued.push({
        username: textAt(reply, "credentials", at, "data", "username"),
        password: textAt(reply, "credentials", at, "data", "password"),
      });
    }
  };
  const client = async (): Promise<void> => {
    for (let task = next++; task < tasks; task = next++) await one(task);
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return issued;
}

export interface BroughtForward {
  readonly backend: string;
  readonly fromMs: number;
  readonly spanMs: number;
  /** Moved too, unless somebody reckons with when what was issued dies by itself. */
  readonly expiry?: "moved" | "kept";
}

/**
 * Brings the end of all leases of a backend forward, in the ledger and in the queue alike: spread
 * over `spanMs` from `fromMs` on. What their own server believes stays as it is.
 */
export async function bringForward(
  { ledger, ledgerDatabase }: Pick<BenchInstallation, "ledger" | "ledgerDatabase">,
  redisUrl: string | null,
  { expiry = "moved", ...when }: BroughtForward,
): Promise<void> {
  const due = await ledger<{ id: string; at: number }[]>`
    WITH numbered AS (
      SELECT id, (row_number() OVER (ORDER BY id) - 1)::float8 / count(*) OVER () AS part
      FROM mayfly.leases WHERE backend_id = ${when.backend}
    )
    UPDATE mayfly.leases AS l SET due_at = d.at,
      expires_at = CASE WHEN ${expiry === "kept"} THEN l.expires_at ELSE d.at END
    FROM (SELECT id, to_timestamp((${when.fromMs}::float8 + part * ${when.spanMs}::float8) / 1000.0)
      AS at FROM numbered) AS d
    WHERE l.id = d.id
    RETURNING l.id, (extract(epoch FROM l.due_at) * 1000)::float8 AS at`;
  const alarm = createAlarmClock({
    config:
      redisUrl === null
        ? {
            kind: "postgres",
            connection: Secret.of(ledgerDatabase.workerUrl),
            schema: QUEUE_SCHEMA,
          }
        : {
            kind: "redis",
            urls: [Secret.of(redisUrl)],
            cluster: false,
            prefix: `mayfly-${ledgerDatabase.installation}`,
          },
    ports: { clock: systemClock, log: QUIET, random: systemRandom },
  });
  const backendId = parseBackendId(when.backend, "backend");
  const queue = due.values();
  const ring = async (): Promise<void> => {
    for (const { id, at } of queue) {
      const leaseId = idFromUuid("lease", id);
      await alarm.wakeAt({ leaseId, backendId, at: instantMs(at), generation: 1 });
    }
  };
  await Promise.all(Array.from({ length: ALARMS_AT_ONCE }, ring));
  await alarm.close();
}

const ALARMS_AT_ONCE = 64;
const QUIET = createJsonLog({
  stream: { write: () => true },
  level: "error",
  clock: systemClock,
  fields: {},
  currentTrace: () => null,
});
