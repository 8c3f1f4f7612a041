import {
  BackendError,
  durationSeconds,
  instantMs,
  plusSeconds,
  type EndedLeases,
  type InstantMs,
  type IssuePlan,
  type Probe,
  type Recovered,
  type Revoked,
  type Secret,
} from "@mayfly/spec";
import { readHandle, type CertificateHandle } from "./certificate-handle.ts";
import type { Lane } from "./lane.ts";
import { serialText } from "./revocation-list.ts";

/**
 * From its time on an end is in the ledger once its transaction is over: its last statement is
 * within 10 s or undoes it, the server waits 10 s for COMMIT, and that takes its moment.
 */
const COMMIT_SECONDS_MAX = 22;

/**
 * The end of the lease, which the ledger has by now, is the revocation: every list that is made
 * from now on says so. Lists that were made before it, and connections, have their bounds.
 */
export async function revokeCertificate(lane: Lane, handle: Secret): Promise<Revoked> {
  const read = readHandle(handle);
  const ended = await lane.ended.run();
  const { listedAt, refusedFrom, diesAt } = endOf(lane, read, ended);
  // Whoever waits does so by our clock, which may be ahead of the ledger's.
  const aheadMs = Math.max(0, lane.host.clock.now() - ended.readAt);
  if (listedAt === null && ended.readAt < diesAt) throw stillLives();
  if (refusedFrom === null) {
    return { outcome: "expires", notLaterThan: instantMs(diesAt + aheadMs) };
  }
  if (ended.readAt >= refusedFrom) return { outcome: "refused" };
  return { outcome: "propagating", until: instantMs(refusedFrom + aheadMs) };
}

const stillLives = (): BackendError =>
  new BackendError("X.509, revoke: the ledger says that the lease lives, so it is on no list", {
    effect: "none",
    retry: { kind: "after", seconds: durationSeconds(1) },
  });

/** Looks at what each list is made of, and at what its bounds and the clock make of it. */
export async function probeCertificate(lane: Lane, handle: Secret): Promise<Probe> {
  const read = readHandle(handle);
  const ended = await lane.ended.run();
  const { listedAt, refusedFrom, diesAt } = endOf(lane, read, ended);
  // The end has the ledger's time, so it is compared with no other.
  const now = ended.readAt;
  const isDead = now >= diesAt;
  const isRefused = refusedFrom !== null && now >= refusedFrom;
  return {
    verdict: isDead || isRefused ? "refused" : "accepted",
    looked: {
      serial_number: serialText(read.leaseId),
      crl: listedAt === null ? "not listed" : "listed",
      crl_number: ended.number,
      older_lists: isRefused ? "past their nextUpdate" : "may be in use",
      certificate: isDead ? "expired" : "in its time",
    },
  };
}

/**
 * A certificate that was signed by a process which then died is found nowhere; if it exists at all,
 * nobody was given it, the lists have its number, and it dies with its plan.
 */
export async function recoverCertificate(lane: Lane, plan: IssuePlan): Promise<Recovered> {
  return {
    outcome: "expires",
    notLaterThan: plusSeconds(plan.expiresAt, lane.settings.leeway_seconds),
  };
}

interface CertificateEnd {
  /** Null: on no list. */
  readonly listedAt: InstantMs | null;
  /**
   * From then on no server that checks lists accepts it: the last one without it is past its
   * `nextUpdate`, and connections from before are closed. Null: no sooner than it dies.
   */
  readonly refusedFrom: InstantMs | null;
  readonly diesAt: InstantMs;
}

function endOf({ settings }: Lane, read: CertificateHandle, ended: EndedLeases): CertificateEnd {
  const leeway = Math.max(read.leewaySeconds, settings.leeway_seconds);
  const connection = Math.max(read.connectionSeconds, settings.connection_seconds_max);
  const crl = Math.max(read.crlSeconds, settings.crl_seconds);
  const diesAt = plusSeconds(read.expiresAt, leeway + connection);
  const listedAt = ended.leases.find(({ leaseId }) => leaseId === read.leaseId)?.endedAt ?? null;
  const outdatedAt =
    listedAt === null ? null : plusSeconds(lastWithout(listedAt, crl, ended), leeway + connection);
  const isSooner = settings.servers_check_crl && outdatedAt !== null && outdatedAt < diesAt;
  return { listedAt, refusedFrom: isSooner ? outdatedAt : null, diesAt };
}

/** Until when a list may count that lacks what is listed since then. */
const lastWithout = (
  listedAt: InstantMs,
  crlSeconds: number,
  { longerListsUntil = listedAt }: EndedLeases,
): InstantMs =>
  instantMs(Math.max(plusSeconds(listedAt, COMMIT_SECONDS_MAX + crlSeconds), longerListsUntil));
