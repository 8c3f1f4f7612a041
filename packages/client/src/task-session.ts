import type { Connection } from "./connection.ts";
import { parseTaskToken, type Exchanged, type Presented, type TaskToken } from "./exchange.ts";
import type { IdentitySource } from "./identity/identity-source.ts";
import { presentIdentity } from "./identity/present-identity.ts";
import { MayflyError } from "./mayfly-error.ts";
import type { Fields } from "./read-answer.ts";
import { whyRefused } from "./refused-identity.ts";
import type { Secret } from "./secret.ts";
import type { Surroundings } from "./surroundings.ts";

/** Codes that say that a token is no longer good enough, where a fresh proof may be. */
const NEEDS_PROOF = new Set(["unauthenticated", "invalid_identity"]);
const CALL_TIMEOUT_MS = 20_000;
const CALL_WITHIN_MS = 45_000;
const BEAT_TIMEOUT_MS = 10_000;

/** What a task holds to speak with the broker: its task token, and whoever can prove it anew. */
export class TaskSession {
  readonly connection: Connection;
  readonly around: Surroundings;
  readonly source: IdentitySource;
  readonly id: string;
  readonly deadline: Date;
  /** How long the token lived when identity was last proven. */
  #provenLifeMs: number;
  #taskToken: TaskToken;

  constructor(
    connection: Connection,
    source: IdentitySource,
    opened: Exchanged,
    around: Surroundings,
  ) {
    this.connection = connection;
    this.source = source;
    this.around = around;
    this.id = opened.id;
    this.deadline = opened.deadline;
    this.#taskToken = opened.taskToken;
    this.#provenLifeMs = opened.taskToken.lifeMs;
  }

  /** Until the task token expires. */
  leftMs(): number {
    return this.#taskToken.expiresAtMs - this.around.clock.monotonicMs();
  }

  /**
   * Whether the token grew shorter with each heartbeat since the last proof of identity, which
   * bounds it: then only a new one helps. From half of what that was worth, so that there is time
   * for the source of the identity to come back. This machine's clock has no part in it.
   */
  needsProof(): boolean {
    return this.leftMs() < this.#provenLifeMs / 2;
  }

  /** Until an instant that the broker named, whatever this machine's clock says. */
  untilMs(instant: Date): number {
    return instant.getTime() - this.around.clock.now() - this.connection.http.aheadMs();
  }

  /** What the token endpoint takes for this task: its token, renewed by a proof if it must be. */
  async presented(signal: AbortSignal | undefined): Promise<Presented> {
    if (this.leftMs() <= 0) await this.beat("proof", signal);
    return { subject: this.#taskToken.token, subjectIs: "task_token", actor: null };
  }

  /** One heartbeat, by the task token or by a fresh proof. The new token is kept. */
  async beat(
    by: "token" | "proof",
    signal: AbortSignal | undefined,
    withinMs: number = BEAT_TIMEOUT_MS,
  ): Promise<void> {
    const proof = by === "token" ? null : await this.#proof(signal);
    const sent = this.connection.http.send({
      method: "POST",
      path: `/v1/tasks/${encodeURIComponent(this.id)}/heartbeat`,
      token: proof ?? this.#taskToken.token,
      json: {},
      // A proof may count once: sent again it would be refused for that.
      repeatable: false,
      timeoutMs: Math.min(withinMs, BEAT_TIMEOUT_MS),
      withinMs,
      signal,
    });
    const answer = await sent.catch((error: unknown) => {
      throw proof === null ? error : whyRefused(error, proof, this.around);
    });
    this.#taskToken = parseTaskToken(answer, this.connection.http, this.around);
    if (by === "proof") this.#provenLifeMs = this.#taskToken.lifeMs;
  }

  /**
   * A call of the task's own, which the broker may take `waitMs` to answer. If its token no longer
   * counts, once more after a fresh proof, within the same time.
   */
  async call(
    path: string,
    json: Readonly<Record<string, unknown>>,
    withinMs: number = CALL_WITHIN_MS,
    waitMs = 0,
  ): Promise<Fields> {
    const { clock } = this.around;
    const byMs = clock.monotonicMs() + withinMs + waitMs;
    const leftMs = (): number => Math.max(1, byMs - clock.monotonicMs());
    const send = (): Promise<Fields> =>
      this.connection.http.send({
        method: "POST",
        path,
        token: this.#taskToken.token,
        json,
        repeatable: true,
        timeoutMs: Math.min(leftMs(), CALL_TIMEOUT_MS + waitMs),
        withinMs: leftMs(),
      });
    try {
      return await send();
    } catch (error) {
      if (!isRefusedToken(error)) throw error;
      await this.beat("proof", undefined, leftMs());
      return await send();
    }
  }

  #proof(signal: AbortSignal | undefined): Promise<Secret> {
    return presentIdentity(this.source, this.connection.issuer, this.around, signal);
  }
}

/** Whether a fresh proof of identity may help. */
export const isRefusedToken = (error: unknown): boolean =>
  MayflyError.is(error) && NEEDS_PROOF.has(error.code);
