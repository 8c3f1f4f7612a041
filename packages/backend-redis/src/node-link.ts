import { serverTls } from "@mayfly/backend-kit";
import { Redis, type RedisOptions } from "ioredis";
import type { Clock } from "@mayfly/spec";
import { leftMs, within, type Deadline } from "./call-deadline.ts";
import { RedisFailure, failureOf, refusalOf } from "./redis-failure.ts";
import { placeName, type Place, type ServerSettings } from "./server-settings.ts";

export type Command = readonly [string, ...string[]];
/** An answer, or the server's refusal of that one command. */
export type Reply = unknown;

export interface NodeLinkOptions {
  readonly settings: ServerSettings;
  readonly place: Place;
  readonly clock: Clock;
  /** As `CLIENT LIST` shows it. */
  readonly name: string;
  /** After so long a new connection takes over; null: it is kept while it works. */
  readonly ageMsMax: number | null;
}

type Results = readonly (readonly [Error | null, unknown])[];
/** ioredis, of a command for a connection that is closed already. */
const NOT_WRITTEN = /^Stream isn't writeable/;

interface Connection {
  readonly redis: Redis;
  readonly openedMs: number;
}

/**
 * One connection to one server, made anew when it is lost. It never sends a command twice: what
 * became of one that was under way is not known.
 */
export class NodeLink {
  readonly place: string;
  readonly #options: NodeLinkOptions;
  #opening: Promise<Connection> | null = null;
  #connection: Connection | null = null;
  readonly #all = new Set<Redis>();
  readonly #closing = new AbortController();
  /** While the broker's own password changes: which of both was accepted last. */
  #byPrevious = false;

  constructor(options: NodeLinkOptions) {
    this.#options = options;
    this.place = placeName(options.place);
  }

  /**
   * Sends commands in one piece. `beforeSend` runs with the connection ready and may throw; after
   * it the commands leave at once. A refused command is a {@link RedisFailure} in its place.
   * @throws RedisFailure `not_sent` or `lost`; what `beforeSend` throws
   */
  async exchange(
    commands: readonly Command[],
    deadline: Deadline,
    beforeSend: () => void = () => undefined,
  ): Promise<readonly Reply[]> {
    const { redis } = await this.#ready(deadline);
    beforeSend();
    const pipeline = redis.pipeline();
    for (const [command, ...args] of commands) pipeline.call(command, ...args);
    const sending = pipeline.exec();
    this.#dropIfHung(redis, sending);
    let results: Results;
    try {
      results = (await within(sending, deadline, this.#options.clock)) ?? [];
    } catch (thrown) {
      throw failureOf(this.place, thrown);
    }
    if (
      results.length > 0 &&
      results.every(([error]) => error !== null && NOT_WRITTEN.test(error.message))
    ) {
      // It was lost while nobody looked, and nothing of ours was written to it.
      this.#drop(redis);
      return this.exchange(commands, deadline, beforeSend);
    }
    try {
      return commands.map((_, place) => this.#replyOf(results[place]));
    } catch (thrown) {
      throw failureOf(this.place, thrown);
    }
  }

  /** As {@link exchange}, of one command; a refusal is thrown. */
  async ask(command: Command, deadline: Deadline): Promise<Reply> {
    const [reply] = await this.exchange([command], deadline);
    if (reply instanceof RedisFailure) throw reply;
    return reply;
  }

  close(): void {
    this.#closing.abort(new Error("the backend is closed"));
    for (const redis of this.#all) redis.disconnect();
    this.#all.clear();
  }

  /** Whoever gives up waiting leaves the connection to others; only a dead one is closed. */
  #dropIfHung(redis: Redis, sending: Promise<unknown>): void {
    const { clock, settings } = this.#options;
    const byMs = clock.monotonicMs() + settings.call_seconds_max * 1_000;
    within(sending, { signal: this.#closing.signal, byMs }, clock).catch(() => this.#drop(redis));
  }

  #replyOf(result: readonly [Error | null, unknown] | undefined): Reply {
    if (result === undefined) throw new Error("an answer is missing");
    const [error, value] = result;
    if (error === null) return value;
    if (error.name !== "ReplyError") throw error;
    return refusalOf(this.place, error.message);
  }

  async #ready(deadline: Deadline): Promise<Connection> {
    const { clock, ageMsMax } = this.#options;
    const present = this.#connection;
    if (present?.redis.status === "ready") {
      const age = clock.monotonicMs() - present.openedMs;
      if (ageMsMax === null || age < ageMsMax) return present;
      this.#retire(present.redis);
    }
    if (this.#closing.signal.aborted)
      throw new RedisFailure("not_sent", this.place, "the backend is closed");
    this.#opening ??= this.#open(deadline).finally(() => {
      this.#opening = null;
    });
    try {
      return await within(this.#opening, deadline, clock);
    } catch (thrown) {
      if (thrown instanceof RedisFailure) throw thrown;
      throw new RedisFailure("not_sent", this.place, failureOf(this.place, thrown).message);
    }
  }

  /** By whichever of both passwords this server accepts, where there are two. */
  async #open(deadline: Deadline): Promise<Connection> {
    const { password, previous_password: previous } = this.#options.settings;
    if (previous === undefined) return this.#openBy(password, deadline);
    const byPrevious = this.#byPrevious;
    const [first, second] = byPrevious ? [previous, password] : [password, previous];
    try {
      return await this.#openBy(first, deadline);
    } catch {
      const connection = await this.#openBy(second, deadline);
      this.#byPrevious = !byPrevious;
      return connection;
    }
  }

  async #openBy(password: string, deadline: Deadline): Promise<Connection> {
    const { clock, settings, place, name } = this.#options;
    const openedMs = clock.monotonicMs();
    const bound = Math.min(settings.call_seconds_max * 1_000, leftMs(deadline, clock));
    const by = { ...settings, password };
    const redis = new Redis(connectionOptions(by, place, Math.max(1, bound)));
    // Each failure is told by the command that it fails.
    redis.on("error", () => undefined);
    this.#all.add(redis);
    try {
      const until = { signal: deadline.signal, byMs: openedMs + bound };
      await within(redis.connect(), until, clock);
      // Answered before anything else is sent: whoever looks for late mints finds it by its name.
      await within(redis.call("CLIENT", "SETNAME", name), until, clock);
    } catch (thrown) {
      this.#drop(redis);
      const why = failureOf(this.place, thrown).message;
      throw new RedisFailure("not_sent", this.place, why);
    }
    if (this.#closing.signal.aborted) {
      this.#drop(redis);
      throw new RedisFailure("not_sent", this.place, "the backend is closed");
    }
    this.#connection = { redis, openedMs };
    return this.#connection;
  }

  /** Ends once what is under way on it was answered. */
  #retire(redis: Redis): void {
    this.#connection = null;
    const drop = (): void => this.#drop(redis);
    redis.quit().then(drop, drop);
  }

  #drop(redis: Redis): void {
    if (this.#connection?.redis === redis) this.#connection = null;
    this.#all.delete(redis);
    redis.disconnect();
  }
}

function connectionOptions(
  settings: ServerSettings,
  { host, port }: Place,
  connectTimeout: number,
) {
  const { username, password } = settings;
  const tls = serverTls(settings, host);
  return {
    host,
    port,
    username,
    password,
    connectTimeout,
    protocol: 2,
    lazyConnect: true,
    // It would ask INFO, which needs a right of its own.
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    disableClientInfo: true,
    maxRetriesPerRequest: null,
    retryStrategy: () => null,
    ...(tls === false ? {} : { tls }),
  } satisfies RedisOptions;
}
