import type { Clock, TaskTokens } from "@mayfly/spec";
import { checkSchemaOf, checkSweepOf, type CheckedLedger } from "@mayfly/core";
import type { ReadinessCheck } from "./http/routes/health.ts";
import type { ServedTls } from "./tls-reload.ts";

export interface ReadinessPorts {
  readonly parts: {
    readonly ledger: CheckedLedger;
    readonly taskTokens: Pick<TaskTokens, "jwks">;
    readonly clock: Clock;
  };
  readonly sweepIntervalSeconds: number;
  readonly tls: ServedTls | null;
  isStopping(): boolean;
}

/** Looks at all that a request needs. Never throws: what fails is a check that is not ok. */
export async function lookAtReadiness(ports: ReadinessPorts): Promise<readonly ReadinessCheck[]> {
  const { parts, tls } = ports;
  const isStopping = ports.isStopping();
  const [schema, sweep, keys] = await Promise.all([
    checkSchemaOf(parts.ledger),
    checkSweepOf(parts.ledger, ports.sweepIntervalSeconds),
    parts.taskTokens.jwks().then(
      ({ keys: { length } }) => ({ count: length, detail: `${length} in use or about to be` }),
      () => ({ count: 0, detail: "the ledger was not to be read for too long" }),
    ),
  ]);
  return [
    {
      name: "process",
      ok: !isStopping,
      isRequired: true,
      detail: isStopping ? "it was told to stop" : "runs",
    },
    ...schema.map((each) => ({ ...each, isRequired: true })),
    {
      name: "signing_keys",
      ok: keys.count > 0,
      isRequired: true,
      detail: keys.detail,
    },
    { ...sweep, isRequired: false },
    ...(tls === null ? [] : [certificateCheck(tls, ports)]),
  ];
}

function certificateCheck(tls: ServedTls, { parts }: ReadinessPorts): ReadinessCheck {
  const expiresAt = tls.expiresAt();
  const ok = parts.clock.now() < expiresAt;
  const when = new Date(expiresAt).toISOString();
  const detail = ok ? `expires at ${when}` : `expired at ${when}`;
  return { name: "certificate", ok, isRequired: true, detail };
}
