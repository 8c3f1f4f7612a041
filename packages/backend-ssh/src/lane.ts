import { leaseName, refuseCrowded, SharedLook } from "@mayfly/backend-kit";
import type { BackendHost, EndedLeases } from "@mayfly/spec";
import { askHost, hostFailed } from "./ask-host.ts";
import { openAuthority, type AuthoritySource } from "./authority-source.ts";
import type { ReadKeyFile } from "./file-authority.ts";
import type { HostSettings, SshHost } from "./host-settings.ts";
import {
  lookAtCertificates,
  type AskHost,
  type LookAtCertificate,
} from "./look-at-certificates.ts";
import { revokeRequest } from "./revocation-list.ts";

/** The longest that a certificate lives. */
export const LIFETIME_SECONDS_MAX = 900;
/** What is past its expiry stays listed while hosts' clocks may differ. */
const GRACE_SECONDS = 600;

/** A host that is told whom to refuse; many ends at once are one exchange with it. */
export interface ToldHost {
  readonly at: SshHost;
  /** Sends a list that is made after the call; resolves once the host keeps it and has cut. */
  tell(): Promise<void>;
  readonly ask: AskHost;
  /** Many that ask at once are one exchange with it, too. */
  readonly look: LookAtCertificate;
}

/** An opened backend's configuration, and what it may touch. */
export interface Lane {
  readonly settings: HostSettings;
  readonly host: BackendHost;
  readonly hosts: readonly ToldHost[];
  /** By which hosts tell it from others: two may share a host. */
  readonly authority: string;
  /** Its keys, and what signs with them. */
  readonly source: AuthoritySource;
  /** The newest list, as hosts are sent it. */
  list(): Promise<{ readonly number: number; readonly keyIds: readonly string[] }>;
  /** What is being ended: listed too, however long ago it expired, so that its sessions are cut. */
  readonly ending: Set<string>;
  /** Throws while the list is so long that nothing is to be issued. */
  readonly refuseCrowded: () => Promise<void>;
}

export function createLane(
  settings: HostSettings,
  host: BackendHost,
  readFile: ReadKeyFile,
  closing: AbortSignal,
): Lane {
  const source = openAuthority(settings.authority_key, host, readFile);
  const wanted = { lifetimeSecondsMax: LIFETIME_SECONDS_MAX, graceSeconds: GRACE_SECONDS };
  const ended = new SharedLook<EndedLeases>(() => host.tokens.endedLeases(wanted));
  const authority = `${host.installation}_${host.backendId}`;
  const ending = new Set<string>();
  const list = async () => {
    const { number, leases } = await ended.run();
    const ids = leases.map(({ leaseId }) => leaseName(host.installation, leaseId));
    return { number, keyIds: [...new Set([...ids, ...ending])].toSorted() };
  };
  const hosts = settings.hosts.map((at): ToldHost => {
    const ask: AskHost = (request, signal) => askHost(at, settings, request, signal);
    const telling = new SharedLook(async () => {
      const { number, keyIds } = await list();
      const request = revokeRequest(authority, number, keyIds);
      readTold(at, await ask(request, closing), number);
    });
    const look = lookAtCertificates(at, authority, ask, closing);
    return { at, ask, look, tell: () => telling.run() };
  });
  const crowded = refuseCrowded(host.clock, "SSH, issue", () => ended.run());
  return { settings, host, hosts, authority, source, list, ending, refuseCrowded: crowded };
}

function readTold(at: SshHost, answer: string, number: number): void {
  const [, kept, sessions] = /^revoked (\d{1,20}) sessions (\d{1,9})$/.exec(answer) ?? [];
  if (kept === undefined || Number(kept) < number) throw hostFailed(at, "it kept no list");
  if (sessions !== "0") throw hostFailed(at, `${sessions} revoked sessions still live`);
}
