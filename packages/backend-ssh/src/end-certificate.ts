import {
  BackendError,
  durationSeconds,
  plusSeconds,
  type CallContext,
  type IssuePlan,
  type Probe,
  type Recovered,
  type Revoked,
  type Secret,
} from "@mayfly/spec";
import { readHandle } from "./certificate-handle.ts";
import type { Lane } from "./lane.ts";

/** Returns once every host keeps a list that has the certificate, and has cut its sessions. */
export async function revokeCertificate(
  lane: Lane,
  handle: Secret,
  { signal }: CallContext,
): Promise<Revoked> {
  const { leaseId, keyId } = readHandle(handle);
  if ((await lane.host.tokens.standingOf(leaseId)) === "live") throw stillLives();
  lane.ending.add(keyId);
  try {
    const told = Promise.all(lane.hosts.map((host) => host.tell()));
    told.catch(() => undefined);
    await Promise.race([told, abortOf(signal)]);
  } finally {
    lane.ending.delete(keyId);
  }
  return { outcome: "refused" };
}

const stillLives = (): BackendError =>
  new BackendError("SSH, revoke: the ledger says that the lease lives, so it is on no list", {
    effect: "none",
    retry: { kind: "after", seconds: durationSeconds(1) },
  });

const abortOf = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const abort = (): void =>
      reject(
        new BackendError("SSH, revoke: given up before every host had answered", {
          cause: signal.reason,
          effect: "unknown",
          retry: { kind: "after", seconds: durationSeconds(1) },
        }),
      );
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });

/** Every host is asked what its sshd would say of the certificate, and which sessions it serves. */
export async function probeCertificate(
  lane: Lane,
  handle: Secret,
  { signal }: CallContext,
): Promise<Probe> {
  const { keyId, certificate, expiresAt } = readHandle(handle);
  const looks = await Promise.all(
    lane.hosts.map((host) => host.look({ keyId, certificate }, signal)),
  );
  const isExpired = lane.host.clock.now() >= plusSeconds(expiresAt, lane.settings.leeway_seconds);
  const refusing = looks.filter(({ refuses }) => refuses).length;
  const sessions = looks.reduce((sum, each) => sum + each.sessions, 0);
  const isRefused = (isExpired || refusing === looks.length) && sessions === 0;
  return {
    verdict: isRefused ? "refused" : "accepted",
    looked: {
      hosts: looks.length,
      hosts_that_list_it: refusing,
      sessions,
      certificate: isExpired ? "expired" : "in its time",
      list_number: Math.min(...looks.map(({ number }) => number)),
    },
  };
}

/**
 * A certificate that was signed by a process which then died is found nowhere; if it exists at all,
 * nobody was given it, the next list has it, and it dies with its plan.
 */
export async function recoverCertificate(lane: Lane, plan: IssuePlan): Promise<Recovered> {
  const { leeway_seconds: leeway } = lane.settings;
  return { outcome: "expires", notLaterThan: plusSeconds(plan.expiresAt, leeway) };
}
