import { cpus, loadavg, release, totalmem, type } from "node:os";
import { startPostgres, startRedis } from "@mayfly/embedded";
import {
  bundlePrograms,
  startInstallation,
  type Environment,
  type Installation,
  type Programs,
  type RunningBroker,
  type ServerAddress,
} from "../harness/index.ts";

/** A broker and a worker as processes, with the times of production, whose figures are kept. */
export interface MeasuredInstallation extends AsyncDisposable {
  readonly mayfly: Installation;
  readonly broker: RunningBroker;
  readonly redisUrl: string | null;
}

export interface MeasuredOptions {
  /** Default: one of its own, that keeps what it acknowledges. */
  readonly server?: ServerAddress;
  /** Default: bundled for this. */
  readonly programs?: Programs;
}

/** The defaults of `docs/config.md`, in the place of the short times of tests. */
const AS_IN_PRODUCTION: Environment = {
  MAYFLY_ISSUE_SECONDS: "10",
  MAYFLY_RETRY_BASE_SECONDS: "2",
  MAYFLY_CLAIM_SECONDS: "30",
  MAYFLY_SWEEP_INTERVAL_SECONDS: "10",
  MAYFLY_LISTING_INTERVAL_SECONDS: "60",
};
/** Limits of how much may live are for people's mistakes. */
const MANY: Environment = {
  MAYFLY_STUCK_MAX: "100000",
  MAYFLY_LIVE_LEASES_MAX_PER_TASK: "10000",
  MAYFLY_LIVE_LEASES_MAX_PER_WORKLOAD: "1000000",
  MAYFLY_LIVE_LEASES_MAX_PER_ROLE: "1000000",
};

export async function startMeasured(options: MeasuredOptions = {}): Promise<MeasuredInstallation> {
  await using started = new AsyncDisposableStack();
  const redis = await startRedis();
  if (redis.missing === undefined) started.use(redis);
  const redisUrl = redis.missing === undefined ? redis.url : null;
  const queue: Environment =
    redisUrl === null
      ? { MAYFLY_QUEUE: "postgres" }
      : { MAYFLY_QUEUE: "redis", MAYFLY_REDIS_URL: redisUrl };
  const mayfly = started.use(
    await startInstallation({
      ledgerServer: options.server ?? started.use(await startPostgres()),
      programs: options.programs ?? (await bundlePrograms(started)),
      settings: { ...queue, ...AS_IN_PRODUCTION, ...MANY },
    }),
  );
  const worker = mayfly.startWorker();
  const [broker] = await Promise.all([mayfly.startBroker(), worker]);
  await mayfly.register(broker);
  const all = started.move();
  return { mayfly, broker, redisUrl, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** What every figure says of where and when it was measured. */
export function surroundings(): {
  readonly date: string;
  readonly machine: string;
  readonly load: number;
} {
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  const cores = `${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}), ${gigabytes} GB`;
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cores}, ${type()} ${release().replace(/-.*/, "")}, Node ${process.versions.node}`,
    load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
  };
}
