import { bringForward } from "../bench/storm-leases.ts";
import { BACKEND, pause, READER } from "../harness/index.ts";
import { issueMany } from "./measure-crowd.ts";
import { startMeasured, type MeasuredOptions } from "./measured-installation.ts";
import type { RunningServer } from "./shared-servers/shared-server.ts";
import { registrar } from "./upstreams.ts";

/** What befalls the server of one type while leases of all others end. */
export type Down = "works" | "refuses" | "hangs";

interface DownOptions {
  /** Their backends are registered, each with so many leases, due one after the other. */
  readonly servers: readonly RunningServer[];
  readonly leases: number;
  /** Of one of them. */
  readonly type: string;
  readonly how: Down;
  readonly installation?: MeasuredOptions;
}

/** Of the others alone: from the instant at which each was due to its end. */
export interface EndsBesideOneDown {
  readonly ends: number;
  readonly late_p50_ms: number;
  readonly late_max_ms: number;
  /** Of the one that is down: how many ended while it was. */
  readonly endedOfIt: number;
}

const EVERY_MS = 100;
/** To bring all ends forward. */
const AHEAD_MS = 4_000;
const ENDED_MS_MAX = 300_000;
const LOOK_MS = 100;

/** An installation of its own, so that nobody's backlog is another's. */
export async function measureDown(options: DownOptions): Promise<EndsBesideOneDown> {
  const { servers, leases, type, how } = options;
  const down = servers.find((one) => one.type === type);
  if (down === undefined || down.proxy === null) throw new Error(`no server of ${type}`);
  await using installation = await startMeasured(options.installation);
  const { mayfly, broker, redisUrl } = installation;
  const at = registrar(mayfly, broker, leases);
  for (const one of servers) await one.register(at);
  const backends = [BACKEND, ...servers.map((one) => one.type)];
  for (const backend of backends) {
    const role = backend === BACKEND ? READER : `${backend}/one`;
    await issueMany(installation, role, leases, () => 600);
  }
  if (how === "refuses") await down.proxy.refuse();
  if (how === "hangs") down.proxy.hang();
  try {
    const fromMs = Date.now() + AHEAD_MS;
    for (const backend of backends) {
      await bringForward(mayfly, redisUrl, { backend, fromMs, spanMs: leases * EVERY_MS });
    }
    if (Date.now() > fromMs) throw new Error(`${type}: the first were due before all were ready`);
    return await look(mayfly, type, backends.length * leases - leases);
  } finally {
    if (how === "refuses") await down.proxy.listen();
    if (how === "hangs") down.proxy.reset();
  }
}

async function look(
  { ledger }: { readonly ledger: Ledger },
  type: string,
  others: number,
): Promise<EndsBesideOneDown> {
  const patientUntilMs = Date.now() + ENDED_MS_MAX;
  for (;;) {
    await pause(LOOK_MS);
    const [row] = await ledger<Row[]>`
      SELECT count(*) FILTER (WHERE backend_id <> ${type} AND outcome = 'revoked')::int AS ends,
        count(*) FILTER (WHERE backend_id = ${type} AND state = 'ended')::int AS own,
        percentile_cont(ARRAY[0.5, 1]) WITHIN GROUP (
          ORDER BY (extract(epoch FROM ended_at - expires_at) * 1000)::float8
        ) FILTER (WHERE backend_id <> ${type}) AS late
      FROM mayfly.leases`;
    if (row === undefined) throw new Error("an aggregate has a row");
    const [p50 = Number.NaN, max = Number.NaN] = row.late ?? [];
    if (row.ends === others) {
      const [late_p50_ms, late_max_ms] = [Math.round(p50), Math.round(max)];
      return { ends: row.ends, late_p50_ms, late_max_ms, endedOfIt: row.own };
    }
    if (Date.now() > patientUntilMs) {
      throw new Error(`of the ${others} leases of other types than ${type} ${row.ends} ended`);
    }
  }
}

type Ledger = Awaited<ReturnType<typeof startMeasured>>["mayfly"]["ledger"];

interface Row {
  readonly ends: number;
  readonly own: number;
  readonly late: readonly number[] | null;
}
