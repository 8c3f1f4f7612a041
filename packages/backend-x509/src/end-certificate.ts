import {
  BackendError,
  durationSeconds,
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

/** From its time on an end is in the ledger once its transaction is over: within one call to it. */
const COMMIT_SECONDS_MAX = 12;

/**
 * The end of the lease, which the ledger has by now, is the revocation: every list that is made
 * from now on says so. Lists that were made before it, and connections, have their bounds.
 */
export async function revokeCertificate(lane: Lane, handle: Secret): Promise<Revoked> {
  const read = readHandle(handle);
  const end = endOf(lane, read, await lane.ended.run());
  if (end.listedAt === null && lane.host.clock.now() < end.diesAt) throw stillLives();
  if (end.refusedFrom === null) return { outcome: "expires", notLaterThan: end.diesAt };
  if (lane.host.clock.now() >= end.refusedFrom) return { outcome: "refused" };
  return { outcome: "propagating", until: end.refusedFrom };
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
  const now = lane.host.clock.now();
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
    listedAt === null
      ? null
      : plusSeconds(listedAt, COMMIT_SECONDS_MAX + crl + leeway + connection);
  const isSooner = settings.servers_check_crl && outdatedAt !== null && outdatedAt < diesAt;
  return { listedAt, refusedFrom: isSooner ? outdatedAt : null, diesAt };
}
