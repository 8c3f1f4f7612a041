import { EmbeddedError } from "./embedded-error.ts";
import { freePort } from "./free-port.ts";
import { startGuarded } from "./guarded-process.ts";
import { motoPython } from "./moto-python.ts";
import { waitUntil } from "./wait-until.ts";

export interface EmbeddedMoto extends AsyncDisposable {
  readonly missing?: never;
  readonly host: "127.0.0.1";
  readonly port: number;
  /** Kills it (SIGKILL): it keeps all in memory. */
  stop(): Promise<void>;
}

/** There is no moto here, which is no error: look at `missing` first. */
export interface MotoMissing {
  readonly missing: "moto";
}

const startDeadlineMs = 60_000;
const lookMs = 100;

/**
 * Starts moto's server, which answers as the APIs of AWS do, if it can be had: on 127.0.0.1 only,
 * without TLS. As with PostgreSQL, it ends with this process.
 * @throws EmbeddedError
 */
export async function startMoto(): Promise<EmbeddedMoto | MotoMissing> {
  const python = await motoPython(process.env["PATH"]);
  if (python === undefined) return { missing: "moto" };
  const port = await freePort();
  const server = await startGuarded({
    command: python,
    args: ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)],
    parentDeathSignal: "KILL",
    user: undefined,
    env: undefined,
    input: undefined,
    log: () => undefined,
  });
  const stop = async (): Promise<void> => {
    server.signal("SIGKILL");
    await server.exited;
  };
  const answers = await waitUntil(async () => (server.hasEnded() ? false : looks(port)), {
    deadlineMs: startDeadlineMs,
    everyMs: lookMs,
  });
  if (answers !== true) {
    const words = (await server.lastWords()).join(" | ");
    await stop();
    throw new EmbeddedError({
      what: "moto did not start",
      where: `127.0.0.1:${port}`,
      why: `it ended or took too long; its last lines: ${words}`,
      remedy: "Look at the last lines; a port in use is the usual cause.",
    });
  }
  return { host: "127.0.0.1", port, stop, [Symbol.asyncDispose]: stop };
}

/** True once it answers. */
async function looks(port: number): Promise<true | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/moto-api/`);
    await answer.body?.cancel();
    return answer.ok ? true : undefined;
  } catch {
    return undefined;
  }
}
