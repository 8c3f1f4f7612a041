import { execFile, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startSshd } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { createBackendKeys, defaultTaskTokensSettings } from "@mayfly/identity";
import { createOutboundApis } from "@mayfly/net";
import {
  parseBackendId,
  Secret,
  type BackendHost,
  type BackendKeys,
  type CredentialBackend,
  type EndedLease,
  type Issued,
  type LeaseId,
  type OpenBackend,
} from "@mayfly/spec";
import {
  createFakeSealer,
  createFakeSigningKeyStore,
  createRecordingLog,
  createTestBackendHost,
  seededRandom,
} from "@mayfly/testkit";
import type { ContractUpstream } from "@mayfly/testkit/contract";
import { readHandle } from "../certificate-handle.ts";
import { authorityLine } from "../ssh-signature.ts";
import { heldSession } from "./held-session.ts";

export const HOST_COMMAND = fileURLToPath(new URL("../../host/mayfly-ssh-host", import.meta.url));

/** What stands around an opened backend: what the ledger would say, and what is out. */
interface Surroundings {
  readonly ended: Map<LeaseId, EndedLease>;
  readonly issued: Map<string, Issued>;
  open: OpenBackend | null;
}
const surroundings = new WeakMap<BackendHost, Surroundings>();

/** The type as the core uses it: the end of a lease is in the ledger before it is acted upon. */
export function playingTheCore(type: CredentialBackend): CredentialBackend {
  return {
    ...type,
    open: (config, host) => {
      const open = type.open(config, host);
      const around = surroundings.get(host);
      if (open.revocation !== "immediate" || around === undefined) {
        throw new Error("expected a type that revokes at once, on a host of this upstream");
      }
      around.open ??= open;
      const { ended, issued } = around;
      const end = (leaseId: LeaseId, expiresAt = systemClock.now()): void => {
        const endedAt = systemClock.now();
        if (!ended.has(leaseId)) ended.set(leaseId, { leaseId, endedAt, expiresAt });
      };
      return {
        ...open,
        issue: async (plan, context) => {
          const made = await open.issue(plan, context);
          issued.set(plan.externalName, made);
          return made;
        },
        revoke: async (handle, context) => {
          const { leaseId, expiresAt } = readHandle(handle);
          end(leaseId, expiresAt);
          return open.revoke(handle, context);
        },
        recover: async (plan, checkpoint, context) => {
          end(plan.leaseId, plan.expiresAt);
          return open.recover(plan, checkpoint, context);
        },
      };
    },
  };
}

export interface SshUpstream extends ContractUpstream {
  readonly port: number;
  /** Where the host's command keeps what it knows. */
  readonly state: string;
  /** Runs a command as the holder would; its status. */
  run(material: Issued["material"], command: string): Promise<number>;
}

export interface SshUpstreamOptions {
  /** Of an authority whose keys Mayfly does not make: its settings, and its lines of `ca.pub`. */
  readonly other?: { readonly authorityKey: object; readonly lines: string };
  /** By its path. Default: `mayfly-ssh-host`, as it is. */
  readonly hostCommand?: string;
}

