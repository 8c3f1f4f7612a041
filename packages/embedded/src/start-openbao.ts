import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedError } from "./embedded-error.ts";
import { freePort } from "./free-port.ts";
import { startGuarded } from "./guarded-process.ts";
import { programOnPath } from "./program-on-path.ts";
import { waitUntil } from "./wait-until.ts";

export interface EmbeddedOpenbao extends AsyncDisposable {
  readonly missing?: never;
  readonly host: "127.0.0.1";
  readonly port: number;
  /** Of who may do everything. */
  readonly rootToken: string;
  signal(signal: NodeJS.Signals): void;
  /** Kills it (SIGKILL): it keeps everything in memory. */
  stop(): Promise<void>;
}

/** The machine has no `bao`, which is no error: look at `missing` first. */
export interface OpenbaoMissing {
  readonly missing: "bao";
}

const startDeadlineMs = 60_000;
const answerDeadlineMs = 1_000;

/**
 * Starts a real OpenBao in its development mode, if the machine has one, on 127.0.0.1 only, without
 * TLS, unsealed and empty. As with PostgreSQL, it ends with this process.
 * @throws EmbeddedError
 */
export async function startOpenbao(): Promise<EmbeddedOpenbao | OpenbaoMissing> {
  const program = await programOnPath("bao");
  if (program === undefined) return { missing: "bao" };
  const port = await freePort();
  const rootToken = `root-${randomBytes(16).toString("hex")}`;
  const dir = await realpath(await mkdtemp(join(tmpdir(), "mayfly-openbao-")));
  const process = await startGuarded({
    command: program,
    args: ["server", "-dev", `-dev-listen-address=127.0.0.1:${port}`, "-dev-no-store-token"],
    parentDeathSignal: "KILL",
    user: undefined,
    // By the environment, so that no list of processes shows the token.
    env: { HOME: dir, PATH: "/usr/local/bin:/usr/bin:/bin", BAO_DEV_ROOT_TOKEN_ID: rootToken },
    input: undefined,
    log: () => undefined,
  });
  const stop = async (): Promise<void> => {
    process.signal("SIGCONT");
    process.signal("SIGKILL");
    await process.exited;
    await rm(dir, { recursive: true, force: true });
  };
  const isReady = await waitUntil(
    async () => (process.hasEnded() ? false : (await answers(port, rootToken)) || undefined),
    { deadlineMs: startDeadlineMs, everyMs: 50 },
  );
  if (isReady !== true) {
    const words = (await process.lastWords()).join(" | ");
    await stop();
    throw new EmbeddedError({
      what: "OpenBao did not start",
      where: `port ${port}`,
      why: `it ended or took too long; its last lines: ${words.replaceAll(rootToken, "[secret]")}`,
      remedy: "Look at the last lines; a port in use is the usual cause.",
    });
  }
  return {
    host: "127.0.0.1",
    port,
    rootToken,
    signal: (signal) => process.signal(signal),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Whether the server with this root token, and no other program, answers on the port. */
async function answers(port: number, token: string): Promise<boolean> {
  const asking = get({
    host: "127.0.0.1",
    port,
    path: "/v1/auth/token/lookup-self",
    headers: { "x-vault-token": token },
    timeout: answerDeadlineMs,
  });
  asking.on("timeout", () => asking.destroy());
  try {
    const [answer] = (await once(asking, "response")) as [IncomingMessage];
    answer.resume();
    return answer.statusCode === 200;
  } catch {
    // Nobody listens yet.
    return false;
  }
}
