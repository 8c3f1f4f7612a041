import { once } from "node:events";
import { systemClock } from "@mayfly/host";
import { BrokerError } from "@mayfly/spec";

/** How long a graceful stop may take before the process is ended all the same. */
const STOP_MS_MAX = 20_000;

/**
 * Runs a service until SIGTERM or SIGINT: the first asks it to stop gracefully, a second one, or
 * 20 s, ends it. A failure to start is said in plain words, with exit code 78 (`EX_CONFIG`) where
 * the configuration is at fault.
 */
export async function runProcess(start: () => Promise<{ close(): Promise<void> }>): Promise<void> {
  try {
    const service = await start();
    await stopSignal();
    const outcome = await Promise.race([
      service.close().then(() => "stopped" as const),
      stopSignal().then(() => "forced" as const),
      systemClock.sleep(STOP_MS_MAX).then(() => "forced" as const),
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
