import { once } from "node:events";
import { createJsonLog, linesByTurn, systemClock, type LineStream } from "@mayfly/host";
import { BrokerError, type Log } from "@mayfly/spec";

/** How long a graceful stop may take where the service does not say. */
const STOP_MS_MAX = 20_000;

export interface Service {
  /** Stops gracefully. `forced`: what was under way had to be cut. */
  close(): Promise<"stopped" | "forced" | void>;
  /** After this long the process is ended all the same. */
  readonly stopMsMax?: number;
}

/**
 * Runs a service, whose log goes to standard error, until SIGTERM or SIGINT: the first asks it to
 * stop gracefully; a second one, or the service's bound, ends the process. Exit codes: 0 stopped
 * gracefully; 1 something under way was cut, or it failed to start; 78 (`EX_CONFIG`) where the
 * configuration is at fault, said in plain words.
 *
 * A promise that was rejected with nobody waiting for it is a defect, of ours or of a driver whose
 * server went away: it is logged, and the process goes on, since a broker or worker that is gone
 * ends no lease. An exception that nobody caught still ends it.
 */
export async function runProcess(start: (logTo: LineStream) => Promise<Service>): Promise<void> {
  process.on("unhandledRejection", (error) => {
    defects().error("a rejected promise had nobody waiting for it", {}, error);
  });
  try {
    const service = await start(linesByTurn(process.stderr, systemClock));
    await stopSignal();
    const outcome = await Promise.race([
      service.close().then((how) => how ?? ("stopped" as const)),
      stopSignal().then(() => "forced" as const),
      systemClock.sleep(service.stopMsMax ?? STOP_MS_MAX).then(() => "forced" as const),
    ]);
    process.exit(outcome === "stopped" ? 0 : 1);
  } catch (error) {
    process.stderr.write(
      `${BrokerError.is(error) ? `${error.code}: ${error.message}` : String(error)}\n`,
    );
    process.exit(BrokerError.is(error) && error.code === "config_invalid" ? 78 : 1);
  }
}

const stopSignal = (): Promise<unknown> =>
  Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);

const defects = (): Log =>
  createJsonLog({ stream: process.stderr, level: "error", clock: systemClock });