/** A real sshd that trusts the authority, set up as `docs/backends/ssh.md` says. */
export async function startSshUpstream(
  sshd: string,
  { other, hostCommand = HOST_COMMAND }: SshUpstreamOptions = {},
): Promise<SshUpstream> {
  const around: Surroundings = { ended: new Map(), issued: new Map(), open: null };
  const gate = { blocked: Promise.resolve() };
  const keys = await gatedKeys(gate);
  const server = await startSshd(sshd, {
    hostCommand,
    authority: other?.lines ?? (await authorityLines(keys)),
  });
  const { directory, port, user, hostKey, ownKey, state } = server;
  let numbers = 0;
  let files = 0;
  const holder = async ({ certificate, private_key: key }: Issued["material"]) => {
    if (!(certificate instanceof Secret) || !(key instanceof Secret)) {
      throw new Error("a generated certificate has two secrets");
    }
    const path = join(directory, `holder-${++files}`);
    await writeFile(path, key.expose("reply"), { mode: 0o600 });
    await writeFile(`${path}-cert.pub`, `${certificate.expose("reply")}\n`);
    return path;
  };
  const ssh = async (material: Issued["material"], command: string): Promise<ChildProcess> =>
    server.client(await holder(material), command);
  const run = async (material: Issued["material"], command: string): Promise<number> => {
    const child = await ssh(material, command);
    child.stdout?.resume();
    const [code] = (await once(child, "exit")) as [number | null];
    return code ?? -1;
  };
  const tryCredential = async (material: Issued["material"]) =>
    (await run(material, "true")) === 0 ? "accepted" : "refused";
  const here = { host: "127.0.0.1", port };
  const configAt = (at: { readonly host: string; readonly port: number }) => ({
    hosts: [{ ...at, host_key: hostKey }],
    user,
    private_key: ownKey,
    leeway_seconds: 0,
    ...(other === undefined ? {} : { authority_key: other.authorityKey }),
  });
  return {
    clock: systemClock,
    port,
    state,
    run,
    config: configAt(here),
    role: { principals: [user], extensions: ["permit-pty"] },
    params: {},
    route: { ...here, configAt },
    host: (installation) => {
      const host = createTestBackendHost({
        clock: systemClock,
        random: seededRandom("host"),
        log: createRecordingLog(),
        keys,
        apis: createOutboundApis(),
        standingOf: async (id) => (around.ended.has(id) ? "over" : "live"),
        endedLeases: async () => ({
          number: ++numbers,
          readAt: systemClock.now(),
          leases: [...around.ended.values()],
        }),
        ...(installation === undefined ? {} : { installation }),
      });
      surroundings.set(host, around);
      return host;
    },
    pass: (ms) => systemClock.sleep(ms),
    tryCredential,
    openSession: async (material) => heldSession(await ssh(material, "cat")),
    liveNames: async () => {
      const inTime = [...around.issued].filter(([, made]) => made.expiresAt > systemClock.now());
      const paths = await Promise.all(inTime.map(([, { material }]) => holder(material)));
      if (paths.length === 0) return [];
      const said = await output("ssh-keygen", [
        "-Q",
        "-f",
        join(state, "krl"),
        ...paths.map((path) => `${path}-cert.pub`),
      ]);
      const accepted = said.split("\n").filter((line) => line.endsWith(": ok"));
      return inTime
        .filter((_, index) => accepted.some((line) => line.startsWith(`${paths[index]}-cert.pub `)))
        .map(([name]) => name);
    },
    block: async () => {
      const held = Promise.withResolvers<undefined>();
      gate.blocked = held.promise.then(() => undefined);
      return { release: async () => held.resolve(undefined) };
    },
    forgeMark: async () => Promise.reject(new Error("a certificate bears no mark")),
    weaken: async () => {
      await rename(join(state, "krl"), join(state, "away"));
      return { restore: () => rename(join(state, "away"), join(state, "krl")) };
    },
    authority: {
      trust: "ca.pub",
      ended: "krl",
      lists: async ({ bytes }, { material }) => {
        const list = join(directory, `list-${++files}`);
        await writeFile(list, bytes);
        const certificate = `${await holder(material)}-cert.pub`;
        const said = await output("ssh-keygen", ["-Q", "-f", list, certificate]);
        if (said.includes(": ok\n")) return false;
        if (said.includes(": REVOKED\n")) return true;
        throw new Error(`ssh-keygen does not tell: ${said}`);
      },
    },
    stop: () => server.stop(),
  };
}

async function gatedKeys(gate: { readonly blocked: Promise<void> }): Promise<BackendKeys> {
  const keys = createBackendKeys({
    backendId: parseBackendId("tested-backend", "backend"),
    store: createFakeSigningKeyStore(),
    sealer: createFakeSealer(),
    clock: systemClock,
    random: seededRandom("keys"),
    settings: { ...defaultTaskTokensSettings, tokenSecondsMax: 1200 },
  });
  await keys.rotate("EdDSA", systemClock.now());
  return {
    ...keys,
    authorities: async () => {
      await gate.blocked;
      return keys.authorities();
    },
  };
}

async function authorityLines(keys: BackendKeys): Promise<string> {
  return (await keys.authorities()).map((key) => `${authorityLine(key, "ca")}\n`).join("");
}

const output = (program: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve) => {
    execFile(program, [...args], (_error, stdout) => resolve(stdout));
  });
