import { apiHeaders, type ApiHeaders, type ApiRequest } from "./api-headers.ts";
import {
  pick,
  renewed,
  type AccessToken,
  type Credential,
  type CredentialKind,
  type CredentialKinds,
  type PostgresPassword,
} from "./credential.ts";
import { parseEndedTask, type EndedTask } from "./ended-task.ts";
import { exchange, type Exchanged } from "./exchange.ts";
import { keepAlive, taskLost } from "./heartbeats.ts";
import { chooseIdentity, presentIdentity } from "./identity/present-identity.ts";
import { MayflyError } from "./mayfly-error.ts";
import { instantOf } from "./read-answer.ts";
import { cancelOnSignals } from "./signal-watch.ts";
import {
  checkChildOptions,
  checkDrawOptions,
  describe,
  END_WAIT_SECONDS,
  type ChildOptions,
  type DrawOptions,
  type Duration,
  type TaskConduct,
} from "./task-options.ts";
import { TaskSession } from "./task-session.ts";
import { runInTask, unconfirmed } from "./run-in-task.ts";

type Verb = "complete" | "fail" | "cancel";
const REASON_CHARACTERS_MAX = 200;
/** Beside the wait that was asked for: whoever ends a process waits no longer. */
const END_MS = 10_000;

export interface EndOptions {
  /** How long to wait until the credentials are seen to be dead; 0 to 60. */
  readonly waitSeconds?: number;
}

export interface RenewOptions {
  /** Default: as long as role, task and the declared `ttl` allow. */
  readonly ttl?: Duration;
}

/** An open task. Its heartbeats go by themselves; it prints as its id and state. */
export class Task implements AsyncDisposable {
  readonly id: string;
  readonly parent: string | null;
  readonly deadline: Date;
  readonly idleTimeoutSeconds: number;
  readonly #session: TaskSession;
  readonly #conduct: TaskConduct;
  readonly #stopBeating = new AbortController();
  readonly #gone = new AbortController();
  readonly #children = new Set<Task>();
  readonly #release: (() => void)[] = [];
  #credentials: readonly Credential[];
  #lost: MayflyError | null = null;
  #end: Promise<EndedTask> | null = null;

