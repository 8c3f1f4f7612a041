import {
  BrokerError,
  parseBackendId,
  type Clock,
  type IssuingHealth,
  type TaskTokens,
} from "@mayfly/spec";
import type { ReadinessCheck } from "./http/routes/health.ts";
import type { ServedTls } from "./tls-reload.ts";

export interface ReadinessPorts {
  readonly parts: {
    readonly ledger: { checkSchema(): Promise<void>; readonly health: IssuingHealth };
    readonly taskTokens: Pick<TaskTokens, "jwks">;
    readonly clock: Clock;
  };
  readonly sweepIntervalSeconds: number;
  readonly tls: ServedTls | null;
  isStopping(): boolean;
}

/** A sweep is late when none finished within this many of its intervals, as for issuing. */
const SWEEP_INTERVALS = 2;
/** Its own rows are read with it; there is no such backend. */
const NO_BACKEND = parseBackendId("none", "backend");

/** Looks at all that a request needs. Never throws: what fails is a check that is not ok. */
export async function lookAtReadiness(ports: ReadinessPorts): Promise<readonly ReadinessCheck[]> {
  const { parts, tls } = ports;
  const isStopping = ports.isStopping();
  const [schema, sweep] = await Promise.all([schemaCheck(parts), sweepCheck(ports)]);
  const keys = parts.taskTokens.jwks().keys.length;
  return [
    {
      name: "process",
      ok: !isStopping,
      isRequired: true,
      detail: isStopping ? "it was told to stop" : "runs",
    },
    ...schema,
    {
      name: "signing_keys",
      ok: keys > 0,
      isRequired: true,
      detail: `${keys} in use or about to be`,
    },
    sweep,
    ...(tls === null ? [] : [certificateCheck(tls, ports)]),
  ];
}

async function schemaCheck({
  ledger,
}: ReadinessPorts["parts"]): Promise<readonly ReadinessCheck[]> {
  const check = (name: "ledger" | "schema", ok: boolean, detail: string): ReadinessCheck => ({
    name,
    ok,
    isRequired: true,
    detail,
  });
  try {
    await ledger.checkSchema();
    return [check("ledger", true, "answers"), check("schema", true, "is known")];
  } catch (error) {
    if (BrokerError.is(error) && error.code === "config_invalid") {
      return [check("ledger", true, "answers"), check("schema", false, error.message)];
    }
    return [check("ledger", false, "does not answer; the log has the cause")];
  }
}

async function sweepCheck({
  parts,
  sweepIntervalSeconds,
}: ReadinessPorts): Promise<ReadinessCheck> {
  const common = { name: "sweep", isRequired: false } as const;
  try {
    const { sweepAgeSeconds } = await parts.ledger.health.read(NO_BACKEND);
    if (sweepAgeSeconds === null) {
      return { ...common, ok: false, detail: "none has finished yet; does a worker run?" };
    }
    const isLate = sweepAgeSeconds > SWEEP_INTERVALS * sweepIntervalSeconds;
    const age = `the last one finished ${Math.max(0, sweepAgeSeconds).toFixed(1)} s ago`;
    const detail = isLate ? `${age}: issuing is paused; does a worker run?` : age;
    return { ...common, ok: !isLate, detail };
  } catch {
    return { ...common, ok: false, detail: "the ledger does not answer" };
  }
}

function certificateCheck(tls: ServedTls, { parts }: ReadinessPorts): ReadinessCheck {
  const expiresAt = tls.expiresAt();
  const ok = parts.clock.now() < expiresAt;
  const when = new Date(expiresAt).toISOString();
  const detail = ok ? `expires at ${when}` : `expired at ${when}`;
  return { name: "certificate", ok, isRequired: true, detail };
}
