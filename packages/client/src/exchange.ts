import type { BrokerHttp } from "./broker-http.ts";
import type { Connection } from "./connection.ts";
import { parseCredential, type Credential } from "./credential.ts";
import { MayflyError } from "./mayfly-error.ts";
import {
  instantOf,
  numberOf,
  objectOf,
  objectsIn,
  textIn,
  textOf,
  type Fields,
} from "./read-answer.ts";
import { Secret } from "./secret.ts";
import type { Surroundings } from "./surroundings.ts";

/** What stands for the caller at the token endpoint. */
export interface Presented {
  readonly subject: Secret;
  /** A task token of ours, or a JWT from elsewhere. */
  readonly subjectIs: "task_token" | "jwt";
  readonly actor: Secret | null;
}

export interface TaskToken {
  readonly token: Secret;
  /** On the monotonic clock. */
  readonly expiresAtMs: number;
  /** How long it was good for when it came. */
  readonly lifeMs: number;
}

export interface Exchanged {
  readonly id: string;
  readonly parent: string | null;
  readonly deadline: Date;
  readonly idleTimeoutSeconds: number;
  readonly taskToken: TaskToken;
  readonly credentials: readonly Credential[];
}

const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
const TYPE = "urn:ietf:params:oauth:token-type:";
const KEY_BYTES = 16;
/** A mint may take its time: the broker's own bound is ten seconds and the backend's call. */
const TIMEOUT_MS = 40_000;
const WITHIN_MS = 90_000;

/**
 * `POST /token` (RFC 8693) with one Idempotency-Key. A lost reply is asked for again byte for byte:
 * the broker ends what it made for the first and makes another, so nothing is left behind.
 */
export async function exchange(
  connection: Connection,
  presented: Presented,
  details: Readonly<Record<string, unknown>>,
  around: Surroundings,
  signal: AbortSignal | undefined,
): Promise<Exchanged> {
  const { subject, subjectIs, actor } = presented;
  const form = new URLSearchParams({
    grant_type: GRANT,
    subject_token: subject.expose(),
    subject_token_type: `${TYPE}${subjectIs === "jwt" ? "jwt" : "access_token"}`,
    ...(actor === null ? {} : { actor_token: actor.expose(), actor_token_type: `${TYPE}jwt` }),
    authorization_details: JSON.stringify([details]),
  });
  const answer = await connection.http.send({
    method: "POST",
    path: "/token",
    form: form.toString(),
    idempotencyKey: randomKey(around),
    repeatable: true,
    timeoutMs: TIMEOUT_MS,
    withinMs: WITHIN_MS,
    signal,
  });
  return parseExchanged(answer, connection.http, around);
}

const randomKey = (around: Surroundings): string =>
  [...around.randomBytes(KEY_BYTES)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function parseExchanged(answer: Fields, http: BrokerHttp, around: Surroundings): Exchanged {
  const task = objectOf(answer, "task");
  return {
    id: textOf(task, "id"),
    parent: textIn(task, "parent"),
    deadline: instantOf(task, "deadline"),
    idleTimeoutSeconds: numberOf(task, "idle_timeout_seconds"),
    taskToken: parseTaskToken(answer, http, around),
    credentials: objectsIn(answer, "credentials").map(parseCredential),
  };
}

/**
 * Of a token reply or a heartbeat's. One that is not bound although a key was proven is not taken
 * (RFC 9449 section 5): it would be a bearer's.
 */
export function parseTaskToken(
  answer: Fields,
  { tokenType }: Pick<BrokerHttp, "tokenType">,
  around: Surroundings,
): TaskToken {
  const type = textOf(answer, "token_type");
  if (type.toLowerCase() !== tokenType.toLowerCase()) {
    throw new MayflyError({
      code: "not_a_broker",
      what: `The broker gave a task token of type ${type}, and this client asked for ${tokenType}.`,
      hint: "Use a newer version of @mayfly/client.",
    });
  }
  const lifeMs = numberOf(answer, "expires_in") * 1_000;
  return {
    token: new Secret(textOf(answer, "access_token")),
    expiresAtMs: around.clock.monotonicMs() + lifeMs,
    lifeMs,
  };
}
