import { BrokerError, parseBackendId, type IssuingHealth } from "@mayfly/spec";

/** One thing about the ledger that readiness looks at, with words for an operator. */
export interface LedgerCheck<N extends string> {
  readonly name: N;
  readonly ok: boolean;
  readonly detail: string;
}

export interface CheckedLedger {
  checkSchema(): Promise<void>;
  /** Throws when the ledger refuses work, though it may well answer. */
  checkWrites(): Promise<void>;
  readonly health: IssuingHealth;
}

/** A sweep is late when none finished within this many of its intervals, as for issuing. */
const SWEEP_INTERVALS = 2;
/** Its own rows are read with it; there is no such backend. */
const NO_BACKEND = parseBackendId("none", "backend");

/** Whether it answers, takes work, and has a schema that this process knows. Never throws. */
export async function checkSchemaOf(
  ledger: CheckedLedger,
): Promise<readonly LedgerCheck<"ledger" | "schema">[]> {
  const answers = { name: "ledger", ok: true, detail: "answers" } as const;
  try {
    await ledger.checkSchema();
    return [await checkWritesOf(ledger), { name: "schema", ok: true, detail: "is known" }];
  } catch (error) {
    if (BrokerError.is(error) && error.code === "config_invalid") {
      return [answers, { name: "schema", ok: false, detail: error.message }];
    }
    return [{ name: "ledger", ok: false, detail: "does not answer; the log has the cause" }];
  }
}

async function checkWritesOf(ledger: CheckedLedger): Promise<LedgerCheck<"ledger">> {
  try {
    await ledger.checkWrites();
    return { name: "ledger", ok: true, detail: "answers, and takes work" };
  } catch (error) {
    return { name: "ledger", ok: false, detail: BrokerError.is(error) ? error.message : REFUSES };
  }
}
const REFUSES = "answers, and refuses work; the log has the cause";

/** Whether the ledger's rows were swept in time, by whichever worker. Never throws. */
export async function checkSweepOf(
  ledger: CheckedLedger,
  sweepIntervalSeconds: number,
): Promise<LedgerCheck<"sweep">> {
  const name = "sweep";
  try {
    const { sweepAgeSeconds } = await ledger.health.read(NO_BACKEND);
    if (sweepAgeSeconds === null) {
      return { name, ok: false, detail: "none has finished yet; does a worker run?" };
    }
    const isLate = sweepAgeSeconds > SWEEP_INTERVALS * sweepIntervalSeconds;
    const age = `the last one finished ${Math.max(0, sweepAgeSeconds).toFixed(1)} s ago`;
    const detail = isLate ? `${age}: issuing is paused; does a worker run?` : age;
    return { name, ok: !isLate, detail };
  } catch {
    return { name, ok: false, detail: "the ledger does not answer" };
  }
}
