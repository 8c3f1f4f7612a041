import ssh2 from "ssh2";
import { BackendError, durationSeconds } from "@mayfly/spec";
import { publicKeyOf, type HostSettings, type SshHost } from "./host-settings.ts";

/** One request to a host, its answer included. */
const ASK_MS_MAX = 25_000;
const CONNECT_MS_MAX = 8_000;
const LOST = "the connection was lost";
/** As `host/mayfly-ssh-host` says so; one of an earlier version said 2, as to all it refuses. */
const BUSY = 75;
/** A line for each of the certificates that a host is asked of at once. */
const ANSWER_BYTES_MAX = 65_536;

/**
 * Sends a request to the one command that a host allows the broker, and returns its answer. Throws
 * {@link BackendError}; what the host or the driver says is left out of it.
 */
export async function askHost(
  host: SshHost,
  { user, private_key: privateKey }: HostSettings,
  request: string,
  signal: AbortSignal,
): Promise<string> {
  const trusted = publicKeyOf(host.host_key);
  if (trusted === null) throw hostFailed(host, "its key cannot be read");
  const expected = trusted.getPublicSSH();
  const client = new ssh2.Client();
  const answered = Promise.withResolvers<string>();
  const fail = (why: string): void => answered.reject(hostFailed(host, why));
  let broken = "it cannot be reached, or refuses the broker's key";
  client.on("error", () => fail(broken));
  client.on("close", () => fail(LOST));
  client.on("ready", () => {
    broken = LOST;
    client.exec("mayfly-ssh-host serve", (error, stream) => {
      if (error !== undefined) return fail("it runs no command");
      let answer = "";
      stream.on("data", (part: Buffer) => {
        answer = (answer + part.toString("latin1")).slice(0, ANSWER_BYTES_MAX);
      });
      stream.stderr.resume();
      stream.on("close", (code?: number | null) => {
        if (code === 0) answered.resolve(answer.trim());
        else answered.reject(commandFailed(host, code));
      });
      return stream.end(request);
    });
  });
  const giveUp = (): void => fail("it did not answer in time");
  const within = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)]);
  within.addEventListener("abort", giveUp, { once: true });
  try {
    if (within.aborted) giveUp();
    else {
      client.connect({
        host: host.host,
        port: host.port,
        username: user,
        privateKey,
        readyTimeout: CONNECT_MS_MAX,
        algorithms: { serverHostKey: hostAlgorithms(trusted.type) },
        hostVerifier: (key: Buffer) => expected.equals(key),
      });
    }
    return await answered.promise;
  } finally {
    within.removeEventListener("abort", giveUp);
    client.destroy();
  }
}

/** Of the key that is known, so that a host offers no other one. */
const hostAlgorithms = (type: string): ssh2.ServerHostKeyAlgorithm[] =>
  type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [type as ssh2.ServerHostKeyAlgorithm];

/** The host was reached and its command said no: it may be of another version. */
class CommandFailed extends Error {
  override readonly name = "CommandFailed";
}

export const COMMAND_SAYS_NO =
  "its command says no: it cannot read the request or its list, or is of an earlier version";

/** What an exit code of the command means, whatever it printed; without one it was ended. */
export function commandFailed(host: SshHost, code: number | null | undefined): BackendError {
  switch (code ?? null) {
    case null:
      return hostFailed(host, "its command was ended before it had answered");
    case BUSY:
      return hostFailed(host, "it is busy: another request did not end in 20 s");
    case 126:
    case 127:
      return hostFailed(host, "it has no mayfly-ssh-host that it can run", new CommandFailed());
    case 2:
      return hostFailed(host, COMMAND_SAYS_NO, new CommandFailed());
    default:
      return hostFailed(host, "its command failed", new CommandFailed());
  }
}

export const isCommandFailed = (thrown: unknown): boolean =>
  BackendError.isBackendError(thrown) && thrown.cause instanceof CommandFailed;

export const hostFailed = (
  { host, port }: SshHost,
  why: string,
  cause?: CommandFailed,
): BackendError =>
  new BackendError(`SSH host ${host}:${port}: ${why}`, {
    effect: "unknown",
    retry: { kind: "after", seconds: durationSeconds(1) },
    ...(cause === undefined ? {} : { cause }),
  });