  /** Of this package alone: a task comes from `openTask`, `withTask` or `child`. */
  constructor(session: TaskSession, opened: Exchanged, conduct: TaskConduct) {
    this.#session = session;
    this.#conduct = conduct;
    this.id = opened.id;
    this.parent = opened.parent;
    this.deadline = opened.deadline;
    this.idleTimeoutSeconds = opened.idleTimeoutSeconds;
    this.#credentials = opened.credentials;
    const { around } = session;
    if (conduct.endOnSignals !== false) {
      this.#release.push(cancelOnSignals(around, (name) => this.#cancelledBy(name)));
    }
    this.#heed(conduct.signal);
    keepAlive(
      session,
      this.idleTimeoutSeconds,
      (why) => this.#lose(why),
      this.#stopBeating.signal,
    ).catch((error: unknown) => this.#lose(defect(error)));
  }

  /** Aborted when the task is over but not by `complete` or `fail`: killed, expired, cancelled … */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Why `signal` is aborted; null while the task lives. */
  get lost(): MayflyError | null {
    return this.#lost;
  }

  get isOpen(): boolean {
    return this.#end === null && this.#lost === null;
  }

  /** All that were handed out, oldest first, of every kind. */
  get credentials(): readonly Credential[] {
    return this.#credentials;
  }

  /** The newest credential of the role. Without a kind, PostgreSQL's is meant. */
  credential(role: string): CredentialKinds["postgres-password"];
  credential<K extends CredentialKind>(role: string, kind: K): CredentialKinds[K];
  credential(role: string, kind: CredentialKind = "postgres-password"): Credential {
    return pick(this.#credentials, role, kind);
  }

  /**
   * One more credential of a role that the task declared; `task.credential` has it from then on.
   * Without a kind, PostgreSQL's is meant.
   */
  draw(role: string, options?: DrawOptions): Promise<CredentialKinds["postgres-password"]>;
  draw<K extends CredentialKind>(
    role: string,
    options: DrawOptions & { readonly kind: K },
  ): Promise<CredentialKinds[K]>;
  async draw(
    role: string,
    options: DrawOptions & { readonly kind?: CredentialKind } = {},
  ): Promise<Credential> {
    checkDrawOptions(options);
    this.#mustBeOpen();
    const { params, ttl, signal, kind = "postgres-password" } = options;
    const wanted = {
      role,
      ...(params === undefined ? {} : { params }),
      ...(ttl === undefined ? {} : { ttl }),
    };
    const details = { type: "mayfly-task", task: this.id, credentials: [wanted] };
    const { connection, around } = this.#session;
    const presented = await this.#heard(this.#session.presented(signal));
    const drawing = exchange(connection, presented, details, around, signal);
    const { credentials } = await this.#heard(drawing);
    this.#credentials = [...this.#credentials, ...credentials];
    return pick(credentials, role, kind);
  }

  /**
   * The headers that present an access token to its API, in one request: a proof counts once, so
   * each has its own.
   */
  async apiHeaders(credential: AccessToken, request: ApiRequest): Promise<ApiHeaders> {
    this.#mustBeOpen();
    return apiHeaders(this.#session, credential, request);
  }

  /** Milliseconds until it expires, by the broker's clock; this machine's own may be wrong. */
  leftMs(credential: Credential): number {
    return this.#session.untilMs(credential.expiresAt);
  }

  /** Moves the expiry of a credential; the same one, with the new instant, is handed out again. */
  renew(credential: PostgresPassword, options?: RenewOptions): Promise<PostgresPassword>;
  renew(credential: Credential, options?: RenewOptions): Promise<Credential>;
  async renew(credential: Credential, options: RenewOptions = {}): Promise<Credential> {
    this.#mustBeOpen();
    const { ttl } = options;
    const path = leasePath(credential, "renew");
    const renewing = this.#session.call(path, ttl === undefined ? {} : { ttl });
    const answer = await this.#heard(renewing);
    const newer = renewed(credential, instantOf(answer, "expires_at"));
    this.#credentials = this.#credentials.map((one) => (one.lease === newer.lease ? newer : one));
    return newer;
  }

  /** Ends one credential before the task is over. */
  async endCredential(credential: Credential): Promise<void> {
    this.#mustBeOpen();
    const ending = { reason: "ended by its task" };
    await this.#heard(this.#session.call(leasePath(credential, "end"), ending));
    this.#credentials = this.#credentials.filter((one) => one.lease !== credential.lease);
  }

  /** One heartbeat now; they go by themselves. */
  async heartbeat(): Promise<void> {
    this.#mustBeOpen();
    const by = this.#session.needsProof() ? "proof" : "token";
    await this.#heard(this.#session.beat(by, undefined));
  }

  /** A task below this one, whose authority is within this one's; it ends with this one. */
  child(options: ChildOptions): Promise<Task>;
  child<T>(options: ChildOptions, run: (task: Task) => Promise<T> | T): Promise<T>;
  async child<T>(options: ChildOptions, run?: (task: Task) => Promise<T> | T): Promise<Task | T> {
    const opened = await this.#openChild(options);
    return run === undefined ? opened : runInTask(opened, options, this.#session.around, run);
  }

  async #openChild(options: ChildOptions): Promise<Task> {
    checkChildOptions(options);
    this.#mustBeOpen();
    const { connection, around, source } = this.#session;
    const { signal } = options;
    const own =
      options.identity === undefined
        ? null
        : await chooseIdentity(options.identity, around, signal);
    const presented = {
      ...(await this.#session.presented(signal)),
      actor: own === null ? null : await presentIdentity(own, connection.issuer, around, signal),
    };
    const details = describe(options, this.id);
    const opened = await this.#heard(exchange(connection, presented, details, around, signal));
    const session = new TaskSession(connection, own ?? source, opened, around);
    // The signals of the process end this task, and with it the child.
    const child = new Task(session, opened, { ...options, endOnSignals: false });
    this.#children.add(child);
    child.#release.push(() => this.#children.delete(child));
    return child;
  }

  /** The work is done. Answers what is left of each credential. Once ended, says the same again. */
  complete(options: EndOptions = {}): Promise<EndedTask> {
    return this.#settle("complete", null, options);
  }

  /** The work failed; `reason` is kept in the ledger, so it must hold no secret. */
  fail(reason: string, options: EndOptions = {}): Promise<EndedTask> {
    return this.#settle("fail", reason, options);
  }

  /** The work is not wanted any more. */
  cancel(reason: string, options: EndOptions = {}): Promise<EndedTask> {
    return this.#settle("cancel", reason, options);
  }

  /** Cancels a task that was left without an end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#end !== null) return;
    // Thrown from here it would hide what made the block end.
    await this.#settle("cancel", "left without an end").catch((error: unknown) =>
      this.#warn(error),
    );
  }

  toString(): string {
    const state = this.isOpen ? "open" : this.#lost === null ? "ended" : "lost";
    return `Task(${this.id}, ${state})`;
  }
  toJSON(): { readonly id: string } {
    return { id: this.id };
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  #settle(verb: Verb, reason: string | null, options: EndOptions = {}): Promise<EndedTask> {
    this.#end ??= this.#sendEnd(verb, reason, options);
    return this.#end;
  }

  async #sendEnd(verb: Verb, reason: string | null, options: EndOptions): Promise<EndedTask> {
    this.#stopBeating.abort();
    const wait = options.waitSeconds ?? this.#conduct.endWaitSeconds ?? END_WAIT_SECONDS;
    const json = {
      wait,
      ...(reason === null ? {} : { reason: plainReason(reason) }),
    };
    try {
      const path = `/v1/tasks/${encodeURIComponent(this.id)}/${verb}`;
      return parseEndedTask(await this.#session.call(path, json, END_MS, wait * 1_000));
    } finally {
      this.#let(over(this.id));
    }
  }

  /** A program that listens to the signal itself goes on: it learns that its credentials do not. */
  #cancelledBy(name: string): Promise<EndedTask> {
    const ended = this.#settle("cancel", name);
    this.#gone.abort(over(this.id, `was cancelled by ${name}`));
    return ended;
  }

  #heed(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const cancel = (): void => {
      this.#settle("cancel", "aborted").catch((error: unknown) => this.#warn(error));
      this.#gone.abort(signal.reason);
    };
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    this.#release.push(() => signal.removeEventListener("abort", cancel));
  }

  #lose(why: MayflyError): void {
    if (this.#end !== null || this.#lost !== null) return;
    this.#lost = why;
    this.#stopBeating.abort();
    this.#gone.abort(why);
    this.#let(why);
  }

  /** Lets go of what the task held; whoever is below it has lost theirs. */
  #let(why: MayflyError): void {
    for (const release of this.#release) release();
    for (const child of this.#children) child.#lose(why);
  }

  /** A refusal that says that the task is over is heeded at once, whoever of us hears it. */
  async #heard<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      const isOver = MayflyError.is(error) && error.code === "task_ended";
      if (isOver) this.#lose(taskLost(this.id, error, true));
      throw error;
    }
  }

  #mustBeOpen(): void {
    if (this.#lost !== null) throw this.#lost;
    if (this.#end !== null) throw over(this.id);
  }

  #warn(error: unknown): void {
    this.#session.around.warn(unconfirmed(this.id, error));
  }
}

const leasePath = ({ lease }: Credential, verb: "renew" | "end"): string =>
  `/v1/leases/${encodeURIComponent(lease)}/${verb}`;

/** One line, as the broker takes it. */
const plainReason = (text: string): string =>
  text
    .replaceAll(/\p{C}+/gu, " ")
    .trim()
    .slice(0, REASON_CHARACTERS_MAX) || "no reason given";

const over = (id: string, how = "has ended"): MayflyError =>
  new MayflyError({
    code: "task_ended",
    what: `The task ${id} ${how}.`,
    hint: "Open a new task.",
  });

const defect = (cause: unknown): MayflyError =>
  new MayflyError({ code: "task_lost", what: "Its heartbeats stopped by a defect.", cause });
