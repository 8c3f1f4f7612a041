import { CallBatcher } from "@mayfly/backend-kit";
import { BackendError, durationSeconds } from "@mayfly/spec";
import { hostFailed, isCommandFailed } from "./ask-host.ts";
import type { SshHost } from "./host-settings.ts";
import { requestHead } from "./revocation-list.ts";

/** What a host is asked of. */
export interface Certificate {
  readonly keyId: string;
  /** As `id-cert.pub` has it. */
  readonly certificate: string;
}

/** What a host's sshd would say of a certificate, and which sessions it serves. */
export interface CertificateLook {
  readonly refuses: boolean;
  readonly sessions: number;
  /** Of the list by which it was looked at. */
  readonly number: number;
}

export type AskHost = (request: string, signal: AbortSignal) => Promise<string>;
export type LookAtCertificate = (
  certificate: Certificate,
  signal: AbortSignal,
) => Promise<CertificateLook>;

/** A host takes no more in one request. */
const BATCH_MAX = 256;
/** As many as all passes of a process may have under way at one backend. */
const WAITING_MAX = 4_096;
/** Where many have to be looked at one by one: well below the ten that sshd lets begin. */
const ALONE_AT_ONCE = 4;
/** So many looks without an answer, and the rest of those one by one are not tried at it. */
const LOST_MAX = 4;

/** One look for many certificates: each connection is dear to a host, and few may begin at once. */
export function lookAtCertificates(
  at: SshHost,
  authority: string,
  ask: AskHost,
  closing: AbortSignal,
): LookAtCertificate {
  const batcher = new CallBatcher<Certificate, CertificateLook | BackendError>({
    work: (certificates) => lookAtAll(at, authority, ask, certificates, closing),
    isOfOne: () => false,
    refusal: (why) =>
      new BackendError(`SSH host ${at.host}:${at.port}: there is no answer of it: ${why}`, {
        effect: "unknown",
        retry: { kind: "after", seconds: durationSeconds(1) },
      }),
    batchMax: BATCH_MAX,
    waitingMax: WAITING_MAX,
    atOnce: 1,
  });
  return async (certificate, signal) => {
    const look = await batcher.run(certificate, signal);
    if (BackendError.isBackendError(look)) throw look;
    return look;
  };
}

type Looks = ReadonlyMap<Certificate, CertificateLook | BackendError>;

/**
 * All in one request. Where the host's command says no, be it to one of them or because it is of an
 * earlier version, each is looked at by a request of its own, and only what fails then has failed.
 */
async function lookAtAll(
  at: SshHost,
  authority: string,
  ask: AskHost,
  certificates: readonly Certificate[],
  signal: AbortSignal,
): Promise<Looks> {
  if (certificates.length > 1) {
    try {
      return await lookTogether(at, authority, ask, certificates, signal);
    } catch (error) {
      if (!isCommandFailed(error)) throw error;
    }
  }
  const looks = new Map<Certificate, CertificateLook | BackendError>();
  const queue = certificates.values();
  const lost: BackendError[] = [];
  const one = async (): Promise<void> => {
    for (const certificate of queue) {
      // Each waits for a host that is gone, and whoever asks next waits for all of them.
      const gone = lost[LOST_MAX - 1];
      const look = gone ?? (await lookAlone(at, authority, ask, certificate, signal));
      if (BackendError.isBackendError(look) && !isCommandFailed(look)) lost.push(look);
      looks.set(certificate, look);
    }
  };
  await Promise.all(Array.from({ length: ALONE_AT_ONCE }, one));
  return looks;
}

const ANSWER = /^(refused|accepted) sessions (\d{1,9}) number (\d{1,20})$/;

async function lookAlone(
  at: SshHost,
  authority: string,
  ask: AskHost,
  { keyId, certificate }: Certificate,
  signal: AbortSignal,
): Promise<CertificateLook | BackendError> {
  const request = `${requestHead("look", authority)} ${keyId}\n${certificate}\n`;
  try {
    const [, verdict, sessions, number] = ANSWER.exec(await ask(request, signal)) ?? [];
    if (verdict === undefined) return hostFailed(at, "its answer is none");
    return { refuses: verdict === "refused", sessions: Number(sessions), number: Number(number) };
  } catch (error) {
    if (BackendError.isBackendError(error)) return error;
    throw error;
  }
}

const HEAD = /^looked (\d{1,4}) number (\d{1,20})$/;
const LINE = /^(\S{1,100}) (refused|accepted) sessions (\d{1,9})$/;

async function lookTogether(
  at: SshHost,
  authority: string,
  ask: AskHost,
  certificates: readonly Certificate[],
  signal: AbortSignal,
): Promise<Looks> {
  const asked = certificates.map(({ keyId, certificate }) => `${keyId} ${certificate}`);
  const head = `${requestHead("looks", authority)} ${asked.length}`;
  const answer = await ask(`${[head, ...asked].join("\n")}\n`, signal);
  const [first = "", ...lines] = answer.split("\n");
  const [, count, number] = HEAD.exec(first) ?? [];
  if (Number(count) !== asked.length || lines.length !== asked.length) {
    throw hostFailed(at, "its answer is none");
  }
  const seen = new Map<string, CertificateLook>();
  for (const line of lines) {
    const [, keyId = "", verdict, sessions] = LINE.exec(line) ?? [];
    if (verdict === undefined) throw hostFailed(at, "its answer is none");
    const refuses = verdict === "refused";
    seen.set(keyId, { refuses, sessions: Number(sessions), number: Number(number) });
  }
  return new Map(
    certificates.map((each) => [
      each,
      seen.get(each.keyId) ?? hostFailed(at, "its answer says nothing of a certificate"),
    ]),
  );
}
