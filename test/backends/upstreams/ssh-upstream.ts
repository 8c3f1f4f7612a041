import { execFile, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requireOrExplain, startSshd, type EmbeddedSshd } from "@mayfly/embedded";
import { heldSession } from "../../../packages/backend-ssh/src/testing/held-session.ts";
import { textIn, type CredentialData, type Upstream, type Verdict } from "./upstream.ts";

const HOST_COMMAND = fileURLToPath(
  new URL("../../../packages/backend-ssh/host/mayfly-ssh-host", import.meta.url),
);
const REFUSED = /Permission denied \(publickey/;
const BROKEN_OFF = /Connection .*(closed|reset)|Broken pipe|kex_exchange_identification/;

export const sshUpstream: Upstream = {
  type: "ssh",
  server: "sshd",
  outcome: "revoked",
  refusedBy: "a login",
  register: async ({ broker, put }) => {
    const program = (await requireOrExplain("sshd")) ?? "";
    const server = await startSshd(program, { hostCommand: HOST_COMMAND });
    const { host, port, user, hostKey, ownKey, directory, state } = server;
    const config = {
      hosts: [{ host, port, host_key: hostKey }],
      user,
      private_key: ownKey,
      leeway_seconds: 0,
    };
    await put("ssh", { type: "ssh", config }, { principals: [user] });
    const answer = await fetch(`${broker.api.url}/backends/ssh/authority/ca.pub`);
    if (!answer.ok) throw new Error(`ca.pub: ${answer.status} ${await answer.text()}`);
    await server.trust(await answer.text());
    const keys = keysIn(directory);
    return {
      version: await versionOf(),
      tryCredential: async (data) => tryLogin(server, await keys(data)),
      openSession: async (data) => {
        const session = await heldSession(server.client(await keys(data), "cat"));
        if (!(await session.alive())) throw new Error("the session was not let in");
        return session;
      },
      live: async (issued) => {
        const paths = await Promise.all(issued.map(keys));
        const certificates = paths.map((path) => `${path}-cert.pub`);
        const said = await output("ssh-keygen", ["-Q", "-f", join(state, "krl"), ...certificates]);
        const accepted = said.split("\n").filter((line) => line.endsWith(": ok")).length;
        return accepted + (await readdir(join(state, "sessions"))).length;
      },
      ownLogin: null,
      stop: () => server.stop(),
    };
  },
};

/** Where the key of a credential is, with the certificate beside it. */
function keysIn(directory: string): (data: CredentialData) => Promise<string> {
  const known = new Map<string, Promise<string>>();
  const write = async (data: CredentialData, nth: number): Promise<string> => {
    const path = join(directory, `holder-${nth}`);
    await writeFile(path, textIn(data, "private_key"), { mode: 0o600 });
    await writeFile(`${path}-cert.pub`, `${textIn(data, "certificate")}\n`);
    return path;
  };
  return (data) => {
    const id = textIn(data, "key_id");
    const path = known.get(id) ?? write(data, known.size);
    known.set(id, path);
    return path;
  };
}

async function tryLogin(server: EmbeddedSshd, keyPath: string): Promise<Verdict> {
  const client = server.client(keyPath, "true", "heard");
  client.stdout?.resume();
  const [code, said] = await ended(client);
  if (code === 0) return "accepted";
  if (REFUSED.test(said)) return "refused";
  if (BROKEN_OFF.test(said)) return "broken_off";
  throw new Error(`ssh ended with ${code}: ${said}`);
}

async function ended(client: ChildProcess): Promise<readonly [number | null, string]> {
  let said = "";
  client.stderr?.on("data", (part: Buffer) => {
    said = (said + part.toString()).slice(0, 4_096);
  });
  const [code] = (await once(client, "close")) as [number | null];
  return [code, said];
}

const output = (program: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve) => {
    // Its status is a failure when any of them is revoked.
    execFile(program, [...args], { maxBuffer: 1 << 24 }, (_error, stdout) => resolve(stdout));
  });

const versionOf = (): Promise<string> =>
  new Promise((resolve) => {
    execFile("ssh", ["-V"], (_error, _stdout, stderr) => {
      resolve(stderr.split(/[,\n]/)[0]?.replace("_", " ") ?? "OpenSSH");
    });
  });
