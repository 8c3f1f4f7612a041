import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { once } from "node:events";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { EmbeddedError } from "./embedded-error.ts";
import { freePort } from "./free-port.ts";
import { startGuarded } from "./guarded-process.ts";
import { waitUntil } from "./wait-until.ts";

export interface SshdOptions {
  /** What the broker runs on a host; `mayfly-ssh-host`, by its path. */
  readonly hostCommand: string;
  /** Public keys, a line each, whose certificates are accepted. Default: none yet. */
  readonly authority?: string;
}

export interface EmbeddedSshd extends AsyncDisposable {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** Whom everybody logs in as: who runs this process. */
  readonly user: string;
  /** The host's public key, as in `ssh_host_ed25519_key.pub`. */
  readonly hostKey: string;
  /** The private key, in OpenSSH's form, that may run the host's command and nothing else. */
  readonly ownKey: string;
  /** All files of it. */
  readonly directory: string;
  /** Where the host's command keeps its list and its sessions. */
  readonly state: string;
  /** Other keys are trusted from the next login on. */
  trust(authority: string): Promise<void>;
  /** An `ssh` that uses the private key of that path and the certificate beside it. */
  client(keyPath: string, command: string, stderr?: "unheard" | "heard"): ChildProcess;
  /** Of the one that listens; those that serve sessions go on. */
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  stop(): Promise<void>;
}

const run = promisify(execFile);
const AUTHORITY = "ca.pub";
const startDeadlineMs = 60_000;
const lookMs = 50;

/**
 * Starts an OpenSSH server that trusts an authority of Mayfly's, set up as `docs/backends/ssh.md`
 * says, but for one user and without sudo. As with PostgreSQL, it ends with this process.
 * @throws EmbeddedError
 */
export async function startSshd(program: string, options: SshdOptions): Promise<EmbeddedSshd> {
  const setUp = await writeSetUp(options);
  const { directory, port, user } = setUp;
  const server = await startGuarded({
    command: program,
    args: ["-D", "-e", "-f", join(directory, "sshd_config")],
    parentDeathSignal: "TERM",
    user: undefined,
    env: undefined,
    input: undefined,
    log: () => undefined,
  });
  const stop = async (): Promise<void> => {
    server.signal("SIGTERM");
    await server.exited;
    await rm(directory, { recursive: true, force: true });
  };
  const listens = await waitUntil(async () => (server.hasEnded() ? false : isOpen(port)), {
    deadlineMs: startDeadlineMs,
    everyMs: lookMs,
  });
  if (listens !== true) {
    const words = (await server.lastWords()).join(" | ");
    await stop();
    throw new EmbeddedError({
      what: "sshd did not start",
      where: `127.0.0.1:${port}`,
      why: `it ended or took too long; its last lines: ${words}`,
      remedy: "Look at the last lines; a port in use is the usual cause.",
    });
  }
  const authorityFile = join(directory, AUTHORITY);
  let trusted: Promise<void> = Promise.resolve();
  return {
    ...setUp,
    host: "127.0.0.1",
    // One after the other: the last that was asked for is what the file then says.
    trust: (authority) => {
      const write = async (): Promise<void> => {
        await writeFile(`${authorityFile}.new`, authority);
        await rename(`${authorityFile}.new`, authorityFile);
      };
      trusted = trusted.then(write, write);
      return trusted;
    },
    client: (keyPath, command, stderr = "unheard") =>
      spawn("ssh", clientArguments({ directory, port, user, keyPath, command }), {
        stdio: ["pipe", "pipe", stderr === "heard" ? "pipe" : "ignore"],
      }),
    signal: (name) => server.signal(name),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

type SetUp = Pick<EmbeddedSshd, "port" | "user" | "hostKey" | "ownKey" | "directory" | "state">;

async function writeSetUp({ hostCommand, authority = "" }: SshdOptions): Promise<SetUp> {
  const directory = await mkdtemp(join(tmpdir(), "mayfly-ssh-"));
  const state = join(directory, "state");
  await mkdir(join(state, "sessions"), { recursive: true });
  // Where sshd runs as root it wants the place that Debian's service makes.
  if (process.getuid?.() === 0) await mkdir("/run/sshd", { recursive: true });
  await run("ssh-keygen", ["-k", "-f", join(state, "krl")]);
  for (const name of ["host_key", "own_key"]) {
    const path = join(directory, name);
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path]);
  }
  const read = (name: string): Promise<string> => readFile(join(directory, name), "utf8");
  const [hostKey, ownPublic] = [await read("host_key.pub"), await read("own_key.pub")];
  const port = await freePort();
  const host = `MAYFLY_SSH_STATE=${state} /bin/sh ${hostCommand}`;
  const user = userInfo().username;
  const files: Readonly<Record<string, string>> = {
    [AUTHORITY]: authority,
    known_hosts: `[127.0.0.1]:${port} ${hostKey}`,
    authorized_keys: `restrict,command="${host} serve" ${ownPublic}`,
    sshd_config: [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${directory}/host_key`,
      "PidFile none",
      "UsePAM no",
      "StrictModes no",
      "PermitRootLogin yes",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "MaxStartups 200",
      // At the first level bash reads the user's own .bashrc for a command of sshd's. What somebody
      // has there is no part of a login here, and no end cuts it in its middle.
      "SetEnv SHLVL=1",
      `AuthorizedKeysFile ${directory}/authorized_keys`,
      `TrustedUserCAKeys ${directory}/${AUTHORITY}`,
      `RevokedKeys ${state}/krl`,
      `AuthorizedPrincipalsCommand /usr/bin/env ${host} principals %i %u`,
      `AuthorizedPrincipalsCommandUser ${user}`,
    ].join("\n"),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  const ownKey = await read("own_key");
  return { directory, state, port, user, hostKey: hostKey.trim(), ownKey };
}

interface ClientCall {
  readonly directory: string;
  readonly port: number;
  readonly user: string;
  readonly keyPath: string;
  readonly command: string;
}

function clientArguments({ directory, port, user, keyPath, command }: ClientCall): string[] {
  const options = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "ConnectTimeout=5",
    `UserKnownHostsFile=${join(directory, "known_hosts")}`,
    "IdentityAgent=none",
    "GlobalKnownHostsFile=none",
  ].flatMap((option) => ["-o", option]);
  const to = ["-i", keyPath, "-p", String(port), `${user}@127.0.0.1`, command];
  return ["-F", "none", ...options, ...to];
}

/** True once it takes connections. */
async function isOpen(port: number): Promise<true | undefined> {
  const socket = connect(port, "127.0.0.1");
  const isThere = await once(socket, "connect").then(
    () => true as const,
    () => undefined,
  );
  socket.destroy();
  return isThere;
}
